// RunExperts(): the oracle's sums, the bits of Run() and of the chain that the header promises, and refusals.
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/element_types.h"
#include "tests/error_bounds.h"
#include "tests/executors.h"
#include "tests/guarded_buffer.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/widen.h"

namespace fusedffn {
namespace {

// DeepSeek's layer, smaller: gated experts without biases, their weights in bf16. One has another hidden
// size.
std::vector<TestBlock> RandomExperts(size_t count, Shape shape, Random* random) {
  std::vector<TestBlock> blocks;
  for (size_t e = 0; e < count; ++e) {
    shape.hidden += e == 1 ? 9 : 0;
    TestBlock block = RandomBlock(shape, random);
    block.w1 = Rounded(block.w1), block.w2 = Rounded(block.w2), block.up_w = Rounded(block.up_w);
    block.b1.clear(), block.b2.clear(), block.up_b.clear();
    blocks.push_back(std::move(block));
  }
  return blocks;
}

struct Choices {
  std::vector<int32_t> ids;
  std::vector<float> weights;
  size_t top;

  // As a softmax leaves them: `top` different ones of `count`.
  Choices(size_t tokens, size_t most, size_t count, Random* random) : top(most) {
    std::vector<int32_t> all(count);
    for (size_t e = 0; e < count; ++e) all[e] = static_cast<int32_t>(e);
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t j = 0; j < top; ++j) {
        std::swap(all[j], all[j + random->Bits() % (count - j)]);
        ids.push_back(all[j]);
        weights.push_back(std::fabs(random->Symmetric()));
      }
    }
  }

  ExpertChoices from(size_t token) const { return {&ids[token * top], &weights[token * top], top, {}}; }
};

class ExpertsTest : public TargetTest {
 protected:
  static constexpr Shape kShape = {203, 130, 77, true};
  static constexpr size_t kExperts = 9, kTop = 4, kTokens = 120;

  // Of one precision; empty if the target does not have it.
  std::vector<PackedFfn> PackAll(const std::vector<TestBlock>& blocks, Precision precision) const {
    PackOptions options;
    options.target = GetParam().c_str();
    options.precision = precision;
    std::vector<PackedFfn> experts(blocks.size());
    for (size_t e = 0; e < blocks.size(); ++e) {
      if (!Pack(blocks[e].weights(), options, &experts[e]).ok()) return {};
    }
    return experts;
  }

  // Rows [first, first + tokens) of y without gaps.
  std::vector<float> RunRows(const std::vector<PackedFfn>& experts, const Choices& choices, size_t first,
                             size_t tokens, const RunOptions& options, bool accumulate = false) const {
    std::vector<float> y(tokens * kShape.out, accumulate ? 0.5f : NAN);
    ExpertChoices chosen = choices.from(first);
    if (accumulate) chosen.start = {y.data()};
    const Status status = RunExperts(experts.data(), experts.size(), chosen, &x_[first * kShape.dim],
                                     kShape.dim, tokens, y.data(), kShape.out, options);
    EXPECT_TRUE(status.ok()) << status.message();
    return y;
  }

  // The sum of one token's experts, each alone through Run(): the chain of the header.
  std::vector<float> Chain(const std::vector<PackedFfn>& experts, const Choices& choices, size_t token,
                           float start) const {
    std::vector<float> sum(kShape.out, start);
    for (size_t i = token * choices.top; i < (token + 1) * choices.top; ++i) {
      const std::vector<float> y =
          RunDense(experts[static_cast<size_t>(choices.ids[i])], &x_[token * kShape.dim], 1);
      for (size_t n = 0; n < sum.size(); ++n) {
        const float product = y[n] * choices.weights[i];
        sum[n] = HasFma(GetParam()) ? std::fma(y[n], choices.weights[i], sum[n]) : product + sum[n];
      }
    }
    return sum;
  }

  Random random_{1};
  std::vector<TestBlock> blocks_ = RandomExperts(kExperts, kShape, &random_);
  std::vector<float> x_ = RandomTokens(kShape, kTokens, &random_);
  Choices choices_{kTokens, kTop, kExperts, &random_};
};

// --- Numbers -----------------------------------------------------------------------------------------------

// Errors of the experts, each times its weight, and of one rounding for each choice, none larger than that of
// the sum of all magnitudes.
std::vector<RowBound> BoundSums(const std::vector<TestBlock>& blocks, const Choices& choices, const float* x,
                                size_t tokens) {
  std::vector<RowBound> rows;
  for (size_t t = 0; t < tokens; ++t) {
    const Shape& shape = blocks[0].shape;
    std::vector<double> value(shape.out), magnitude(shape.out), variance(shape.out);
    for (size_t i = t * choices.top; i < (t + 1) * choices.top; ++i) {
      const RowBound row = BoundRow(blocks[static_cast<size_t>(choices.ids[i])].weights(), x + t * shape.dim);
      for (size_t n = 0; n < shape.out; ++n) {
        const double term = row.value[n] * double{choices.weights[i]};
        const double deviation = row.deviation[n] * double{choices.weights[i]};
        value[n] += term;
        magnitude[n] += std::fabs(term);
        variance[n] += deviation * deviation;
      }
    }
    for (size_t n = 0; n < shape.out; ++n) {
      variance[n] += static_cast<double>(choices.top) * std::pow(kUnit * magnitude[n], 2);
      variance[n] = std::sqrt(variance[n]);
    }
    rows.push_back({value, variance});
  }
  return rows;
}

