// PackedLinear by the public header: every wrong argument has its error and touches nothing; packing in
// pieces is packing at once; and what it says of handles and workspaces holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/executors.h"
#include "tests/guarded_buffer.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/workspace.h"

namespace fusedffn {
namespace {

constexpr size_t kIn = 5, kOut = 7, kTokens = 4;

// Valid arguments for every function. Each bad case changes one of them.
struct Arguments {
  Random random{1};
  TestLinear linear = RandomLinear(kIn, kOut, &random);
  std::vector<float> x = RandomTokens(kIn, kTokens, &random);
  std::vector<float> y = std::vector<float>(kTokens * kOut, FloatOf(kPoisonBits));
  std::vector<int8_t> q = std::vector<int8_t>(kIn * kOut, 1);
  std::vector<float> scales = std::vector<float>(kOut, 1.0f);
  std::vector<unsigned char> workspace;
  Linear weights = linear.weights();
  PackedLinear packed;  // complete
  PackedLinear half;    // rows 0 to 2 are packed, no others
  PackedLinear int8;    // no row is packed
  PackedLinear empty;

  Arguments() {
    EXPECT_TRUE(PackAll().ok());
    EXPECT_TRUE(PackedLinear::Create(kIn, kOut, Activation::kSilu, {}, &half).ok());
    EXPECT_TRUE(PackRows(0, 3).ok());
    const PackOptions quantized = {nullptr, Precision::kInt8};
    EXPECT_TRUE(PackedLinear::Create(kIn, kOut, Activation::kSilu, quantized, &int8).ok());
    workspace.assign(WorkspaceBytes(packed, kTokens, 1), 0xA5);
  }

