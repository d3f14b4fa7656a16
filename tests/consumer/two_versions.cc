// Compiled twice, each time with the header of another version and another name for its function, and linked
// with both versions' static libraries: each uses its own.
#include <cmath>
#include <cstdio>

#include "fusedffn/fusedffn.h"

// TWO_VERSIONS_NAME: Old or New.
bool TWO_VERSIONS_NAME() {
  const float one = 1, x = 2;
  float y = 0;
  fusedffn::Weights weights;
  weights.shape = {1, 1, 1};
  weights.fc1.weight = &one, weights.fc2.weight = &one;
  fusedffn::PackedFfn ffn;
  fusedffn::Status status = fusedffn::Pack(weights, {}, &ffn);
  if (status.ok()) status = fusedffn::Run(ffn, &x, 1, 1, &y, 1);
  const double want = 2 / (1 + std::exp(-1.702 * 2));
  std::printf("version %s: %s %g\n", fusedffn::Version(), status.message(), y);
  return status.ok() && std::fabs(y - want) < 1e-6;
}