TEST_P(ExpertsTest, SumsAreTheOracles) {
  const size_t tokens = FullOrLight<size_t>(kTokens, 20);
  const std::vector<RowBound> bounds = BoundSums(blocks_, choices_, x_.data(), tokens);
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    const std::vector<float> y = RunRows(PackAll(blocks_, precision), choices_, 0, tokens, {2});
    EXPECT_TRUE(MeasureErrors(bounds, y.data(), tokens).Pass()) << PrecisionName(precision);
  }
}

// The relative error of one expert, twice as much allowed. bf16: of six roundings, as in precision_test.
// int8: steps of 1/127 and 1/255 of a range leave step / sqrt(12), 0.004 each of the uniform x and weights
// and 0.01 of the hidden values with their long tails, 0.015 together. The sum's is at most that of its
// terms' norms.
TEST_P(ExpertsTest, SumsOfRoundedExpertsAreTheOracles) {
  const std::pair<Precision, double> cases[] = {{Precision::kBF16Dot, 2 * 0x1p-9 * std::sqrt(6.0 / 3)},
                                                {Precision::kInt8, 2 * 0.015}};
  for (const auto& [precision, relative] : cases) {
    const std::vector<PackedFfn> experts = PackAll(blocks_, precision);
    if (experts.empty()) continue;
    const size_t tokens = FullOrLight<size_t>(kTokens, 20);
    const std::vector<float> y = RunRows(experts, choices_, 0, tokens, {2});
    double error = 0, bound = 0;
    for (size_t t = 0; t < tokens; ++t) {
      std::vector<double> want(kShape.out);
      double norms = 0;
      for (size_t i = t * kTop; i < (t + 1) * kTop; ++i) {
        const TestBlock& block = blocks_[static_cast<size_t>(choices_.ids[i])];
        double square = 0;
        const std::vector<double> row = ReferenceFfn(block.weights(), &x_[t * kShape.dim], kShape.dim, 1);
        for (size_t n = 0; n < kShape.out; ++n) {
          want[n] += row[n] * double{choices_.weights[i]};
          square += row[n] * row[n];
        }
        norms += std::sqrt(square) * double{choices_.weights[i]};
      }
      for (size_t n = 0; n < kShape.out; ++n) error += std::pow(y[t * kShape.out + n] - want[n], 2);
      bound += norms * norms;
    }
    EXPECT_LE(std::sqrt(error), relative * std::sqrt(bound)) << PrecisionName(precision);
  }
}

TEST_P(ExpertsTest, GivesTheBitsOfTheChain) {
  for (const Precision precision : PrecisionsOn(GetParam())) {
    const std::vector<PackedFfn> experts = PackAll(blocks_, precision);
    SCOPED_TRACE(PrecisionName(precision));
    for (const bool accumulate : {false, true}) {
      const std::vector<float> y = RunRows(experts, choices_, 0, kTokens, {2}, accumulate);
      for (size_t t = 0; t < kTokens; t += FullOrLight<size_t>(1, 7)) {
        const std::vector<float> want = Chain(experts, choices_, t, accumulate ? 0.5f : 0.0f);
        ASSERT_TRUE(SameBits(&y[t * kShape.out], kShape.out, want.data(), kShape.out, 1, kShape.out))
            << "token " << t << (accumulate ? ", accumulated" : "");
      }
    }
  }
}

// --- Options -----------------------------------------------------------------------------------------------

// x, start, residual and y in every type, apart and in place, with and without a norm: the bytes of a chain
// from the widened numbers, whose sum is rounded once.
struct ManyTypes {
  DType x, start, residual, y;
  bool norm, in_place;  // start and residual are y
};

class ExpertOptionsTest : public ExpertsTest {
 protected:
  static constexpr size_t kRows = 33;