  Status Create(size_t in, size_t out, const PackOptions& options = {}) {
    return PackedLinear::Create(in, out, Activation::kSilu, options, &packed);
  }
  Status PackAll(const PackOptions& options = {}) {
    return Pack(weights, kIn, kOut, linear.activation, options, &packed);
  }
  Status PackRows(size_t first_row, size_t rows, size_t stride = kIn, DType dtype = DType::kF32) {
    return half.PackRows(first_row, rows, linear.w.data(), dtype, stride);
  }
  Status PackQuantized(PackedLinear* into, size_t first_row, size_t rows, size_t stride = kIn) {
    return into->PackQuantizedRows(first_row, rows, q.data(), stride, scales.data());
  }
  Status RunWith(const PackedLinear& with, const RunOptions& options = {1}) {
    return Run(with, x.data(), kIn, kTokens, y.data(), kOut, options);
  }
  Status RunRows(const float* in, size_t ldx, float* out, size_t ldy, size_t tokens = kTokens) {
    return Run(packed, in, ldx, tokens, out, ldy, {1});
  }
  Status RunTypes(DType x_dtype, DType y_dtype) {
    return Run(packed, x.data(), x_dtype, kIn, kTokens, y.data(), y_dtype, kOut, {1});
  }
  Status RunNorm(const Norm& norm) {
    RunOptions options = {1};
    options.norm = &norm;
    return RunWith(packed, options);
  }
  Status RunResidual(const Addend& residual) {
    RunOptions options = {1};
    options.residual = residual;
    return RunWith(packed, options);
  }
};

struct BadCase {
  const char* name;
  StatusCode code;
  const char* message;  // a part of it
  Status (*call)(Arguments& a);
};

std::ostream& operator<<(std::ostream& out, const BadCase& c) { return out << c.name; }

constexpr StatusCode kInvalid = StatusCode::kInvalidArgument, kIncomplete = StatusCode::kIncomplete;
constexpr StatusCode kTarget = StatusCode::kUnsupportedTarget;
constexpr size_t kHuge = size_t{1} << 30;

const float* Misaligned(const std::vector<float>& floats) {
  return reinterpret_cast<const float*>(reinterpret_cast<const char*>(floats.data()) + 1);
}

const BadCase kCreateCases[] = {
    {"CreateIntoNull", kInvalid, "linear is null",
     [](Arguments&) { return PackedLinear::Create(kIn, kOut, Activation::kSilu, {}, nullptr); }},
    {"InZero", kInvalid, "in is 0; it must be 1 to 1073741824", [](Arguments& a) { return a.Create(0, 7); }},
    {"OutZero", kInvalid, "out is 0; it must be 1 to", [](Arguments& a) { return a.Create(5, 0); }},
    {"InHuge", kInvalid, "in is 18446744073709551615;", [](Arguments& a) { return a.Create(SIZE_MAX, 7); }},
    {"OutHuge", kInvalid, "out is 1073741825;", [](Arguments& a) { return a.Create(5, kHuge + 1); }},
    {"TooLarge", kInvalid, "a layer of 1073741824 x 1073741824 is too large",
     [](Arguments& a) { return a.Create(kHuge, kHuge); }},
    {"CreateActivation", kInvalid, "activation 9 is none of quick_gelu, gelu,",
     [](Arguments& a) { return PackedLinear::Create(kIn, kOut, Activation(9), {}, &a.packed); }},
    {"CreatePrecision", kInvalid, "precision 9 is none of f32, bf16,",
     [](Arguments& a) {
       return a.Create(5, 7, {nullptr, Precision(9)});
     }},
    {"CreateTarget", kTarget, "'AVX9' is unknown", [](Arguments& a) { return a.Create(5, 7, {"AVX9"}); }},

    {"PackIntoNull", kInvalid, "linear is null",
     [](Arguments& a) { return Pack(a.weights, kIn, kOut, Activation::kSilu, {}, nullptr); }},
    {"PackInZero", kInvalid, "in is 0",
     [](Arguments& a) { return Pack(a.weights, 0, kOut, Activation::kSilu, {}, &a.packed); }},
    {"PackOutHuge", kInvalid, "out is",
     [](Arguments& a) { return Pack(a.weights, kIn, SIZE_MAX, Activation::kSilu, {}, &a.packed); }},
    {"PackActivation", kInvalid, "activation -1",
     [](Arguments& a) { return Pack(a.weights, kIn, kOut, Activation(-1), {}, &a.packed); }},
    {"PackPrecision", kInvalid, "precision -1",
     [](Arguments& a) {
       return a.PackAll({nullptr, Precision(-1)});
     }},
    {"PackTarget", kTarget, "'X' is unknown", [](Arguments& a) { return a.PackAll({"X"}); }},
    {"WeightNull", kInvalid, "linear.weight is null",
     [](Arguments& a) { return a.weights.weight = nullptr, a.PackAll(); }},
    {"PackDType", kInvalid, "dtype 3 is none of",
     [](Arguments& a) { return a.weights.dtype = DType(3), a.PackAll(); }},
    {"PackStride", kInvalid, "linear.stride is 4; it must be at least 5",
     [](Arguments& a) { return a.weights.stride = 4, a.PackAll(); }},
    {"PackStrideHuge", kInvalid, "7 such rows do not fit in memory",
     [](Arguments& a) { return a.weights.stride = SIZE_MAX / 8, a.PackAll(); }},
};

const BadCase kRowsCases[] = {
    {"RowsOfEmpty", kInvalid, "this PackedLinear is empty: Create() it first",
     [](Arguments& a) { return a.empty.PackRows(0, 1, a.linear.w.data(), DType::kF32, 5); }},
    {"RowsNull", kInvalid, "linear: weight is null",
     [](Arguments& a) { return a.half.PackRows(3, 1, nullptr, DType::kF32, 5); }},
    {"RowsDType", kInvalid, "dtype 77", [](Arguments& a) { return a.PackRows(3, 1, 5, DType(77)); }},
    {"RowsStride", kInvalid, "linear.stride is 4;", [](Arguments& a) { return a.PackRows(3, 1, 4); }},
    {"RowsStrideHuge", kInvalid, "do not fit", [](Arguments& a) { return a.PackRows(3, 2, SIZE_MAX / 2); }},
    {"RowsPastTheEnd", kInvalid, "linear has rows 0 to 6; 5 rows from 3 on are not among them",
     [](Arguments& a) { return a.PackRows(3, 5); }},
    {"RowsStartFar", kInvalid, "not among", [](Arguments& a) { return a.PackRows(SIZE_MAX, 1); }},
    {"RowsSumWraps", kInvalid, "not among", [](Arguments& a) { return a.PackRows(3, SIZE_MAX - 1); }},
    {"RowTwice", kInvalid, "linear: row 2 has been packed before",
     [](Arguments& a) { return a.PackRows(2, 2); }},
    {"RowOfACompleteOne", kInvalid, "row 6 has been packed before",
     [](Arguments& a) { return a.packed.PackRows(6, 1, a.linear.w.data(), DType::kF32, 5); }},

    {"QuantizedOfEmpty", kInvalid, "this PackedLinear is empty",
     [](Arguments& a) { return a.PackQuantized(&a.empty, 0, 7); }},
    {"QuantizedIntoF32", kInvalid, "rows need precision kInt8; this is f32",
     [](Arguments& a) { return a.PackQuantized(&a.half, 3, 4); }},
    {"QuantizedPastTheEnd", kInvalid, "linear has rows 0 to 6",
     [](Arguments& a) { return a.PackQuantized(&a.int8, 3, 5); }},
    {"QuantizedStride", kInvalid, "linear.stride is 4;",
     [](Arguments& a) { return a.PackQuantized(&a.int8, 0, 7, 4); }},
    {"QuantizedStrideHuge", kInvalid, "do not fit",
     [](Arguments& a) { return a.PackQuantized(&a.int8, 0, 7, SIZE_MAX / 2); }},
    {"QuantizedNull", kInvalid, "linear: weight is null",
     [](Arguments& a) { return a.int8.PackQuantizedRows(0, 7, nullptr, 5, a.scales.data()); }},
    {"ScalesNull", kInvalid, "scales is null",
     [](Arguments& a) { return a.int8.PackQuantizedRows(0, 7, a.q.data(), 5, nullptr); }},
    {"QuantizedTwice", kInvalid, "row 1 has been packed before",
     [](Arguments& a) {
       EXPECT_TRUE(a.PackQuantized(&a.int8, 1, 2).ok());
       return a.PackQuantized(&a.int8, 0, 7);
     }},

    {"BiasOfEmpty", kInvalid, "this PackedLinear is empty",
     [](Arguments& a) { return a.empty.PackBias(a.linear.b.data(), DType::kF32); }},
    {"BiasNull", kInvalid, "bias is null",
     [](Arguments& a) { return a.packed.PackBias(nullptr, DType::kF32); }},
    {"BiasDType", kInvalid, "dtype 3",
     [](Arguments& a) { return a.packed.PackBias(a.linear.b.data(), DType(3)); }},
};

const BadCase kRunCases[] = {
    {"RunEmpty", kIncomplete, "this PackedLinear is empty: Pack() weights into it first",
     [](Arguments& a) { return a.RunWith(a.empty); }},
    {"RunMovedFrom", kIncomplete, "empty",
     [](Arguments& a) {
       const PackedLinear elsewhere = std::move(a.half);
       return a.RunWith(a.half);
     }},
    {"RunHalfPacked", kIncomplete, "4 rows of the weights have not been packed",
     [](Arguments& a) { return a.RunWith(a.half); }},
    {"XNull", kInvalid, "x is null", [](Arguments& a) { return a.RunRows(nullptr, 5, a.y.data(), 7); }},
    {"YNull", kInvalid, "y is null", [](Arguments& a) { return a.RunRows(a.x.data(), 5, nullptr, 7); }},
    {"LdxSmall", kInvalid, "ldx is 4; it must be at least 5",
     [](Arguments& a) { return a.RunRows(a.x.data(), 4, a.y.data(), 7); }},
    {"LdySmall", kInvalid, "ldy is 6; it must be at least 7",
     [](Arguments& a) { return a.RunRows(a.x.data(), 5, a.y.data(), 6); }},
    {"LdxHuge", kInvalid, "x: 4 rows",
     [](Arguments& a) { return a.RunRows(a.x.data(), SIZE_MAX, a.y.data(), 7); }},
    {"LdyHuge", kInvalid, "y: 4 rows",
     [](Arguments& a) { return a.RunRows(a.x.data(), 5, a.y.data(), SIZE_MAX / 8); }},
    {"TokensHuge", kInvalid, "do not fit",
     [](Arguments& a) { return a.RunRows(a.x.data(), 5, a.y.data(), 7, SIZE_MAX); }},
    {"XMisaligned", kInvalid, "x is not aligned to 4 bytes",
     [](Arguments& a) { return a.RunRows(Misaligned(a.x), 5, a.y.data(), 7, 3); }},
    {"YMisaligned", kInvalid, "y is not aligned to 4 bytes",
     [](Arguments& a) { return a.RunRows(a.x.data(), 5, const_cast<float*>(Misaligned(a.y)), 7, 3); }},
    {"XDType", kInvalid, "dtype 5", [](Arguments& a) { return a.RunTypes(DType(5), DType::kF32); }},
    {"YDType", kInvalid, "dtype -3", [](Arguments& a) { return a.RunTypes(DType::kF32, DType(-3)); }},
    {"YStartsInX", kInvalid, "x and y overlap; y must be apart from x, or x itself",
     [](Arguments& a) { return a.RunRows(a.x.data(), 5, &a.x[9], 7, 2); }},
    {"XStartsInY", kInvalid, "x and y overlap",
     [](Arguments& a) { return a.RunRows(&a.x[2], 5, a.x.data(), 7, 2); }},
    {"SamePlaceOtherStride", kInvalid, "x and y overlap",
     [](Arguments& a) { return a.RunRows(a.x.data(), 5, a.x.data(), 7, 2); }},
    {"ThreadsNegative", kInvalid, "threads is -2", [](Arguments& a) { return a.RunWith(a.packed, {-2}); }},
    {"ThreadsMax", kInvalid, "threads is 2147483647",
     [](Arguments& a) { return a.RunWith(a.packed, {INT_MAX}); }},
    {"WorkspaceOneByteShort", kInvalid, "workspace_bytes is",
     [](Arguments& a) {
       return a.RunWith(a.packed, {1, a.workspace.data(), a.workspace.size() - 1});
     }},
    {"WorkspaceOfNoBytes", kInvalid, "workspace_bytes is 0; this call needs",
     [](Arguments& a) {
       return a.RunWith(a.packed, {1, a.workspace.data(), 0});
     }},
    {"Eps", kInvalid, "norm.eps is -1;",
     [](Arguments& a) {
       return a.RunNorm({NormKind::kLayerNorm, nullptr, nullptr, DType::kF32, -1});
     }},
    {"NormWeightInY", kInvalid, "norm.weight and y overlap",
     [](Arguments& a) {
       return a.RunNorm({NormKind::kLayerNorm, &a.y[27]});
     }},
    {"NormBiasMisaligned", kInvalid, "norm.bias is not aligned",
     [](Arguments& a) {
       return a.RunNorm({NormKind::kLayerNorm, nullptr, Misaligned(a.x)});
     }},
    {"ResidualStride", kInvalid, "residual.stride is 6; it must be at least 7",
     [](Arguments& a) {
       return a.RunResidual({a.linear.w.data(), DType::kF32, 6});
     }},
    {"ResidualDType", kInvalid, "dtype 7",
     [](Arguments& a) {
       return a.RunResidual({a.linear.w.data(), DType(7)});
     }},
    {"ResidualStartsInY", kInvalid,
     "residual and y overlap; y must be apart from residual, or residual itself",
     [](Arguments& a) { return a.RunResidual({&a.y[7]}); }},
    {"ResidualIsYOfOtherStride", kInvalid, "residual and y overlap",
     [](Arguments& a) {
       return a.RunResidual({a.y.data(), DType::kF32, 8});
     }},
};

class BadLinearTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadLinearTest, IsRefusedAndTouchesNothing) {
  Arguments a;
  const std::vector<float> y_before = RunDense(a.packed, a.x.data(), kTokens), x_before = a.x;
  const std::vector<unsigned char> workspace_before = a.workspace;
  const Status status = GetParam().call(a);
  EXPECT_EQ(status.code(), GetParam().code) << status.message();
  EXPECT_NE(std::strstr(status.message(), GetParam().message), nullptr) << status.message();
  EXPECT_EQ(std::strchr(status.message(), '\n'), nullptr) << status.message();
  for (const float value : a.y) ASSERT_EQ(BitsOf(value), kPoisonBits) << "y was written";
  EXPECT_EQ(a.x, x_before);
  EXPECT_EQ(a.workspace, workspace_before);
  EXPECT_EQ(RunDense(a.packed, a.x.data(), kTokens), y_before) << "the handle was changed";
}

constexpr auto kNameOf = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Create, BadLinearTest, testing::ValuesIn(kCreateCases), kNameOf);
INSTANTIATE_TEST_SUITE_P(Rows, BadLinearTest, testing::ValuesIn(kRowsCases), kNameOf);
INSTANTIATE_TEST_SUITE_P(Run, BadLinearTest, testing::ValuesIn(kRunCases), kNameOf);

