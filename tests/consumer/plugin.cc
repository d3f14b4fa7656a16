// A plug-in that has the library in it, or links it, and whose call starts the library's threads.
#include "fusedffn/fusedffn.h"

extern "C" bool CallFromPlugin() {
  const float one = 1;
  float x[300] = {}, y[300];
  for (float& value : x) value = 3;
  fusedffn::Weights weights;
  weights.shape = {1, 1, 1};
  weights.fc1.weight = &one, weights.fc2.weight = &one;
  weights.activation = fusedffn::Activation::kRelu;
  fusedffn::PackedFfn ffn;
  fusedffn::Status status = fusedffn::Pack(weights, {}, &ffn);
  if (status.ok()) status = fusedffn::Run(ffn, x, 1, 300, y, 1, {2});
  bool right = status.ok();
  for (const float value : y) right = right && value == 3;
  return right;
}