  // One call; the bytes of y.
  std::vector<unsigned char> AtOnce(const ManyTypes& types, int threads) {
    const Kernels& kernels = KernelsNamed(GetParam());
    const std::vector<unsigned char> x = Stored(kernels, values_, types.x);
    std::vector<unsigned char> start = Stored(kernels, start_, types.start);
    std::vector<unsigned char> residual = Stored(kernels, residual_, types.residual);
    std::vector<unsigned char> y =
        types.in_place ? start : std::vector<unsigned char>(start.size() * 2, 0xA5);
    y.resize(kRows * kShape.out * ElementBytes(types.y));
    ExpertChoices choices = choices_.from(0);
    choices.start = {types.in_place ? y.data() : start.data(), types.start};
    RunOptions options = OptionsOn(threads);
    options.norm = types.norm ? &norm_ : nullptr;
    options.residual = {types.in_place ? y.data() : residual.data(), types.residual};
    const Status status = RunExperts(experts_.data(), experts_.size(), choices, x.data(), types.x, kShape.dim,
                                     kRows, y.data(), types.y, kShape.out, options);
    EXPECT_TRUE(status.ok()) << status.message();
    return y;
  }

  // The same from Run() of each expert.
  std::vector<unsigned char> InParts(const ManyTypes& types) const {
    std::vector<float> all;
    RunOptions options = {1};
    options.norm = types.norm ? &norm_ : nullptr;
    const std::vector<float>& residual = types.in_place ? start_ : residual_;
    for (size_t t = 0; t < kRows; ++t) {
      std::vector<float> sum(&start_[t * kShape.out], &start_[t * kShape.out] + kShape.out);
      for (size_t i = t * kTop; i < (t + 1) * kTop; ++i) {
        const PackedFfn& expert = experts_[static_cast<size_t>(choices_.ids[i])];
        const std::vector<float> y = RunDense(expert, &values_[t * kShape.dim], 1, options);
        const float weight = choices_.weights[i];
        for (size_t n = 0; n < sum.size(); ++n) {
          const float product = y[n] * weight;
          sum[n] = HasFma(GetParam()) ? std::fma(y[n], weight, sum[n]) : product + sum[n];
        }
      }
      for (size_t n = 0; n < sum.size(); ++n) all.push_back(sum[n] + residual[t * kShape.out + n]);
    }
    return Stored(KernelsNamed(GetParam()), all, types.y);
  }

  std::vector<PackedFfn> experts_ = PackAll(blocks_, Precision::kF32);
  // Numbers that all types have.
  std::vector<float> values_ = SevenBits(kRows * kShape.dim, &random_);
  std::vector<float> start_ = SevenBits(kRows * kShape.out, &random_);
  std::vector<float> residual_ = SevenBits(kRows * kShape.out, &random_);
  std::vector<float> norm_weight_ = random_.SymmetricVector(kShape.dim, 2);
  Norm norm_ = {NormKind::kRmsNorm, norm_weight_.data(), nullptr, DType::kF32, 1e-6};
};

TEST_P(ExpertOptionsTest, AllTypesANormAStartAndAResidual) {
  for (const DType x : kDTypes) {
    for (const DType y : kDTypes) {
      for (const bool norm : {false, true}) {
        const ManyTypes in_place = {x, y, y, y, norm, true};
        EXPECT_EQ(AtOnce(in_place, 2), InParts(in_place)) << int(x) << int(y) << norm << ", in place";
        const ManyTypes apart = {x, DType::kBF16, DType::kF16, y, norm, false};
        EXPECT_EQ(AtOnce(apart, kOwnThreads), InParts(apart)) << int(x) << int(y) << norm;
      }
    }
  }
}

// Any number of bytes less is refused, and nothing is written then.
TEST_P(ExpertOptionsTest, WorkspaceBytesAreExactlyEnough) {
  const std::vector<float> want = RunRows(experts_, choices_, 0, kTokens, {1});
  for (const int threads : {1, 2, 5, kOwnThreads}) {
    RunOptions options = OptionsOn(threads);
    const size_t bytes = ExpertsWorkspaceBytes(experts_.data(), kExperts, kTokens, kTop, ThreadsOf(options));
    for (size_t offset = 0; offset < 64; offset += 21) {
      GuardedBuffer<unsigned char> workspace(bytes + offset, Flush::kRight);
      options.workspace = workspace.data() + offset;
      options.workspace_bytes = bytes - 1;
      std::vector<float> y(want.size(), FloatOf(kPoisonBits));
      const auto run = [&] {
        return RunExperts(experts_.data(), kExperts, choices_.from(0), x_.data(), kShape.dim, kTokens,
                          y.data(), kShape.out, options);
      };
      EXPECT_EQ(run().code(), StatusCode::kInvalidArgument);
      EXPECT_EQ(BitsOf(y[0]), kPoisonBits);
      options.workspace_bytes = bytes;
      EXPECT_TRUE(run().ok());
      EXPECT_TRUE(SameBits(y.data(), kShape.out, want.data(), kShape.out, kTokens, kShape.out));
      EXPECT_TRUE(workspace.GapIsUntouched());
    }
  }
}

