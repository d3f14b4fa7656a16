#include "bench/peers/static_int8.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace fusedffn::bench {
namespace {

template <class T>
U8Format Cover(const std::vector<T>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  U8Format format;
  format.scale = static_cast<float>(*high - *low) / 255.0f;
  format.zero = static_cast<int>(std::lround(-static_cast<float>(*low) / format.scale));
  return format;
}

}  // namespace

U8Formats Calibrate(const Block& block) {
  constexpr size_t kTokens = 16;
  const Floats x = RandomTokens(block.shape, kTokens, 12);
  const Weights weights = WeightsOf(block);
  const Shape& shape = block.shape;
  std::vector<double> hidden;
  for (size_t t = 0; t < kTokens; ++t) {
    const float* row = x.data() + t * shape.dim;
    std::vector<double> h = ReferenceLinear(weights.fc1, shape.hidden, shape.dim, row);
    for (double& value : h) value = ReferenceActivation(weights.activation, value);
    if (shape.gated) {
      const std::vector<double> up = ReferenceLinear(weights.up, shape.hidden, shape.dim, row);
      std::transform(h.begin(), h.end(), up.begin(), h.begin(), std::multiplies<>());
    }
    hidden.insert(hidden.end(), h.begin(), h.end());
  }
  return {Cover(std::vector<float>(x.data(), x.data() + x.size())), Cover(hidden)};
}

S8Weights::S8Weights(const Floats& weights, size_t out, size_t in) : values(out * in) {
  for (size_t n = 0; n < out; ++n) {
    const float* row = weights.data() + n * in;
    float largest = 0;
    for (size_t k = 0; k < in; ++k) largest = std::max(largest, std::fabs(row[k]));
    const float scale = largest / 127.0f;
    std::transform(row, row + in, values.data() + n * in,
                   [scale](float w) { return static_cast<int8_t>(std::lround(w / scale)); });
    scales.push_back(scale);
  }
}

Buffer<uint8_t> Quantize(const U8Format& format, const float* values, size_t count) {
  Buffer<uint8_t> stored(count);
  std::transform(values, values + count, stored.data(),
                 [&format](float value) { return format.Quantize(value); });
  return stored;
}

Dequantizer::Dequantizer(const S8Weights& weights, const Floats& bias, const U8Format& input) {
  const size_t out = weights.scales.size(), in = weights.values.size() / out;
  for (size_t n = 0; n < out; ++n) {
    const int8_t* row = weights.values.data() + n * in;
    const int sum = std::accumulate(row, row + in, 0);
    scale.push_back(weights.scales[n] * input.scale);
    offset.push_back(bias.data()[n] - scale[n] * static_cast<float>(input.zero * sum));
  }
}

}  // namespace fusedffn::bench
