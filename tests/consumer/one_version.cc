// Compiled twice, each time with another version's header and another name of this function.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "fusedffn/fusedffn.h"

bool VERSION_IS_RIGHT() {
  const float one = 1, x = 2;
  float y = 0;
  fusedffn::Weights weights;
  weights.shape = {1, 1, 1};
  weights.fc1.weight = &one, weights.fc2.weight = &one;
  fusedffn::PackedFfn ffn;
  fusedffn::Status status = fusedffn::Pack(weights, {}, &ffn);
  if (status.ok()) status = fusedffn::Run(ffn, &x, 1, 1, &y, 1);
  std::printf("version %s of header %d.%d: %s %g\n", fusedffn::Version(), FUSEDFFN_VERSION_MAJOR,
              FUSEDFFN_VERSION_MINOR, status.message(), y);
  return status.ok() && std::fabs(y - 2 / (1 + std::exp(-1.702 * 2))) < 1e-6 &&
         std::atoi(fusedffn::Version()) == FUSEDFFN_VERSION_MAJOR;
}
