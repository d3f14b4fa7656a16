// Compiled once per target. LayerNorm and RMSNorm of a row:
//
//     out = (x - mean) / sqrt(variance + eps) * (weight + offset) + bias
//     out = x / sqrt(mean of x^2 + eps) * (weight + offset) + bias
//
// In double throughout, and rounded to fp32 once: rows far from zero lose nothing, and no square underflows
// or overflows; that is 0.3 % of a row's share of CLIP-L's block. A sum over a row is 16 partial sums,
// whatever the vectors of the target: element i joins number i % 16, in order of i, and then
//
//     s[j] += s[j + h] for all j < h,  h = 8, 4, 2, 1
//
// Every operation is the same on every target with FMA, so the bits are as well. A row with a NaN or infinity
// becomes NaN throughout. In LayerNorm one of equal elements has exactly that mean and a variance of 0, so it
// becomes the bias, as one of zeros does in RMSNorm; with eps = 0 both become NaN, 0 * inf.
#if defined(FUSEDFFN_KERNELS_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_NORM_INL_H_
#undef FUSEDFFN_KERNELS_NORM_INL_H_
#else
#define FUSEDFFN_KERNELS_NORM_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <limits>

#include "hwy/highway.h"
#include "kernels/convert-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DD = hn::CappedTag<double, 8>;
using VD = hn::Vec<DD>;
inline constexpr size_t kDoubleLanes = hn::MaxLanes(DD());

// A vector of doubles from up to `count` elements of T; zeros in lanes beyond.
template <class T>
HWY_INLINE VD LoadDoubles(const T* in, size_t count) {
  const hn::Rebind<float, DD> df;
  return hn::PromoteTo(DD(), count >= kDoubleLanes ? LoadWide(df, in) : LoadWideN(df, in, count));
}

// sum = add(sum, x) for all x of a row, in the order above.
template <class T, class Add>
HWY_INLINE double SumOf(const T* in, size_t count, const Add& add) {
  constexpr size_t kPartialSums = 16;
  VD sums[kPartialSums / kDoubleLanes];
  for (VD& sum : sums) sum = hn::Zero(DD());
  size_t i = 0;
  for (; i + kPartialSums <= count; i += kPartialSums) {
    for (size_t v = 0; v < kPartialSums; v += kDoubleLanes) {
      sums[v / kDoubleLanes] = add(sums[v / kDoubleLanes], LoadDoubles(in + i + v, kDoubleLanes));
    }
  }
  for (size_t v = 0; i + v < count; v += kDoubleLanes) {
    const size_t left = count - i - v;
    const VD sum = sums[v / kDoubleLanes];
    const VD added = add(sum, LoadDoubles(in + i + v, left));
    sums[v / kDoubleLanes] = hn::IfThenElse(hn::FirstN(DD(), left), added, sum);
  }
  double partial[kPartialSums];
  for (size_t v = 0; v < kPartialSums; v += kDoubleLanes) {
    hn::StoreU(sums[v / kDoubleLanes], DD(), partial + v);
  }
  for (size_t h = kPartialSums / 2; h != 0; h /= 2) {
    for (size_t j = 0; j < h; ++j) partial[j] += partial[j + h];
  }
  return partial[0];
}

template <class T>
RowStats LayerNormStats(const void* row, size_t count, double eps) {
  const T* in = static_cast<const T*>(row);
  const double n = static_cast<double>(count);
  const double mean = SumOf(in, count, [](VD sum, VD x) HWY_ATTR { return hn::Add(sum, x); }) / n;
  const VD mean_v = hn::Set(DD(), mean);
  const double squares = SumOf(in, count, [mean_v](VD sum, VD x) HWY_ATTR {
    const VD difference = hn::Sub(x, mean_v);
    return hn::MulAdd(difference, difference, sum);
  });
  return {mean, 1 / std::sqrt(squares / n + eps)};
}

template <class T>
RowStats RmsNormStats(const void* row, size_t count, double eps) {
  const double squares =
      SumOf(static_cast<const T*>(row), count, [](VD sum, VD x) HWY_ATTR { return hn::MulAdd(x, x, sum); });
  // 1 / inf would turn the finite elements of a row with an infinity into zeros.
  if (!std::isfinite(squares)) return {0, std::numeric_limits<double>::quiet_NaN()};
  return {0, 1 / std::sqrt(squares / static_cast<double>(count) + eps)};
}

template <class T, class Weight>
void Normalize(const void* from, size_t count, const RowStats& stats, const void* weights,
               double weight_offset, const void* biases, float* out) {
  const DD d;
  const hn::Rebind<float, DD> df;
  const T* in = static_cast<const T*>(from);
  const auto *weight = static_cast<const Weight*>(weights), *bias = static_cast<const Weight*>(biases);
  const VD mean = hn::Set(d, stats.mean), inverse = hn::Set(d, stats.inverse);
  // -0 leaves every weight as it is, -0 among them; +0 would turn that into +0.
  const VD offset = hn::Set(d, weight_offset == 0 ? -0.0 : weight_offset);
  for (size_t i = 0; i < count; i += kDoubleLanes) {
    const size_t left = count - i;
    const VD w = weight == nullptr ? hn::Set(d, 1.0) : hn::Add(LoadDoubles(weight + i, left), offset);
    const VD b = bias == nullptr ? hn::Zero(d) : LoadDoubles(bias + i, left);
    const VD x = hn::Mul(hn::Sub(LoadDoubles(in + i, left), mean), inverse);
    const auto normal = hn::DemoteTo(df, hn::MulAdd(x, w, b));
    if (left >= kDoubleLanes) {
      hn::StoreU(normal, df, out + i);
    } else {
      hn::StoreN(normal, df, out + i, left);
    }
  }
}

template <class T>
constexpr NormFns NormOf() {
  return {{LayerNormStats<T>, RmsNormStats<T>},
          {Normalize<T, float>, Normalize<T, hwy::bfloat16_t>, Normalize<T, hwy::float16_t>}};
}

// By DType.
inline constexpr NormFns kNorms[] = {NormOf<float>(), NormOf<hwy::bfloat16_t>(), NormOf<hwy::float16_t>()};

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
