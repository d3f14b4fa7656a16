// Instruction sets as test parameters: every suite runs once on each that this machine has.
#ifndef FUSEDFFN_TESTS_TARGETS_H_
#define FUSEDFFN_TESTS_TARGETS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "src/names.h"
#include "tests/test_block.h"

namespace fusedffn {

inline std::vector<std::string> SupportedTargets() {
  std::vector<std::string> names;
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    if (targets[i].supported) names.push_back(targets[i].name);
  }
  return names;
}

// As it may be written, too.
inline std::string LowerCase(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

inline Target TargetNamed(const std::string& name) {
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    if (name == targets[i].name) return targets[i];
  }
  ADD_FAILURE() << "no target is called " << name;
  return {};
}

// The public header's promise by name: those with FMA give the same bits.
inline bool HasFma(const std::string& target) {
  for (const char* prefix : {"AVX2", "AVX3", "AVX10", "NEON"}) {
    if (target.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

// The functions behind a target, for which what they need has been asked. Only for tests that link the static
// library.
inline const Kernels& KernelsNamed(const std::string& name) {
  const KernelList& all = AllKernels();
  size_t i = 0;
  while (i + 1 < all.count && name != all.kernels[i].name) ++i;
  EXPECT_EQ(name, all.kernels[i].name);
  for (const GemmKernel* gemm : all.kernels[i].gemm) {
    const bool asks = gemm != nullptr && gemm->ask != nullptr && all.kernels[i].supported();
    EXPECT_EQ(asks ? gemm->ask() : nullptr, nullptr);
  }
  return all.kernels[i];
}

inline PackOptions OptionsFor(const std::string& target, Precision precision = Precision::kF32,
                              size_t int8_group = kInt8GroupSize) {
  PackOptions options;
  options.target = target.c_str();
  options.precision = precision;
  options.int8_group = int8_group;
  return options;
}

// Those that a target has. By the public interface, for tests of a shared library as well.
inline std::vector<Precision> PrecisionsOn(const std::string& target) {
  std::vector<Precision> precisions;
  for (const Precision precision : AllPrecisions()) {
    PackedLinear linear;
    const PackOptions options = OptionsFor(target, precision);
    if (PackedLinear::Create(1, 1, Activation::kIdentity, options, &linear).ok()) {
      precisions.push_back(precision);
    }
  }
  return precisions;
}

// The options point into the name.
PackOptions OptionsFor(std::string&& target, Precision precision = Precision::kF32,
                       size_t int8_group = kInt8GroupSize) = delete;

// What pack(options, &packed) packs for one target; a test that would silently run on another fails instead.
template <class Packed, class PackInto>
Packed PackChecked(const std::string& target, Precision precision, size_t int8_group, const PackInto& pack) {
  Packed packed;
  const Status status = pack(OptionsFor(target, precision, int8_group), &packed);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(target, packed.target());
  EXPECT_EQ(precision, packed.precision());
  return packed;
}

inline PackedFfn PackFor(const std::string& target, const Weights& weights,
                         Precision precision = Precision::kF32, size_t int8_group = kInt8GroupSize) {
  return PackChecked<PackedFfn>(
      target, precision, int8_group,
      [&](const PackOptions& options, PackedFfn* ffn) { return Pack(weights, options, ffn); });
}

inline PackedLinear PackFor(const std::string& target, const Linear& weights, size_t in, size_t out,
                            Activation activation, Precision precision = Precision::kF32,
                            size_t int8_group = kInt8GroupSize) {
  return PackChecked<PackedLinear>(target, precision, int8_group,
                                   [&](const PackOptions& options, PackedLinear* linear) {
                                     return Pack(weights, in, out, activation, options, linear);
                                   });
}

inline PackedLinear PackFor(const std::string& target, const TestLinear& linear,
                            Precision precision = Precision::kF32, size_t int8_group = kInt8GroupSize) {
  return PackFor(target, linear.weights(), linear.in, linear.out, linear.activation, precision, int8_group);
}

// A suite of tests, each of which runs on the target named by its parameter.
class TargetTest : public testing::TestWithParam<std::string> {};

struct TargetAsName {
  std::string operator()(const testing::TestParamInfo<std::string>& info) const { return info.param; }
};

// The same with either size of an int8 group.
class Int8TargetTest : public testing::TestWithParam<std::tuple<std::string, size_t>> {
 protected:
  const std::string& target() const { return std::get<0>(GetParam()); }
  size_t group() const { return std::get<1>(GetParam()); }
};

inline auto Int8Targets() {
  return testing::Combine(testing::ValuesIn(SupportedTargets()),
                          testing::Values(kInt8GroupSize, kSmallInt8GroupSize));
}

struct TargetAndGroupAsName {
  std::string operator()(const testing::TestParamInfo<std::tuple<std::string, size_t>>& info) const {
    return std::get<0>(info.param) + "_" + std::to_string(std::get<1>(info.param));
  }
};

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_TARGETS_H_