// A refused piece leaves the handle ready for the right one.
TEST(LinearPiecesTest, GoOnAfterAnError) {
  Arguments a;
  EXPECT_FALSE(a.PackRows(2, 2).ok());
  EXPECT_FALSE(a.PackRows(3, 5).ok());
  EXPECT_TRUE(a.half.PackRows(7, 0, nullptr, DType::kF32, 0).ok());
  ASSERT_TRUE(a.half.PackRows(3, 4, &a.linear.w[3 * kIn], DType::kF32, kIn).ok());
  ASSERT_TRUE(a.half.PackBias(a.linear.b.data(), DType::kF32).ok());
  a.linear.activation = Activation::kSilu;
  ASSERT_TRUE(Pack(a.weights, kIn, kOut, Activation::kSilu, {}, &a.packed).ok());
  EXPECT_EQ(RunDense(a.half, a.x.data(), kTokens), RunDense(a.packed, a.x.data(), kTokens));
}

TEST(LinearHandleTest, KnowsWhatItHolds) {
  Arguments a;
  EXPECT_EQ(a.packed.in(), kIn);
  EXPECT_EQ(a.packed.out(), kOut);
  EXPECT_EQ(a.packed.target(), SupportedTargets().front());
  EXPECT_EQ(a.int8.precision(), Precision::kInt8);
  EXPECT_GE(a.packed.packed_bytes(), (kIn * kOut + kOut) * sizeof(float));
}

