/* A stranger's program in C99 that loads the checkpoint that ../load.cc writes. */
#include <math.h>
#include <stdio.h>

#include "fusedffn/fusedffn_io_c.h"

int main(int count, char** arguments) {
  const float x[2] = {1, 2};
  float y[2] = {0, 0};
  const fusedffn_activation activation = FUSEDFFN_ACTIVATION_QUICK_GELU;
  const double expected = 3 * 3 / (1 + exp(-1.702 * 3));
  char error[256] = "";
  fusedffn_status status;
  fusedffn_checkpoint* checkpoint = NULL;
  fusedffn_blocks* blocks = NULL;
  fusedffn_load_options options = {.struct_size = sizeof(options), .activation = &activation};
  status = fusedffn_checkpoint_open(count > 1 ? arguments[1] : "", &checkpoint, error, sizeof(error));
  if (status == FUSEDFFN_OK) {
    status = fusedffn_checkpoint_load_block(checkpoint, "m", &options, &blocks, error, sizeof(error));
  }
  if (status == FUSEDFFN_OK) {
    status = fusedffn_block_run(fusedffn_blocks_block(blocks, 0), x, FUSEDFFN_DTYPE_F32, 2, 1, y,
                                FUSEDFFN_DTYPE_F32, 2, NULL, error, sizeof(error));
  }
  if (status != FUSEDFFN_OK) return fprintf(stderr, "%s\n", error), 1;
  printf("loaded %s from C: %g\n", fusedffn_blocks_prefix(blocks, 0), y[0]);
  fusedffn_blocks_free(blocks);
  fusedffn_checkpoint_free(checkpoint);
  return fabs(y[0] - expected) < 1e-5 && fabs(y[1] - expected) < 1e-5 ? 0 : 1;
}