// However tokens choose: all the same expert, which is then one of up to tokens * top rows.
TEST_P(ExpertOptionsTest, WorkspaceBytesAreEnoughForAnyChoice) {
  for (size_t tokens = 1; tokens <= kTokens; tokens += FullOrLight<size_t>(7, 40)) {
    for (const int threads : {0, 1, 2}) {
      const size_t bytes = ExpertsWorkspaceBytes(experts_.data(), kExperts, tokens, kTop, threads);
      std::vector<unsigned char> workspace(bytes);
      for (const int32_t only : {-1, 1, 8}) {
        Choices choices = choices_;
        if (only >= 0) std::fill(choices.ids.begin(), choices.ids.end(), only);
        const RunOptions own = {threads, workspace.data(), bytes};
        EXPECT_EQ(RunRows(experts_, choices, 0, tokens, own), RunRows(experts_, choices, 0, tokens, {1}));
      }
    }
  }
}

TEST_P(ExpertOptionsTest, AnyExecutor) {
  const std::vector<float> want = RunRows(experts_, choices_, 0, kTokens, {1});
  for (const auto& [name, executor] : Executors(5)) {
    RunOptions options;
    options.executor = executor;
    EXPECT_EQ(RunRows(experts_, choices_, 0, kTokens, options), want) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ExpertOptionsTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

// --- Choices -----------------------------------------------------------------------------------------------

// One expert of one token each; all of one expert; experts that nobody chose, empty ones.
TEST_P(ExpertsTest, OneChoice) {
  std::vector<PackedFfn> experts = PackAll(blocks_, Precision::kF32);
  experts[0] = PackedFfn();
  experts[8] = PackedFfn();
  Choices choices(kTokens, 1, 7, &random_);
  for (int32_t& id : choices.ids) ++id;
  for (const bool all_alike : {false, true}) {
    if (all_alike) std::fill(choices.ids.begin(), choices.ids.end(), 5);
    const std::vector<float> y = RunRows(experts, choices, 0, kTokens, {2});
    for (size_t t = 0; t < kTokens; t += 5) {
      const std::vector<float> want = Chain(experts, choices, t, 0);
      ASSERT_TRUE(SameBits(&y[t * kShape.out], kShape.out, want.data(), kShape.out, 1, kShape.out)) << t;
    }
  }
}

// The largest one is among the last of many.
TEST_P(ExpertsTest, ManyExperts) {
  const std::vector<int32_t> places = {0, 63, 4095, 4096, 4999};
  std::vector<PackedFfn> packed = PackAll(blocks_, Precision::kF32), experts(5000);
  std::swap(packed[4], packed[1]);
  Choices choices(kTokens, 3, places.size(), &random_);
  for (int32_t& id : choices.ids) id = places[static_cast<size_t>(id)];
  for (size_t i = 0; i < places.size(); ++i) experts[static_cast<size_t>(places[i])] = std::move(packed[i]);
  const std::vector<float> y = RunRows(experts, choices, 0, kTokens, {2});
  for (size_t t = 0; t < kTokens; t += 5) {
    const std::vector<float> want = Chain(experts, choices, t, 0);
    ASSERT_TRUE(SameBits(&y[t * kShape.out], kShape.out, want.data(), kShape.out, 1, kShape.out)) << t;
  }
}

// An expert that nobody chose needs no room, however large it is.
TEST_P(ExpertsTest, OthersAreNotLookedAt) {
  std::vector<PackedFfn> experts = PackAll(blocks_, Precision::kF32);
  const size_t bytes = ExpertsWorkspaceBytes(experts.data(), 1, 20, 1, 1);
  ASSERT_TRUE(PackedFfn::Create({4096, 9, 5}, Activation::kSilu, OptionsFor(GetParam()), &experts[1]).ok());
  Choices choices(20, 1, 1, &random_);
  std::vector<unsigned char> workspace(bytes);
  const std::vector<float> y = RunRows(experts, choices, 0, 20, {1, workspace.data(), bytes});
  EXPECT_EQ(y, RunRows(PackAll(blocks_, Precision::kF32), choices, 0, 20, {1}));
}

TEST_P(ExpertsTest, AllExpertsAndTheSameOneTwice) {
  const std::vector<PackedFfn> experts = PackAll(blocks_, Precision::kF32);
  Choices choices(20, kExperts, kExperts, &random_);
  for (size_t t = 0; t < 20; t += 2) choices.ids[t * kExperts + 3] = choices.ids[t * kExperts];
  const std::vector<float> y = RunRows(experts, choices, 0, 20, {2});
  for (size_t t = 0; t < 20; ++t) {
    const std::vector<float> want = Chain(experts, choices, t, 0);
    ASSERT_TRUE(SameBits(&y[t * kShape.out], kShape.out, want.data(), kShape.out, 1, kShape.out)) << t;
  }
}

TEST_P(ExpertsTest, NaNStaysInItsRow) {
  const std::vector<PackedFfn> experts = PackAll(blocks_, Precision::kF32);
  const std::vector<float> want = RunRows(experts, choices_, 0, 20, {2});
  x_[3 * kShape.dim + 7] = NAN;
  choices_.weights[11 * kTop + 2] = INFINITY;
  choices_.weights[12 * kTop] = NAN;
  choices_.weights[13 * kTop + 1] = 0;  // nothing of that expert
  const std::vector<float> y = RunRows(experts, choices_, 0, 20, {2});
  for (size_t t = 0; t < 20; ++t) {
    const float *got = &y[t * kShape.out], *end = got + kShape.out;
    if (t == 3 || t == 11 || t == 12) {
      EXPECT_TRUE(std::none_of(got, end, [](float v) { return std::isfinite(v); })) << t;
    } else if (t == 13) {
      EXPECT_TRUE(std::all_of(got, end, [](float v) { return std::isfinite(v); }));
    } else {
      EXPECT_TRUE(SameBits(got, kShape.out, &want[t * kShape.out], kShape.out, 1, kShape.out)) << t;
    }
  }
}

// --- Memory ------------------------------------------------------------------------------------------------

// All arrays at the edge of what may be touched, at either end; rows apart, with what is between them kept.
TEST_P(ExpertsTest, TouchesNothingElse) {
  const std::vector<PackedFfn> experts = PackAll(blocks_, Precision::kF32);
  const size_t tokens = 13, ldx = kShape.dim + 5, ldy = kShape.out + 3;
  const std::vector<float> want = RunRows(experts, choices_, 0, tokens, {1});
  for (const Flush flush : {Flush::kLeft, Flush::kRight}) {
    GuardedBuffer<float> x((tokens - 1) * ldx + kShape.dim, flush), y((tokens - 1) * ldy + kShape.out, flush);
    GuardedBuffer<int32_t> ids({choices_.ids.begin(), choices_.ids.begin() + tokens * kTop}, flush);
    GuardedBuffer<float> weights({choices_.weights.begin(), choices_.weights.begin() + tokens * kTop}, flush);
    for (size_t t = 0; t < tokens; ++t) std::copy_n(&x_[t * kShape.dim], kShape.dim, x.data() + t * ldx);
    const ExpertChoices choices = {ids.data(), weights.data(), kTop, {}};
    const Status status =
        RunExperts(experts.data(), experts.size(), choices, x.data(), ldx, tokens, y.data(), ldy, {2});
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(SameBits(y.data(), ldy, want.data(), kShape.out, tokens, kShape.out));
    EXPECT_TRUE(y.GapIsUntouched());
    for (size_t t = 0; t + 1 < tokens; ++t) {
      for (size_t n = kShape.out; n < ldy; ++n) ASSERT_EQ(BitsOf(y[t * ldy + n]), kPoisonBits);
    }
  }
}

// y on x, and y one row further.
TEST_P(ExpertsTest, YMayOverlapX) {
  const std::vector<PackedFfn> experts = PackAll(blocks_, Precision::kF32);
  const size_t tokens = 50, ld = kShape.dim;
  const std::vector<float> want = RunRows(experts, choices_, 0, tokens, {1});
  for (const size_t offset : {size_t{0}, ld}) {
    std::vector<float> both(x_.begin(), x_.begin() + static_cast<ptrdiff_t>((tokens + 1) * ld));
    float* const y = both.data() + offset;
    ASSERT_TRUE(
        RunExperts(experts.data(), experts.size(), choices_.from(0), both.data(), ld, tokens, y, ld, {2})
            .ok());
    EXPECT_TRUE(SameBits(y, ld, want.data(), kShape.out, tokens, kShape.out));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ExpertsTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

// --- Refusals ----------------------------------------------------------------------------------------------

// Valid arguments: three experts 5 -> 7 -> 3, two tokens with two choices each.
struct Arguments {
  std::vector<PackedFfn> experts = std::vector<PackedFfn>(3);
  size_t expert_count = 3;
  std::vector<int32_t> ids = {2, 0, 1, 2};
  std::vector<float> weights = {0.5f, 0.25f, 1, 2};
  std::vector<float> x = std::vector<float>(10, 1.0f), y = std::vector<float>(6, FloatOf(kPoisonBits));
  ExpertChoices choices = {ids.data(), weights.data(), 2, {}};
  size_t ldx = 5, ldy = 3, tokens = 2;
  const PackedFfn* first = experts.data();
  const float* x_rows = x.data();
  float* y_rows = y.data();
  DType x_dtype = DType::kF32, y_dtype = DType::kF32;
  Norm norm;
  RunOptions options = {1};

  Arguments() {
    for (size_t e = 0; e < 3; ++e) SetExpert(e, {5, 7, 3});
  }

  void SetExpert(size_t e, const Shape& shape, const PackOptions& pack = {}) {
    Random random(e);
    EXPECT_TRUE(Pack(RandomBlock(shape, &random).weights(), pack, &experts[e]).ok());
  }

  Status Call() const {
    return RunExperts(first, expert_count, choices, x_rows, x_dtype, ldx, tokens, y_rows, y_dtype, ldy,
                      options);
  }
};

struct BadCase {
  const char* name;
  StatusCode code;
  const char* message;  // a part of it
  void (*change)(Arguments& a);
};

std::ostream& operator<<(std::ostream& out, const BadCase& c) { return out << c.name; }

constexpr StatusCode kInvalid = StatusCode::kInvalidArgument, kIncomplete = StatusCode::kIncomplete;

const BadCase kBadCases[] = {
    {"ExpertsNull", kInvalid, "experts is null", [](Arguments& a) { a.first = nullptr; }},
    {"NoExperts", kInvalid, "expert_count is 0", [](Arguments& a) { a.expert_count = 0; }},
    {"ExpertCountHuge", kInvalid, "expert_count is 1844", [](Arguments& a) { a.expert_count = SIZE_MAX; }},
    {"IdsNull", kInvalid, "choices.ids is null", [](Arguments& a) { a.choices.ids = nullptr; }},
    {"WeightsNull", kInvalid, "choices.weights is null", [](Arguments& a) { a.choices.weights = nullptr; }},
    {"IdsMisaligned", kInvalid, "choices.ids is not aligned to 4 bytes",
     [](Arguments& a) {
       a.choices.ids = reinterpret_cast<const int32_t*>(reinterpret_cast<const char*>(a.choices.ids) + 1);
     }},
    {"TopZero", kInvalid, "choices.top is 0; for 2 tokens it must be 1 to 2147483647",
     [](Arguments& a) { a.choices.top = 0; }},
    {"TopHuge", kInvalid, "choices.top is 2147483648;",
     [](Arguments& a) { a.choices.top = size_t{1} << 31; }},
    {"TokensHuge", kInvalid, "choices.top is 2; for 18446744073709551615 tokens",
     [](Arguments& a) { a.tokens = SIZE_MAX; }},
    {"IdTooLarge", kInvalid, "choices.ids[1][0] is 3; it must be 0 to 2", [](Arguments& a) { a.ids[2] = 3; }},
    {"IdNegative", kInvalid, "choices.ids[0][1] is -1; it", [](Arguments& a) { a.ids[1] = -1; }},
    {"IdMin", kInvalid, "choices.ids[1][1] is -2147483648;", [](Arguments& a) { a.ids[3] = INT32_MIN; }},
    {"ExpertEmpty", kIncomplete, "experts[1]: this PackedFfn is empty",
     [](Arguments& a) { a.experts[1] = PackedFfn(); }},
    {"FirstExpertEmpty", kIncomplete, "experts[2]: this PackedFfn is empty",
     [](Arguments& a) { a.experts[2] = PackedFfn(); }},
    {"ExpertIncomplete", kIncomplete, "experts[0]: 10 rows of the weights have not been packed",
     [](Arguments& a) {
       EXPECT_TRUE(PackedFfn::Create({5, 7, 3}, Activation::kSilu, {}, &a.experts[0]).ok());
     }},
    {"OtherDim", kInvalid, "experts[2] has dim 5 and out 3 on ",
     [](Arguments& a) {
       a.SetExpert(1, {6, 7, 3});
     }},
    {"OtherOut", kInvalid, "experts[1] 5 and 4 on ",
     [](Arguments& a) {
       a.SetExpert(1, {5, 7, 4});
     }},
    {"XNull", kInvalid, "x is null", [](Arguments& a) { a.x_rows = nullptr; }},
    {"YNull", kInvalid, "y is null", [](Arguments& a) { a.y_rows = nullptr; }},
    {"LdxSmall", kInvalid, "ldx is 4; it must be at least 5", [](Arguments& a) { a.ldx = 4; }},
    {"LdySmall", kInvalid, "ldy is 2; it must be at least 3", [](Arguments& a) { a.ldy = 2; }},
    {"LdxHuge", kInvalid, "x: 2 rows of stride", [](Arguments& a) { a.ldx = SIZE_MAX; }},
    {"LdyHuge", kInvalid, "y: 2 rows of stride", [](Arguments& a) { a.ldy = SIZE_MAX / 4; }},
    {"XDType", kInvalid, "dtype 3 is none of", [](Arguments& a) { a.x_dtype = DType(3); }},
    {"YDType", kInvalid, "dtype -1 is none of", [](Arguments& a) { a.y_dtype = DType(-1); }},
    {"WeightsInY", kInvalid, "choices.weights and y overlap; they must be apart",
     [](Arguments& a) { a.choices.weights = &a.y[5]; }},
    {"IdsInY", kInvalid, "choices.ids and y overlap; they must be apart",
     [](Arguments& a) {
       a.ids.resize(4 + 6);
       a.choices.ids = a.ids.data();
       a.y_rows = reinterpret_cast<float*>(&a.ids[3]);
     }},
    {"WeightsMisaligned", kInvalid, "choices.weights is not aligned to 4 bytes",
     [](Arguments& a) {
       a.choices.weights = reinterpret_cast<const float*>(reinterpret_cast<const char*>(a.x.data()) + 1);
     }},
    {"StartInY", kInvalid, "choices.start and y overlap", [](Arguments& a) { a.choices.start = {&a.y[1]}; }},
    {"StartOfOtherType", kInvalid, "choices.start and y overlap",
     [](Arguments& a) {
       a.choices.start = {a.y.data(), DType::kF16};
     }},
    {"StartStrideSmall", kInvalid, "choices.start.stride is 2; it must be at least 3",
     [](Arguments& a) {
       a.choices.start = {a.x.data(), DType::kF32, 2};
     }},
    {"ResidualInY", kInvalid, "residual and y overlap", [](Arguments& a) { a.options.residual = {&a.y[2]}; }},
    {"NormInY", kInvalid, "norm.weight and y overlap",
     [](Arguments& a) {
       a.norm.weight = a.y.data();
       a.options.norm = &a.norm;
     }},
    {"NormEps", kInvalid, "norm.eps is -1",
     [](Arguments& a) {
       a.norm.eps = -1;
       a.options.norm = &a.norm;
     }},
    {"WorkspaceShort", kInvalid, "workspace_bytes is 1; this call needs ",
     [](Arguments& a) {
       a.options.workspace = a.x.data();
       a.options.workspace_bytes = 1;
     }},
    {"ExecutorAndThreads", kInvalid, "threads is 1; with an executor it must be 0",
     [](Arguments& a) { a.options.executor = OwnThreads(2); }},
    {"ThreadsNegative", kInvalid, "threads is -2", [](Arguments& a) { a.options.threads = -2; }},
    {"ThreadsHuge", kInvalid, "threads is 2147483647", [](Arguments& a) { a.options.threads = INT_MAX; }},
};

class BadExpertsTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadExpertsTest, IsRefusedAndTouchesNothing) {
  Arguments a;
  const std::vector<float> x_before = a.x;
  GetParam().change(a);
  const Status status = a.Call();
  EXPECT_EQ(status.code(), GetParam().code);
  EXPECT_NE(std::strstr(status.message(), GetParam().message), nullptr) << status.message();
  for (const float value : a.y) EXPECT_EQ(BitsOf(value), kPoisonBits) << "y was written";
  EXPECT_EQ(a.x, x_before);
}

INSTANTIATE_TEST_SUITE_P(Experts, BadExpertsTest, testing::ValuesIn(kBadCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ExpertArgumentsTest, TheValidOnesAreAccepted) { EXPECT_TRUE(Arguments().Call().ok()); }

TEST(ExpertArgumentsTest, ExpertsOfTwoTargets) {
  if (SupportedTargets().size() < 2) GTEST_SKIP() << "one target only";
  Arguments a;
  a.SetExpert(0, {5, 7, 3}, {SupportedTargets()[1].c_str()});
  const Status status = a.Call();
  EXPECT_EQ(status.code(), kInvalid);
  EXPECT_NE(std::strstr(status.message(), "they must be alike"), nullptr) << status.message();
}

// Nine tokens with three choices each among five good experts, and y with gaps.
struct ManyChoices {
  static constexpr size_t kTokens = 9, kTop = 3, kLd = 8;
  std::vector<PackedFfn> experts;
  std::vector<int32_t> ids = std::vector<int32_t>(kTokens * kTop);
  std::vector<float> weights = std::vector<float>(kTokens * kTop, 0.5f);
  std::vector<float> x = std::vector<float>(kTokens * kLd, 1.0f);
  std::vector<float> y = std::vector<float>(kTokens * kLd, FloatOf(kPoisonBits));

  ManyChoices() {
    Random random(1);
    for (size_t e = 0; e < 5; ++e) {
      experts.emplace_back();
      EXPECT_TRUE(Pack(RandomBlock({5, 7, 3}, &random).weights(), {}, &experts[e]).ok());
    }
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i + 3) % 5);
  }

  // All that chose `from` choose `to` instead.
  void Replace(int32_t from, int32_t to) { std::replace(ids.begin(), ids.end(), from, to); }

  Status Call(bool accumulate) {
    ExpertChoices choices = {ids.data(), weights.data(), kTop, {}};
    if (accumulate) choices.start = {y.data(), DType::kF32, kLd};
    return RunExperts(experts.data(), experts.size(), choices, x.data(), kLd, kTokens, y.data(), kLd, {2});
  }
};

// What takes the place of expert 2, and what is said of it: a message of its own, or how it is described
// where it is compared with another.
struct BadExpert {
  PackedFfn expert;
  StatusCode code;
  std::string message, as;
};

std::vector<BadExpert> BadExperts() {
  std::vector<BadExpert> bad(2);
  bad[0] = {PackedFfn(), kIncomplete, "experts[2]: this PackedFfn is empty: Pack() weights into it first",
            ""};
  bad[1] = {PackedFfn(), kIncomplete, "experts[2]: 10 rows of the weights have not been packed", ""};
  EXPECT_TRUE(PackedFfn::Create({5, 7, 3}, Activation::kSilu, {}, &bad[1].expert).ok());
  const auto add = [&](const Shape& shape, const std::string& target) {
    Random random(7);
    const std::string as =
        std::to_string(shape.dim) + " and out " + std::to_string(shape.out) + " on " + target;
    bad.push_back({PackFor(target, RandomBlock(shape, &random).weights()), kInvalid, "", as});
  };
  const std::vector<std::string> targets = SupportedTargets();
  add({6, 7, 3}, targets[0]);
  add({5, 7, 4}, targets[0]);
  add({4, 7, 3, true}, targets[0]);
  if (targets.size() > 1) add({5, 7, 3}, targets[1]);
  return bad;
}

// The library's words of two experts, the first of which is that of the first choice.
std::string NotAlike(int32_t first, const std::string& first_as, int32_t other, std::string other_as) {
  other_as.replace(other_as.find("and out "), 8, "and ");
  return "experts[" + std::to_string(first) + "] has dim " + first_as + ", experts[" + std::to_string(other) +
         "] " + other_as + "; they must be alike";
}

void ExpectRefused(ManyChoices& call, StatusCode code, const std::string& message) {
  for (const bool accumulate : {false, true}) {
    const Status status = call.Call(accumulate);
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), message);
    for (const float value : call.y) ASSERT_EQ(BitsOf(value), kPoisonBits) << "y was written";
  }
}

