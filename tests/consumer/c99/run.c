/* A stranger's program in C99 that computes a block of ones, 2 -> 3 -> 2, on threads of its own, which is
 * one. */
#include <math.h>
#include <stdio.h>

#include "fusedffn/fusedffn_c.h"

static void OneAfterTheOther(void* context, size_t count, fusedffn_body body, void* argument) {
  size_t i;
  for (i = 0; i < count; ++i) body(argument, i);
  *(int*)context += 1;
}

int main(void) {
  const float ones[6] = {1, 1, 1, 1, 1, 1}, x[4] = {1, 2, 1, 2};
  float y[4] = {0, 0, 0, 0};
  const double expected = 3 * 3 / (1 + exp(-1.702 * 3));
  int calls = 0;
  char error[256], text[1024];
  fusedffn_status status;
  fusedffn_block* block = NULL;
  fusedffn_weights weights = {.struct_size = sizeof(weights), .shape = {2, 3, 2, 0}};
  fusedffn_run_options options = {
      .struct_size = sizeof(options), .threads = 2, .parallel_for = OneAfterTheOther};
  weights.fc1.weight = ones;
  weights.fc2.weight = ones;
  options.parallel_for_context = &calls;

  status = fusedffn_block_pack(&weights, FUSEDFFN_ACTIVATION_QUICK_GELU, NULL, &block, error, sizeof(error));
  if (status == FUSEDFFN_OK) {
    status = fusedffn_block_run(block, x, FUSEDFFN_DTYPE_F32, 2, 2, y, FUSEDFFN_DTYPE_F32, 2, &options, error,
                                sizeof(error));
  }
  if (status != FUSEDFFN_OK) return fprintf(stderr, "%s\n", error), 1;
  fusedffn_block_describe(block, 2, &options, text, sizeof(text));
  printf("from C, version %s of header %d.%d: %g\n%s", fusedffn_version(), FUSEDFFN_VERSION_MAJOR,
         FUSEDFFN_VERSION_MINOR, y[0], text);
  fusedffn_block_free(block);
  return fabs(y[0] - expected) < 1e-5 && fabs(y[3] - expected) < 1e-5 ? 0 : 1;
}
