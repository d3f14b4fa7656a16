// h + mlp(norm(h)) in one call, and the same of a linear: the bits of its parts one after the other,
// for every precision, element type and way to lie in memory; and its distance from double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "kernels/kernels.h"
#include "tests/chain.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/element_types.h"
#include "tests/error_bounds.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

// Tails of k and n; one and several chunks of k in either layer; x and y of one width, and of two.
constexpr Shape kShapes[] = {{1, 1, 1},       {65, 390, 65},   {530, 70, 97},       {1061, 1200, 49},
                             {64, 2200, 130}, {1, 1, 1, true}, {65, 390, 65, true}, {1061, 1200, 49, true}};
struct LinearShape {
  size_t in, out;
};
constexpr LinearShape kLinearShapes[] = {{1, 1}, {65, 390}, {1061, 49}, {2305, 130}};
constexpr size_t kTokens[] = {1, 9, 60, 300};
constexpr size_t kMostTokens = 300;

// Which arrays are one.
enum class Place { kApart, kXIsResidual, kXIsY, kResidualIsY, kAllAreOne };
constexpr Place kPlaces[] = {Place::kApart, Place::kXIsResidual, Place::kXIsY, Place::kResidualIsY,
                             Place::kAllAreOne};

using Kind = std::optional<NormKind>;  // or no norm

struct Types {
  DType x = DType::kF32, residual = DType::kF32, y = DType::kF32, norm = DType::kF32;
};

// A block or a linear, its input, and what the parts make of it one after the other, each as if alone.
template <class Packed>
class Problem {
 public:
  Problem(const Kernels& kernels, Packed packed, Random* random)
      : kernels_(kernels),
        packed_(std::move(packed)),
        in_(InOf(packed_)),
        out_(OutOf(packed_)),
        weight_(SevenBits(in_, random)),
        bias_(SevenBits(in_, random)),
        x_(SevenBits(kMostTokens * Width(), random)),
        residual_(SevenBits(kMostTokens * out_, random)) {}

  // y of `tokens` rows from the parts. x and the residual are the same rows if they are one array.
  std::vector<float> InParts(size_t tokens, Kind norm, bool add, bool same) const {
    std::vector<float> x;
    for (size_t t = 0; t < tokens; ++t) {
      const float* row = &x_[t * Width()];
      const std::vector<float> normal =
          norm ? ChainNorm(kernels_.fma, NormOf(*norm), row, in_) : std::vector<float>(row, row + in_);
      x.insert(x.end(), normal.begin(), normal.end());
    }
    std::vector<float> y = RunDense(packed_, x.data(), tokens);
    for (size_t i = 0; add && i < y.size(); ++i) y[i] += ResidualAt(i / out_, i % out_, same);
    return y;
  }

  // The same in one call, as the bytes of y.
  std::vector<unsigned char> AtOnce(size_t tokens, int threads, Kind kind, bool add, const Types& types,
                                    Place place) const {
    const size_t ld = Width() + 3;
    const bool same = place == Place::kXIsResidual || place == Place::kAllAreOne;
    const bool x_is_y = place == Place::kXIsY || place == Place::kAllAreOne;
    const bool residual_is_y = place == Place::kResidualIsY || place == Place::kAllAreOne;
    std::vector<unsigned char> x =
        Array(tokens, ld, types.x, [&](size_t t, size_t k) { return x_[t * Width() + k]; });
    std::vector<unsigned char> residual = Array(tokens, ld, types.residual, [&](size_t t, size_t n) {
      return n < out_ ? ResidualAt(t, n, false) : 0;
    });
    std::vector<unsigned char> y(tokens * ld * ElementBytes(types.y), 0xA5);
    void* const to = x_is_y ? x.data() : residual_is_y ? residual.data() : y.data();
    const std::vector<unsigned char> weight = Stored(kernels_, weight_, types.norm);
    const std::vector<unsigned char> bias = Stored(kernels_, bias_, types.norm);
    Norm norm = NormOf(kind.value_or(NormKind::kLayerNorm));
    norm.weight = weight.data(), norm.bias = bias.data(), norm.dtype = types.norm;
    RunOptions options = {threads};
    if (kind) options.norm = &norm;
    if (add) options.residual = {same ? x.data() : residual.data(), types.residual, ld};
    const Status status = Run(packed_, x.data(), types.x, ld, tokens, to, types.y, ld, options);
    EXPECT_TRUE(status.ok()) << status.message();
    return Columns(static_cast<const unsigned char*>(to), tokens, ld, types.y);
  }