// One choice of all names it: of the first, a middle or the last token, as its first, second or last one.
TEST(ExpertArgumentsTest, ABadExpertIsRefusedWhicheverChoiceNamesIt) {
  const std::string good = "5 and out 3 on " + SupportedTargets()[0];
  for (BadExpert& bad : BadExperts()) {
    ManyChoices call;
    call.experts[2] = std::move(bad.expert);
    call.Replace(2, 4);
    EXPECT_TRUE(call.Call(false).ok()) << "nobody has chosen it";
    call.y.assign(call.y.size(), FloatOf(kPoisonBits));
    const std::vector<int32_t> ids = call.ids;
    for (size_t place = 0; place < ids.size(); ++place) {
      SCOPED_TRACE(testing::Message() << "token " << place / ManyChoices::kTop << ", choice "
                                      << place % ManyChoices::kTop << " is bad: " << bad.message << bad.as);
      call.ids = ids;
      call.ids[place] = 2;
      std::string message = bad.message;
      // The first choice's expert is what the others are compared with, in their order.
      if (message.empty() && place == 0) message = NotAlike(2, bad.as, 0, good);
      if (message.empty()) message = NotAlike(ids[0], good, 2, bad.as);
      ExpectRefused(call, bad.code, message);
    }
  }
}

TEST(ExpertArgumentsTest, ABadExpertThatManyChooseIsRefused) {
  for (BadExpert& bad : BadExperts()) {
    ManyChoices call;
    call.experts[2] = std::move(bad.expert);
    const std::string good = "5 and out 3 on " + SupportedTargets()[0];
    ExpectRefused(call, bad.code, bad.message.empty() ? NotAlike(call.ids[0], good, 2, bad.as) : bad.message);
  }
}

