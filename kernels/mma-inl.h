// Compiled once per target. The kinds of numbers that a tile multiplies. Each says what one step of k reads
// from a row of A and from a column of B, how B's vectors are loaded, how a product joins its sum, how many
// elements of k a step has, how many steps an A chunk, and whether few rows go through panels in pairs.
#if defined(FUSEDFFN_KERNELS_MMA_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSEDFFN_KERNELS_MMA_INL_H_
#undef FUSEDFFN_KERNELS_MMA_INL_H_
#else
#define FUSEDFFN_KERNELS_MMA_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <numeric>

#include "fusedffn/fusedffn.h"
#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/tuning-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusedffn {
inline namespace v0_2 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
using DI32 = hn::RebindToSigned<D>;
using DU32 = hn::RebindToUnsigned<D>;

inline constexpr size_t kLineBytes = 64;  // of a cache line
inline constexpr size_t kLanes = hn::MaxLanes(D());
inline constexpr size_t kNr = kTileVecs * kLanes;

// A step of k is 4 bytes of A, whatever the precision. So many fit in a row of a chunk: kKc, and an int8
// group where its elements take 16 bits.
inline constexpr size_t kRowSteps = HWY_MAX(kKc, kInt8GroupSize / 2);
static_assert(kKc % kNr == 0 && kInt8GroupSize % kNr == 0, "fc1's panels must end with a chunk of fc2's A");
static_assert(kInt8GroupSize % 64 == 0 && kSmallInt8GroupSize % 64 == 0,
              "AMX multiplies 16 steps of 4 elements at a time");

// From one row of A to the next, in steps. A compile-time constant, so that every broadcast's address is base
// + constant, and an odd number of cache lines, so that rows start in different sets of the L1 cache: 4096
// bytes instead are 1.02 times as slow at 1028 tokens. See bench/results/tuning.md.
inline constexpr size_t kAStride = kRowSteps + 16;
static_assert(kAStride * 4 / kLineBytes % 2 == 1);

// A group of an int8 row of A, quantized: element = scale * (q - zero), q in 0..255, or both of them less 128
// where signed numbers are multiplied. Those of a row's groups lie behind the steps of a whole chunk.
struct RowQuant {
  float scale;
  int32_t zero;
};
inline constexpr size_t kQuantStride = kAStride * 4 / sizeof(RowQuant);  // from one row to the next
static_assert(kAStride * 4 % sizeof(RowQuant) == 0);
static_assert(size_t{255} * 127 * kInt8GroupSize <= INT32_MAX, "a group's products are summed in 32 bits");

// Elements of k in a chunk of A, at most, of any precision: arrays on the stack have room for them.
inline constexpr size_t kMaxChunk = HWY_MAX(2 * kKc, kInt8GroupSize);

// From here on compilers know nothing of how v was made, so they cannot make it in another way or place.
template <class Vector>
HWY_INLINE void Opaque(Vector& v) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  asm("" : "+v"(v.raw));
#elif HWY_TARGET & HWY_ALL_NEON
  asm("" : "+w"(v.raw));
#else
  (void)v;
#endif
}

#if HWY_TARGET & HWY_ALL_NEON
HWY_INLINE void Opaque(float& value) { asm("" : "+w"(value)); }
#endif

// gcc lets an FMA's result take over the register of any operand that dies with it. Where that is not the
// accumulator, accumulators wander from register to register in the unrolled loop, and are copied back or
// spilled at its end, which took a tile 1.23 times as long. So the other operands are kept alive until all
// that use them are through. See bench/results/tuning.md.
template <class Vector>
HWY_INLINE void KeepAlive(const Vector& v) {
#if HWY_COMPILER_GCC_ACTUAL && HWY_ARCH_X86 && HWY_NATIVE_FMA
  asm volatile("" : : "v"(v.raw));
#elif HWY_COMPILER_GCC_ACTUAL && (HWY_TARGET & HWY_ALL_NEON)
  asm volatile("" : : "w"(v.raw));
#else
  (void)v;
#endif
}
#if HWY_TARGET & HWY_ALL_NEON
HWY_INLINE void KeepAlive(const float& factor) {
#if HWY_COMPILER_GCC_ACTUAL
  asm volatile("" : : "w"(factor));
#else
  (void)factor;
#endif
}
#endif

// An fp32 of A, or what else a step has in 32 bits, for all lanes of a vector of B. NEON's fmla takes it from
// a register's lowest lane. The load into every lane, which compilers take for some, occupies a vector pipe,
// which the plain one does not. So the float comes from nowhere that they know of. See
// bench/results/tuning.md.
#if HWY_TARGET & HWY_ALL_NEON
using Factor = float;
HWY_INLINE Factor LoadFactor(const void* HWY_RESTRICT a) {
  float factor = *static_cast<const float*>(a);
  Opaque(factor);
  return factor;
}
HWY_INLINE V MulAddFactor(Factor a, V b, V c) { return hn::MulAdd(hn::Set(D(), a), b, c); }
#else
using Factor = V;
HWY_INLINE Factor LoadFactor(const float* HWY_RESTRICT a) { return hn::Set(D(), *a); }
HWY_INLINE V MulAddFactor(Factor a, V b, V c) { return hn::MulAdd(a, b, c); }
#endif