TEST(LinearHandleTest, MovesAndIsEmptyAfterwards) {
  Arguments a;
  const std::vector<float> want = RunDense(a.packed, a.x.data(), kTokens);
  PackedLinear moved = std::move(a.packed);
  EXPECT_EQ(a.packed.in() + a.packed.out() + a.packed.packed_bytes(), 0u);
  EXPECT_EQ(a.packed.precision(), Precision::kF32);
  EXPECT_STREQ(a.packed.target(), "");
  EXPECT_EQ(WorkspaceBytes(a.packed, 1, 1), 0u);
  a.half = std::move(moved);  // into one that holds something
  EXPECT_EQ(RunDense(a.half, a.x.data(), kTokens), want);
  ASSERT_TRUE(a.PackAll().ok());  // a moved-from one can be used again
  EXPECT_EQ(RunDense(a.packed, a.x.data(), kTokens), want);
}

TEST(LinearWorkspaceTest, IsZeroForWhatCannotRun) { ExpectNoWorkspaceForWhatCannotRun(Arguments().packed); }

class LinearTargetTest : public TargetTest {};

TEST_P(LinearTargetTest, PackingOnThreadsEqualsPackingOnOne) {
  Random random(1);
  const TestLinear linear = RandomLinear(64, FullOrLight<size_t>(2500, 512), &random);
  const std::vector<float> x = RandomTokens(linear.in, 5, &random);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    const auto run_packed_on = [&](int threads) {
      PackOptions options = OptionsFor(GetParam(), precision);
      options.threads = threads;
      PackedLinear packed;
      EXPECT_TRUE(Pack(linear.weights(), linear.in, linear.out, linear.activation, options, &packed).ok());
      return RunDense(packed, x.data(), 5);
    };
    const std::vector<float> want = run_packed_on(1);
    for (const int threads : {0, 2, 3, 64}) EXPECT_EQ(run_packed_on(threads), want) << threads;
  }
}