TEST(ExpertsWorkspaceBytesTest, IsZeroForWhatCannotRun) {
  Arguments a;
  const std::vector<PackedFfn> empty(2);
  EXPECT_EQ(ExpertsWorkspaceBytes(empty.data(), 2, 4, 2, 1), 0u);
  EXPECT_EQ(ExpertsWorkspaceBytes(nullptr, 2, 4, 2, 1), 0u);
  EXPECT_EQ(ExpertsWorkspaceBytes(a.first, 3, 4, 0, 1), 0u);
  EXPECT_EQ(ExpertsWorkspaceBytes(a.first, 3, SIZE_MAX, 2, 1), 0u);
  for (const int threads : {-1, INT_MIN, INT_MAX})
    EXPECT_EQ(ExpertsWorkspaceBytes(a.first, 3, 4, 2, threads), 0u);
  EXPECT_GT(ExpertsWorkspaceBytes(a.first, 3, 4, 2, 0), 0u);
}

TEST(ExpertArgumentsTest, NoTokens) {
  const Status status = RunExperts(nullptr, 0, {}, nullptr, 0, 0, nullptr, 0);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(RunExperts(nullptr, 0, {}, nullptr, 0, 0, nullptr, 0, {-7}).ok());
}

}  // namespace
}  // namespace fusedffn
