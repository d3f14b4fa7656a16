#include "src/fastest_precision.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "kernels/cpu.h"
#include "src/check.h"
#include "src/targets.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// Precisions that were compared with kF32 on one kind of CPU, for a range of tokens.
struct Measured {
  CpuVendor vendor;
  const char* target;
  size_t first_tokens, last_tokens;
  // The fastest first, down to kF32: those that are slower are left out, and so are those not measured.
  Precision order[kPrecisionCount];
};

constexpr size_t kAnyMore = SIZE_MAX;

// The numbers and where they come from are in bench/results/tuning.md, section FastestPrecision. Precisions
// that are equally fast within 2 % come in the order of their size.
constexpr Measured kMeasured[] = {
    // Zen 3, amd-epyc-zen3/precisions.md: many tokens are as fast in bf16 as in fp32.
    {CpuVendor::kAmd, "AVX2", 1, kAnyMore, {Precision::kInt8, Precision::kBF16, Precision::kF32}},
    // Zen 4, amd-epyc-zen4/bf16.md and int8.md: its dot products are twice and four times as fast as fp32.
    {CpuVendor::kAmd,
     "AVX3_ZEN4",
     1,
     kAnyMore,
     {Precision::kInt8, Precision::kBF16Dot, Precision::kBF16, Precision::kF32}},
    // Emerald Rapids, intel-emerald-rapids/amx.md: few tokens are bound by reading weights.
    {CpuVendor::kIntel,
     "AVX3_AMX",
     1,
     8,
     {Precision::kInt8, Precision::kBF16Dot, Precision::kBF16, Precision::kF32}},
    // The same: to widen bf16 takes the ports of the multiply-adds. Of kBF16x3 a prototype was measured,
    // tuning.md.
    {CpuVendor::kIntel,
     "AVX3_AMX",
     9,
     kAnyMore,
     {Precision::kInt8, Precision::kBF16Dot, Precision::kBF16x3, Precision::kF32}},
    // Emerald Rapids without AMX, tuning.md: its bf16 dot product is slower than fp32.
    {CpuVendor::kIntel, "AVX3_SPR", 9, kAnyMore, {Precision::kInt8, Precision::kF32}},
};

// Whether a precision is as accurate as that.
bool Keeps(Precision precision, Accuracy accuracy, DType weights) {
  switch (precision) {
    case Precision::kF32:
      return true;
    case Precision::kBF16:
    case Precision::kBF16x3:
      return weights == DType::kBF16 || accuracy >= Accuracy::kBF16Like;
    case Precision::kBF16Dot:
      return accuracy >= Accuracy::kBF16Like;
    case Precision::kInt8:
      return accuracy == Accuracy::kInt8Like;
  }
  return false;
}

bool Has(const CpuKind& cpu, Precision precision) {
  if (precision == Precision::kBF16Dot) return cpu.bf16_dot;
  return precision != Precision::kBF16x3 || cpu.bf16x3;
}

bool IsKnown(Accuracy accuracy) { return accuracy >= Accuracy::kF32Like && accuracy <= Accuracy::kInt8Like; }

// It changes no weight.
Precision SafePrecision(DType weights) {
  return weights == DType::kBF16 ? Precision::kBF16 : Precision::kF32;
}

CpuVendor ThisVendor() {
  if (IsAmdCpu()) return CpuVendor::kAmd;
  return IsIntelCpu() ? CpuVendor::kIntel : CpuVendor::kOther;
}

}  // namespace

PrecisionChoice ChoosePrecision(Accuracy accuracy, DType weights, const CpuKind& cpu,
                                size_t tokens) noexcept {
  const auto measured = std::find_if(std::begin(kMeasured), std::end(kMeasured), [&](const Measured& row) {
    return row.vendor == cpu.vendor && std::strcmp(row.target, cpu.target) == 0 &&
           row.first_tokens <= tokens && tokens <= row.last_tokens;
  });
  if (measured == std::end(kMeasured) || !IsKnown(accuracy) || !CheckDType(weights).ok()) {
    return {SafePrecision(weights), false};
  }
  // There is one: kF32 always is.
  const Precision* const fastest = std::find_if(
      std::begin(measured->order), std::end(measured->order),
      [&](Precision precision) { return Keeps(precision, accuracy, weights) && Has(cpu, precision); });
  return {*fastest, true};
}

PrecisionChoice FastestPrecision(Accuracy accuracy, DType weights, const char* target,
                                 size_t tokens) noexcept {
  const Kernels* kernels = nullptr;
  if (!FindKernels(target, &kernels).ok()) return {SafePrecision(weights), false};
  const bool bf16_dot = kernels->Gemm(Precision::kBF16Dot) != nullptr;
  const bool bf16x3 = kernels->Gemm(Precision::kBF16x3) != nullptr && AmxRefusal() == nullptr;
  return ChoosePrecision(accuracy, weights, {ThisVendor(), kernels->name, bf16_dot, bf16x3}, tokens);
}

}  // namespace v0_2
}  // namespace fusedffn