// Rows in pieces of random sizes and in random order, the bias in between.
TEST_P(LinearTargetTest, PackingInPiecesEqualsPackingAtOnce) {
  for (const Precision precision : PrecisionsOn(GetParam())) {
    for (uint64_t seed = 1; seed <= FullOrLight<uint64_t>(20, 5); ++seed) {
      Random random(seed);
      const TestLinear linear = RandomLinear(37, 131, &random);
      const std::vector<float> x = RandomTokens(linear.in, 9, &random);
      std::vector<std::pair<size_t, size_t>> pieces;
      for (size_t row = 0; row < linear.out; row += pieces.back().second) {
        const size_t rows = random.Bits() % (2 * seed) + 1;
        pieces.emplace_back(row, std::min(rows, linear.out - row));
      }
      for (size_t i = pieces.size(); i > 1; --i) std::swap(pieces[i - 1], pieces[random.Bits() % i]);
      PackedLinear packed;
      const PackOptions options = OptionsFor(GetParam(), precision);
      ASSERT_TRUE(PackedLinear::Create(linear.in, linear.out, linear.activation, options, &packed).ok());
      for (size_t i = 0; i < pieces.size(); ++i) {
        const auto [row, rows] = pieces[i];
        const float* const weight = &linear.w[row * linear.in];
        ASSERT_TRUE(packed.PackRows(row, rows, weight, DType::kF32, linear.in).ok());
        if (i != pieces.size() / 2) continue;
        ASSERT_TRUE(packed.PackBias(linear.b.data(), DType::kF32).ok());
      }
      const std::vector<float> y = RunDense(packed, x.data(), 9),
                               want = RunDense(PackFor(GetParam(), linear, precision), x.data(), 9);
      ASSERT_TRUE(SameBits(y.data(), linear.out, want.data(), linear.out, 9, linear.out)) << "seed " << seed;
    }
  }
}