// fp32 throughout: the sum is one chain of FMAs.
struct F32 {
  using A = float;
  using B = float;
  using Sum = float;
  static constexpr size_t kStep = 1;
  static constexpr bool kDualPanel = true;

  // Vector v of `vecs` for one of several steps that begin at b.
  static HWY_INLINE V LoadB(const float* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const D d;
    return hn::Load(d, b + (step * vecs + v) * hn::Lanes(d));
  }
  static HWY_INLINE Factor LoadA(const float* HWY_RESTRICT a) { return LoadFactor(a); }
  static HWY_INLINE V MulAdd(Factor a, V b, V c) { return MulAddFactor(a, b, c); }
};

// A and sums as above; B in bf16, two steps of k side by side in 32 bits (see gemm.h), widened when loaded:
// bf16 is the upper half of an fp32. Steps begin at an even k.
struct BF16Widened {
  using A = float;
  using B = uint16_t;
  using Sum = float;
  static constexpr size_t kStep = 1;
  static constexpr bool kDualPanel = true;

  // The upper one of each pair of bits. A mask needs a register, which AVX2 does not have.
  static HWY_INLINE V Upper(hn::Vec<hn::RebindToUnsigned<D>> bits) {
    const D d;
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM
    return hn::BitCast(d, hn::And(bits, hn::Set(hn::RebindToUnsigned<D>(), 0xFFFF0000u)));
#else
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::ShiftRight<16>(bits)));
#endif
  }

  static HWY_INLINE V LoadB(const uint16_t* b, size_t step, size_t v, size_t vecs) {
    const D d;
    const hn::RebindToUnsigned<D> du;
    // Each of the two steps loads for itself: compilers would keep the first one's vectors, and spill.
    if (step % 2 != 0) asm("" : "+r"(b));
    const uint16_t* const pairs = b + 2 * (step / 2 * vecs + v) * hn::Lanes(d);
    const auto bits = hn::Load(du, reinterpret_cast<const uint32_t*>(pairs));
    V wide = step % 2 == 0 ? hn::BitCast(d, hn::ShiftLeft<16>(bits)) : Upper(bits);
    // gcc 12 takes this for integers otherwise, and copies it for the FMA.
    if (HWY_COMPILER_GCC_ACTUAL && HWY_NATIVE_FMA) Opaque(wide);
    return wide;
  }
  static HWY_INLINE Factor LoadA(const float* HWY_RESTRICT a) { return LoadFactor(a); }
  static HWY_INLINE V MulAdd(Factor a, V b, V c) { return MulAddFactor(a, b, c); }
};

// Highway 1.2 also claims the instruction for NEON targets that it compiles after NEON_BF16, and there its
// function leaves a half of the sum in the vector that is not used below.
#undef FUSEDFFN_HAVE_BF16_DOT
#define FUSEDFFN_HAVE_BF16_DOT (HWY_NATIVE_DOT_BF16 && !(HWY_TARGET & (HWY_NEON | HWY_NEON_WITHOUT_AES)))
#if FUSEDFFN_HAVE_BF16_DOT
// A and B in bf16. A step is two of k, for one instruction; sums in fp32.
struct BF16Dot {
  using A = uint32_t;  // two of one row
  using B = uint32_t;  // two of one column, see gemm.h
  using Sum = float;
  static constexpr size_t kStep = 2;
  static constexpr bool kDualPanel = true;
  using DBF16 = hn::Repartition<hwy::bfloat16_t, D>;

  static HWY_INLINE hn::Vec<DBF16> LoadB(const uint32_t* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const hn::RebindToUnsigned<D> du;
    return hn::BitCast(DBF16(), hn::Load(du, b + (step * vecs + v) * hn::Lanes(du)));
  }
#if HWY_TARGET & HWY_ALL_NEON
  // bfdot takes two from a register's lowest lane, as fmla does one. Highway's function has them in every
  // lane, by ld1r, which takes a pass 1.33 times as long.
  static HWY_INLINE Factor LoadA(const uint32_t* HWY_RESTRICT a) { return LoadFactor(a); }
  static HWY_INLINE V MulAdd(Factor a, hn::Vec<DBF16> b, V c) {
    asm("bfdot %0.4s, %1.8h, %2.2h[0]" : "+w"(c.raw) : "w"(b.raw), "w"(a));
    return c;
  }
#else
  static HWY_INLINE hn::Vec<DBF16> LoadA(const uint32_t* HWY_RESTRICT a) {
    auto pair = hn::Set(hn::RebindToUnsigned<D>(), *a);
    // clang 16 recurses without end when it finds a broadcast that becomes bf16.
    if (HWY_COMPILER_CLANG && HWY_ARCH_X86) Opaque(pair);
    return hn::BitCast(DBF16(), pair);
  }
  static HWY_INLINE V MulAdd(hn::Vec<DBF16> a, hn::Vec<DBF16> b, V c) {
    V unused = hn::Zero(D());  // with the instruction, all of the sum is in the first
    return hn::ReorderWidenMulAccumulate(D(), a, b, c, unused);
  }
#endif
};
#endif