  // One call gives the bytes of the parts.
  testing::AssertionResult Check(size_t tokens, int threads, Kind norm, bool add, const Types& types,
                                 Place place) const {
    const bool same = place == Place::kXIsResidual || place == Place::kAllAreOne;
    const std::vector<unsigned char> want = Stored(kernels_, InParts(tokens, norm, add, same), types.y);
    if (AtOnce(tokens, threads, norm, add, types, place) == want) return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "other bits; from " << in_ << " to " << out_ << " columns, precision "
           << PrecisionName(packed_.precision()) << ", " << tokens << " tokens, " << threads << " threads, "
           << (norm ? NameOf(*norm) : "no norm") << ", residual " << add << ", types "
           << static_cast<int>(types.x) << static_cast<int>(types.residual) << static_cast<int>(types.y)
           << static_cast<int>(types.norm) << ", place " << static_cast<int>(place);
  }

 private:
  size_t Width() const { return std::max(in_, out_); }
  // RMSNorm as Gemma has it.
  Norm NormOf(NormKind kind) const {
    const double offset = kind == NormKind::kRmsNorm ? 1 : 0;
    return {kind, weight_.data(), bias_.data(), DType::kF32, 1e-5, offset};
  }
  float ResidualAt(size_t token, size_t n, bool same) const {
    return same ? x_[token * Width() + n] : residual_[token * out_ + n];
  }

  template <class At>
  std::vector<unsigned char> Array(size_t tokens, size_t ld, DType dtype, const At& at) const {
    std::vector<float> values(tokens * ld, NAN);
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % ld < Width()) values[i] = at(i / ld, i % ld);
    }
    return Stored(kernels_, values, dtype);
  }

  std::vector<unsigned char> Columns(const unsigned char* rows, size_t tokens, size_t ld, DType dtype) const {
    const size_t bytes = ElementBytes(dtype);
    std::vector<unsigned char> dense(tokens * out_ * bytes);
    for (size_t t = 0; t < tokens; ++t) {
      std::memcpy(&dense[t * out_ * bytes], rows + t * ld * bytes, out_ * bytes);
    }
    return dense;
  }

  const Kernels& kernels_;
  Packed packed_;
  size_t in_, out_;
  std::vector<float> weight_, bias_, x_, residual_;
};

class TransformerTest : public TargetTest {
 protected:
  std::vector<Precision> Precisions() const { return PrecisionsOn(GetParam()); }

  Problem<PackedFfn> ProblemOf(const Shape& shape, Precision precision) const {
    Random random(shape.dim);
    return {KernelsNamed(GetParam()), PackFor(GetParam(), RandomBlock(shape, &random).weights(), precision),
            &random};
  }

  Problem<PackedLinear> ProblemOf(const LinearShape& shape, Precision precision) const {
    Random random(shape.in);
    const TestLinear linear = RandomLinear(shape.in, shape.out, &random);
    return {KernelsNamed(GetParam()), PackFor(GetParam(), linear, precision), &random};
  }

  // All that may be in front and behind.
  template <class Packed>
  void CheckParts(const Problem<Packed>& problem, size_t tokens) const {
    for (const int threads : {1, 3}) {
      for (const auto& [norm, add] :
           {std::pair(Kind(NormKind::kLayerNorm), true), std::pair(Kind(NormKind::kLayerNorm), false),
            std::pair(Kind(NormKind::kRmsNorm), true), std::pair(Kind(), true)}) {
        ASSERT_TRUE(problem.Check(tokens, threads, norm, add, {}, Place::kApart));
      }
    }
  }

  template <class Packed>
  void CheckTypes(const Problem<Packed>& problem) const {
    for (const DType x : kDTypes) {
      for (const DType residual : kDTypes) {
        for (const DType y : kDTypes) {
          for (const size_t tokens : {5u, 100u}) {
            for (const DType norm : kDTypes) {
              for (const NormKind kind : kNormKinds) {
                ASSERT_TRUE(problem.Check(tokens, 2, kind, true, {x, residual, y, norm}, Place::kApart));
              }
            }
          }
        }
      }
    }
  }

  // `wider`: y has more columns than x, which cannot be its residual then.
  template <class Packed>
  void CheckPlaces(const Problem<Packed>& problem, bool wider) const {
    const auto all_threads = FullOrLight<std::vector<int>>({1, 2, 7}, {2});
    for (const Place place : kPlaces) {
      const bool residual_from_x = place == Place::kXIsResidual || place == Place::kAllAreOne;
      if (residual_from_x && wider) continue;
      for (const DType type : kDTypes) {
        for (const size_t tokens : FullOrLight<std::vector<size_t>>({1, 20, 300}, {1, 100})) {
          for (const int threads : all_threads) {
            const NormKind kind = kNormKinds[tokens / 20 % 2];
            ASSERT_TRUE(problem.Check(tokens, threads, kind, true, {type, type, type, type}, place));
          }
        }
      }
    }
  }
};