// Any number of bytes less is refused, and nothing is written then.
TEST_P(LinearTargetTest, WorkspaceBytesAreExactlyEnough) {
  Random random(1);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    const PackedLinear packed = PackFor(GetParam(), RandomLinear(601, 97, &random), precision);
    const std::vector<float> x = RandomTokens(601, 300, &random);
    for (const size_t tokens : {1u, 2u, 20u, 300u}) {
      const std::vector<float> want = RunDense(packed, x.data(), tokens);
      for (const int threads : {0, 1, 2, 5, kOwnThreads}) {
        RunOptions options = OptionsOn(threads);
        GuardedBuffer<unsigned char> workspace(WorkspaceBytes(packed, tokens, ThreadsOf(options)),
                                               Flush::kRight);
        std::vector<float> y(want.size(), FloatOf(kPoisonBits));
        for (const size_t less : {1u, 0u}) {
          if (threads == 0 && less != 0) continue;  // fewer threads may need less
          options.workspace = workspace.data();
          options.workspace_bytes = workspace.size() - less;
          ASSERT_EQ(fusedffn::Run(packed, x.data(), 601, tokens, y.data(), 97, options).ok(), less == 0);
          ASSERT_EQ(BitsOf(y[0]) == kPoisonBits, less != 0);
        }
        ASSERT_TRUE(SameBits(y.data(), 97, want.data(), 97, tokens, 97))
            << PrecisionName(precision) << ", " << tokens << " tokens, " << threads << " threads";
        EXPECT_TRUE(workspace.GapIsUntouched());
      }
    }
  }
}

TEST_P(LinearTargetTest, PackedSize) {
  const std::pair<Precision, double> bytes[] = {
      {Precision::kF32, 4}, {Precision::kBF16, 2}, {Precision::kInt8, 1}};
  for (const auto& [precision, each] : bytes) {
    PackedLinear packed;
    const PackOptions options = OptionsFor(GetParam(), precision);
    ASSERT_TRUE(PackedLinear::Create(1024, 4096, Activation::kIdentity, options, &packed).ok());
    EXPECT_GE(static_cast<double>(packed.packed_bytes()), each * 1024 * 4096);
    EXPECT_LE(static_cast<double>(packed.packed_bytes()), 1.02 * each * 1024 * 4096);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, LinearTargetTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

}  // namespace
}  // namespace fusedffn