#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL) || HWY_TARGET == HWY_NEON_BF16 || \
    ((HWY_TARGET & HWY_ALL_NEON) && defined(__ARM_FEATURE_DOTPROD))
// A step is four of k, for one instruction. Exact.
struct Int8 {
  using A = uint32_t;  // four of one row
  using B = uint32_t;  // four of one column, see gemm.h
  using Sum = int32_t;
  static constexpr size_t kStep = 4;
  static constexpr bool kDualPanel = true;
  using DI8 = hn::Repartition<int8_t, D>;

  static HWY_INLINE hn::Vec<DI8> LoadB(const uint32_t* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    return hn::BitCast(DI8(), hn::Load(DU32(), b + (step * vecs + v) * hn::Lanes(DU32())));
  }
#if HWY_ARCH_X86
  // A in u8 and B in s8: vpdpbusd.
  static constexpr int32_t kLess = 0;  // A holds q less this
  using DU8 = hn::Repartition<uint8_t, D>;
  static HWY_INLINE hn::Vec<DU8> LoadA(const uint32_t* HWY_RESTRICT a) {
    return hn::BitCast(DU8(), hn::Set(DU32(), *a));
  }
  static HWY_INLINE hn::Vec<DI32> MulAdd(hn::Vec<DU8> a, hn::Vec<DI8> b, hn::Vec<DI32> c) {
    auto sum = hn::SumOfMulQuadAccumulate(DI32(), a, b, c);
    Opaque(sum);  // gcc 12 copies some of 12 accumulators otherwise
    return sum;
  }
#else
  // Both in s8. Highway 1.2 has no function for it.
  static constexpr int32_t kLess = 128;
  static HWY_INLINE Factor LoadA(const uint32_t* HWY_RESTRICT a) { return LoadFactor(a); }
  static HWY_INLINE hn::Vec<DI32> MulAdd(Factor a, hn::Vec<DI8> b, hn::Vec<DI32> c) {
    // Not vdotq_lane_s32(): with it, gcc 12 copies or spills accumulators.
    asm("sdot %0.4s, %1.16b, %2.4b[0]" : "+w"(c.raw) : "w"(b.raw), "w"(a));
    return c;
  }
#endif
};
#else
// Without that instruction: A in 16 bits, and B widened to them when loaded. A step is two of k. Exact, where
// the instruction for u8 and s8 that older CPUs have (vpmaddubsw) saturates.
struct Int8 {
  using A = uint32_t;  // two of one row
  using B = uint16_t;  // two of one column, see gemm.h
  using Sum = int32_t;
  static constexpr size_t kStep = 2;
  static constexpr bool kDualPanel = false;  // 1 token from memory takes 1.26 times as long in pairs
  static constexpr int32_t kLess = 0;
  using DI16 = hn::Repartition<int16_t, D>;

  static HWY_INLINE hn::Vec<DI16> LoadB(const uint16_t* HWY_RESTRICT b, size_t step, size_t v, size_t vecs) {
    const hn::Rebind<int8_t, DI16> di8;
    const uint16_t* const pairs = b + (step * vecs + v) * hn::Lanes(D());
    return hn::PromoteTo(DI16(), hn::Load(di8, reinterpret_cast<const int8_t*>(pairs)));
  }
  static HWY_INLINE hn::Vec<DI16> LoadA(const uint32_t* HWY_RESTRICT a) {
    return hn::BitCast(DI16(), hn::Set(DU32(), *a));
  }
  static HWY_INLINE hn::Vec<DI32> MulAdd(hn::Vec<DI16> a, hn::Vec<DI16> b, hn::Vec<DI32> c) {
    const auto product = hn::WidenMulPairwiseAdd(DI32(), a, b);
    auto sum = hn::Add(c, product);
    Opaque(sum);  // gcc 12 adds the products of several steps first otherwise, and spills
    KeepAlive(product);
    return sum;
  }
};
#endif

// int8: elements of k in a chunk of A, as many whole groups, and whole panels of fc1, as a row has room for
// with their RowQuants: 1152, or 1024 or 768 in small groups where elements take 16 bits.
constexpr size_t Int8Chunk(size_t group) {
  const size_t row_groups = kAStride * 4 / (group * 4 / Int8::kStep + sizeof(RowQuant));
  const size_t whole = std::lcm(group, kNr);
  return HWY_MIN(row_groups * group, kMaxChunk) / whole * whole;
}
static_assert(Int8Chunk(kInt8GroupSize) == kInt8GroupSize && Int8Chunk(kSmallInt8GroupSize) != 0);

template <class Mma>
using VecB = decltype(Mma::LoadB(nullptr, 0, 0, 0));
template <class Mma>
using VecSum = hn::Vec<hn::Rebind<typename Mma::Sum, D>>;

}  // namespace HWY_NAMESPACE
}  // namespace v0_2
}  // namespace fusedffn
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