TEST_P(TransformerTest, OneCallGivesTheBitsOfItsParts) {
  for (const Precision precision : Precisions()) {
    for (const Shape& shape : kShapes) {
      const auto problem = ProblemOf(shape, precision);
      for (const size_t tokens : kTokens) {
        if (LightRun() && tokens * shape.dim * shape.hidden > 3'000'000) break;
        CheckParts(problem, tokens);
        ASSERT_FALSE(HasFatalFailure()) << "shape " << shape;
      }
    }
  }
}

TEST_P(TransformerTest, OneCallOfALinearGivesTheBitsOfItsParts) {
  for (const Precision precision : Precisions()) {
    for (const LinearShape& shape : kLinearShapes) {
      const auto problem = ProblemOf(shape, precision);
      for (const size_t tokens : kTokens) {
        if (LightRun() && tokens * shape.in * shape.out > 3'000'000) break;
        CheckParts(problem, tokens);
        ASSERT_FALSE(HasFatalFailure());
      }
    }
  }
}

TEST_P(TransformerTest, EveryElementType) {
  for (const Precision precision : Precisions()) {
    CheckTypes(ProblemOf(Shape{70, 90, 50}, precision));
    CheckTypes(ProblemOf(LinearShape{70, 50}, precision));
    ASSERT_FALSE(HasFatalFailure());
  }
}

// Several blocks of rows in a part, parts that share panels, and y wider and narrower than x.
TEST_P(TransformerTest, EveryPlace) {
  for (const Precision precision : Precisions()) {
    for (const Shape& shape :
         {Shape{65, 390, 65}, Shape{130, 64, 17}, Shape{17, 64, 130}, Shape{65, 390, 65, true}}) {
      CheckPlaces(ProblemOf(shape, precision), shape.out > shape.dim);
      ASSERT_FALSE(HasFatalFailure()) << "shape " << shape;
    }
  }
}

TEST_P(TransformerTest, EveryPlaceOfALinear) {
  for (const Precision precision : Precisions()) {
    for (const LinearShape& shape : {LinearShape{65, 65}, LinearShape{130, 17}, LinearShape{17, 130}}) {
      CheckPlaces(ProblemOf(shape, precision), shape.out > shape.in);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

TEST_P(TransformerTest, RandomErrorsAddUpAsRandomErrorsDo) {
  const Shape shape = {256, 1024, 256};
  const size_t tokens = 33;
  ErrorGates worst;
  for (uint64_t seed = 1; seed <= FullOrLight<uint64_t>(30, 3); ++seed) {
    Random random(seed);
    const TestBlock block = RandomBlock(shape, &random);
    const std::vector<float> h = RandomTokens(shape, tokens, &random);
    const std::vector<float> weight = random.SymmetricVector(shape.dim, 2),
                             bias = random.SymmetricVector(shape.dim, 0.5);
    const Norm norm = {kNormKinds[seed % 2], weight.data(), bias.data()};
    RunOptions options = {2};
    options.norm = &norm;
    options.residual.data = h.data();
    const std::vector<float> y = RunDense(PackFor(GetParam(), block.weights()), h.data(), tokens, options);
    const ErrorGates gates =
        MeasureErrors(BoundTransformerRows(block.weights(), norm, h.data(), tokens), y.data(), tokens);
    ASSERT_TRUE(gates.Pass()) << "seed " << seed;
    worst.Merge(gates);
  }
  worst.Report(GetParam());
}

// A tower in place: 24 blocks of NoTPTransformerBlock's MLP half, CLIP-L's shape made smaller.
TEST_P(TransformerTest, ATowerInPlaceEqualsOneFromArrayToArray) {
  Random random(1);
  const Shape shape = {96, 384, 96};
  const std::vector<float> weight = random.SymmetricVector(shape.dim, 2),
                           bias = random.SymmetricVector(shape.dim, 0.5);
  const Norm norm = {NormKind::kLayerNorm, weight.data(), bias.data()};
  for (const size_t tokens : {3u, 257u}) {
    std::vector<float> in_place = RandomTokens(shape, tokens, &random), apart = in_place;
    for (int layer = 0; layer < 24; ++layer) {
      const PackedFfn ffn = PackFor(GetParam(), RandomBlock(shape, &random).weights());
      RunOptions options = {2};
      options.norm = &norm;
      options.residual.data = apart.data();
      apart = RunDense(ffn, apart.data(), tokens, options);
      options.residual.data = in_place.data();
      ASSERT_TRUE(
          fusedffn::Run(ffn, in_place.data(), shape.dim, tokens, in_place.data(), shape.dim, options).ok());
    }
    ASSERT_TRUE(SameBits(in_place.data(), shape.dim, apart.data(), shape.dim, tokens, shape.dim));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, TransformerTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn
