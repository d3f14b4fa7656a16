// The one source of random data: seeded, and the same numbers on every machine and compiler.
#ifndef FUSEDFFN_TESTS_RANDOM_H_
#define FUSEDFFN_TESTS_RANDOM_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fusedffn {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // SplitMix64: a Weyl sequence, hashed.
  uint64_t Bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  // In [low, high], both included.
  int64_t Integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Bits() % static_cast<uint64_t>(high - low + 1));
  }

  // In (-1, 1), mean 0: a multiple of 2^-24, so exact.
  float Symmetric() { return static_cast<float>(Integer(-0xFFFFFF, 0xFFFFFF)) * 0x1p-24f; }

  // Any sign, magnitude from 2^-exponent to 2^exponent with every power of two equally likely.
  float WideRange(int exponent) {
    const float mantissa = static_cast<float>(Integer(1 << 23, (1 << 24) - 1)) * 0x1p-23f;
    return std::ldexp(Bits() & 1 ? mantissa : -mantissa, static_cast<int>(Integer(-exponent, exponent - 1)));
  }

  // `count` values of draw(*this).
  template <class Draw>
  auto Fill(size_t count, const Draw& draw) -> std::vector<decltype(draw(*this))> {
    std::vector<decltype(draw(*this))> values(count);
    for (auto& value : values) value = draw(*this);
    return values;
  }

  std::vector<float> SymmetricVector(size_t count, float scale) {
    return Fill(count, [scale](Random& random) { return random.Symmetric() * scale; });
  }

 private:
  uint64_t state_;
};

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_RANDOM_H_
