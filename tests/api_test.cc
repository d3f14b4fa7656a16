// The public header: every wrong argument has its error and touches nothing; what it says of handles,
// targets and threads holds.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "tests/child.h"
#include "tests/compare.h"
#include "tests/effort.h"
#include "tests/executors.h"
#include "tests/guarded_buffer.h"
#include "tests/targets.h"
#include "tests/test_block.h"
#include "tests/workspace.h"

namespace fusedffn {
namespace {

constexpr Shape kShape = {5, 7, 3}, kGatedShape = {5, 7, 3, true};
constexpr size_t kTokens = 4;

// Valid arguments for every function. Each bad case changes one of them.
struct Arguments {
  Random random{1};
  TestBlock block = RandomBlock(kShape, &random);
  std::vector<float> x = RandomTokens(kShape, kTokens, &random);
  std::vector<float> y = std::vector<float>(kTokens * kShape.out, FloatOf(kPoisonBits));
  std::vector<unsigned char> workspace;
  Weights weights = block.weights();
  PackOptions options;
  PackedFfn packed;    // complete
  PackedFfn half;      // rows 0 to 2 of fc1 are packed, no others
  PackedFfn only_fc1;  // all of fc1, none of fc2
  PackedFfn no_up;     // of a gated block, all but up
  PackedFfn empty;

  Arguments() {
    EXPECT_TRUE(Pack(weights, options, &packed).ok());
    EXPECT_TRUE(Create(kShape, &half).ok());
    EXPECT_TRUE(half.PackRows(Layer::kFc1, 0, 3, block.w1.data(), DType::kF32, 5).ok());
    EXPECT_TRUE(Create(kShape, &only_fc1).ok());
    EXPECT_TRUE(only_fc1.PackRows(Layer::kFc1, 0, 7, block.w1.data(), DType::kF32, 5).ok());
    EXPECT_TRUE(Create(kGatedShape, &no_up).ok());
    EXPECT_TRUE(no_up.PackRows(Layer::kFc1, 0, 7, block.w1.data(), DType::kF32, 5).ok());
    EXPECT_TRUE(no_up.PackRows(Layer::kFc2, 0, 3, block.w2.data(), DType::kF32, 7).ok());
    workspace.assign(WorkspaceBytes(packed, kTokens, 1), 0xA5);
  }

  Status Create(const Shape& shape, PackedFfn* ffn) const {
    return PackedFfn::Create(shape, Activation::kQuickGelu, options, ffn);
  }
  Status CreateShape(const Shape& shape) { return Create(shape, &packed); }
  Status CreateTarget(const char* target) {
    options.target = target;
    return Create(kShape, &packed);
  }
  Status PackAll() { return Pack(weights, options, &packed); }
  Status PackGated() {
    weights.shape = kGatedShape;
    return PackAll();
  }
  Status PackRows(Layer layer, size_t first_row, size_t rows, size_t stride = 7) {
    return half.PackRows(layer, first_row, rows, block.w1.data(), DType::kF32, stride);
  }
  Status RunWith(const PackedFfn& ffn, const RunOptions& run_options = {1}) {
    return Run(ffn, x.data(), kShape.dim, kTokens, y.data(), kShape.out, run_options);
  }
  Status RunRows(const float* in, size_t ldx, size_t tokens, float* out, size_t ldy) {
    return Run(packed, in, ldx, tokens, out, ldy, {1});
  }
  Status RunNorm(const Norm& norm) {
    RunOptions run_options = {1};
    run_options.norm = &norm;
    return RunWith(packed, run_options);
  }
  Status RunResidual(const void* data, size_t stride = 0, DType dtype = DType::kF32) {
    RunOptions run_options = {1};
    run_options.residual = {data, dtype, stride};
    return RunWith(packed, run_options);
  }
};

struct BadCase {
  const char* name;
  StatusCode code;
  const char* message;  // a part of it
  Status (*call)(Arguments& a);
};

std::ostream& operator<<(std::ostream& out, const BadCase& c) { return out << c.name; }

constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
constexpr StatusCode kTarget = StatusCode::kUnsupportedTarget;

const char* MisalignedBytes(const std::vector<float>& floats) {
  return reinterpret_cast<const char*>(floats.data()) + 1;
}

const BadCase
    kBadCases[] =
        {
            // Create
            {"CreateIntoNull", kInvalid, "ffn is null",
             [](Arguments& a) { return a.Create(kShape, nullptr); }},
            {"DimZero", kInvalid, "shape.dim is 0",
             [](Arguments& a) {
               return a.CreateShape({0, 7, 3});
             }},
            {"HiddenZero", kInvalid, "shape.hidden is 0",
             [](Arguments& a) {
               return a.CreateShape({5, 0, 3});
             }},
            {"OutZero", kInvalid, "shape.out is 0",
             [](Arguments& a) {
               return a.CreateShape({5, 7, 0});
             }},
            {"DimHuge", kInvalid, "shape.dim is",
             [](Arguments& a) {
               return a.CreateShape({SIZE_MAX, 7, 3});
             }},
            {"HiddenHuge", kInvalid, "shape.hidden is",
             [](Arguments& a) {
               return a.CreateShape({5, SIZE_MAX, 3});
             }},
            {"OutHuge", kInvalid, "shape.out is",
             [](Arguments& a) {
               return a.CreateShape({5, 7, SIZE_MAX});
             }},
            {"ProductWrapsToZero", kInvalid, "shape.",
             [](Arguments& a) {
               return a.CreateShape({size_t{1} << 32, size_t{1} << 32, 1});
             }},
            {"Fc1TooLarge", kInvalid, "too large",
             [](Arguments& a) {
               return a.CreateShape({size_t{1} << 30, size_t{1} << 30, 1});
             }},
            {"Fc2TooLarge", kInvalid, "too large",
             [](Arguments& a) {
               return a.CreateShape({1, size_t{1} << 30, size_t{1} << 30});
             }},
            {"UnknownActivation", kInvalid, "activation 9 is none of quick_gelu, gelu,",
             [](Arguments& a) {
               return PackedFfn::Create(kShape, static_cast<Activation>(9), {}, &a.packed);
             }},
            {"UnknownTarget", kTarget, "'AVX9' is unknown",
             [](Arguments& a) { return a.CreateTarget("AVX9"); }},
            {"EmptyTarget", kTarget, "'' is unknown", [](Arguments& a) { return a.CreateTarget(""); }},
            {"TargetWithSpace", kTarget, "run here: ", [](Arguments& a) { return a.CreateTarget("AVX2 "); }},
            {"LongTarget", kTarget,
             "run here: ", [](Arguments& a) { return a.CreateTarget(std::string(5000, 'A').c_str()); }},

            // Pack
            {"PackIntoNull", kInvalid, "ffn is null",
             [](Arguments& a) { return Pack(a.weights, a.options, nullptr); }},
            {"PackShapeZero", kInvalid, "shape.out is 0",
             [](Arguments& a) { return a.weights.shape.out = 0, a.PackAll(); }},
            {"PackTarget", kTarget, "'X' is unknown",
             [](Arguments& a) { return a.options.target = "X", a.PackAll(); }},
            {"PackActivation", kInvalid, "activation -1",
             [](Arguments& a) { return a.weights.activation = static_cast<Activation>(-1), a.PackAll(); }},
            {"PackThreads", kInvalid, "threads is -2",
             [](Arguments& a) { return a.options.threads = -2, a.PackAll(); }},
            {"CreateThreads", kInvalid, "threads is 65537",
             [](Arguments& a) { return a.options.threads = 65537, a.CreateShape(kShape); }},
            {"Fc1WeightNull", kInvalid, "fc1.weight is null",
             [](Arguments& a) { return a.weights.fc1.weight = nullptr, a.PackAll(); }},
            {"Fc2WeightNull", kInvalid, "fc2.weight is null",
             [](Arguments& a) { return a.weights.fc2.weight = nullptr, a.PackAll(); }},
            {"Fc1DType", kInvalid, "dtype 3",
             [](Arguments& a) { return a.weights.fc1.dtype = DType(3), a.PackAll(); }},
            {"Fc2DType", kInvalid, "dtype -1",
             [](Arguments& a) { return a.weights.fc2.dtype = DType(-1), a.PackAll(); }},
            {"Fc1Stride", kInvalid, "fc1.stride is 4",
             [](Arguments& a) { return a.weights.fc1.stride = 4, a.PackAll(); }},
            {"Fc2Stride", kInvalid, "fc2.stride is 6",
             [](Arguments& a) { return a.weights.fc2.stride = 6, a.PackAll(); }},
            {"Fc1StrideHuge", kInvalid, "stride",
             [](Arguments& a) { return a.weights.fc1.stride = SIZE_MAX, a.PackAll(); }},
            {"Fc2StrideWraps", kInvalid, "stride",
             [](Arguments& a) { return a.weights.fc2.stride = SIZE_MAX / 8 + 1, a.PackAll(); }},

            {"UpWeightNull", kInvalid, "up.weight is null", [](Arguments& a) { return a.PackGated(); }},
            {"UpStride", kInvalid, "up.stride is 4",
             [](Arguments& a) {
               return a.weights.up = {a.block.w1.data(), nullptr, DType::kF32, 4}, a.PackGated();
             }},
            {"UpDType", kInvalid, "dtype 5",
             [](Arguments& a) {
               return a.weights.up = {a.block.w1.data(), nullptr, DType(5), 0}, a.PackGated();
             }},
            {"UpWithoutGate", kInvalid, "up is set",
             [](Arguments& a) { return a.weights.up.weight = a.block.w1.data(), a.PackAll(); }},
            {"UpBiasWithoutGate", kInvalid, "up is set",
             [](Arguments& a) { return a.weights.up.bias = a.block.b1.data(), a.PackAll(); }},

            // PackRows and PackBias
            {"RowsOfEmpty", kInvalid, "empty",
             [](Arguments& a) {
               return a.empty.PackRows(Layer::kFc1, 0, 1, a.block.w1.data(), DType::kF32, 5);
             }},
            {"RowsOfNoLayer", kInvalid, "layer", [](Arguments& a) { return a.PackRows(Layer(3), 3, 1); }},
            {"RowsOfUpWithoutGate", kInvalid, "not gated",
             [](Arguments& a) { return a.PackRows(Layer::kUp, 3, 1); }},
            {"RowsOfUpPastTheEnd", kInvalid, "up has rows 0 to 6",
             [](Arguments& a) {
               return a.no_up.PackRows(Layer::kUp, 3, 5, a.block.w1.data(), DType::kF32, 5);
             }},
            {"BiasOfUpWithoutGate", kInvalid, "not gated",
             [](Arguments& a) { return a.half.PackBias(Layer::kUp, a.block.b1.data(), DType::kF32); }},
            {"RowsNull", kInvalid, "weight is null",
             [](Arguments& a) { return a.half.PackRows(Layer::kFc1, 3, 1, nullptr, DType::kF32, 5); }},
            {"RowsDType", kInvalid, "dtype 77",
             [](Arguments& a) {
               return a.half.PackRows(Layer::kFc1, 3, 1, a.block.w1.data(), DType(77), 5);
             }},
            {"RowsStride", kInvalid, "stride is 4",
             [](Arguments& a) { return a.PackRows(Layer::kFc1, 3, 1, 4); }},
            {"RowsStrideHuge", kInvalid, "stride",
             [](Arguments& a) { return a.PackRows(Layer::kFc1, 3, 2, SIZE_MAX / 2); }},
            {"RowsPastTheEnd", kInvalid, "rows 0 to 6",
             [](Arguments& a) { return a.PackRows(Layer::kFc1, 3, 5); }},
            {"RowsOfFc2PastTheEnd", kInvalid, "rows 0 to 2",
             [](Arguments& a) { return a.PackRows(Layer::kFc2, 3, 1); }},
            {"RowsStartFar", kInvalid, "not among",
             [](Arguments& a) { return a.PackRows(Layer::kFc1, SIZE_MAX, 1); }},
            {"RowsSumWraps", kInvalid, "not among",
             [](Arguments& a) { return a.PackRows(Layer::kFc1, 3, SIZE_MAX - 1); }},
            {"RowTwice", kInvalid, "row 2 has been packed",
             [](Arguments& a) { return a.PackRows(Layer::kFc1, 2, 2); }},
            {"RowsOfCompleteFfn", kInvalid, "row 0 has been packed",
             [](Arguments& a) {
               return a.packed.PackRows(Layer::kFc2, 0, 3, a.block.w2.data(), DType::kF32, 7);
             }},
            {"BiasOfEmpty", kInvalid, "empty",
             [](Arguments& a) { return a.empty.PackBias(Layer::kFc1, a.block.b1.data(), DType::kF32); }},
            {"BiasOfNoLayer", kInvalid, "layer",
             [](Arguments& a) { return a.half.PackBias(Layer(-1), a.block.b1.data(), DType::kF32); }},
            {"BiasNull", kInvalid, "bias is null",
             [](Arguments& a) { return a.half.PackBias(Layer::kFc1, nullptr, DType::kF32); }},
            {"BiasDType", kInvalid, "dtype 3",
             [](Arguments& a) { return a.packed.PackBias(Layer::kFc2, a.block.b2.data(), DType(3)); }},

            // Run
            {"RunEmpty", StatusCode::kIncomplete, "empty", [](Arguments& a) { return a.RunWith(a.empty); }},
            {"RunMovedFrom", StatusCode::kIncomplete, "empty",
             [](Arguments& a) {
               const PackedFfn elsewhere = std::move(a.half);
               return a.RunWith(a.half);
             }},
            {"RunHalfPacked", StatusCode::kIncomplete, "7 rows",
             [](Arguments& a) { return a.RunWith(a.half); }},
            {"RunWithoutFc2", StatusCode::kIncomplete, "3 rows",
             [](Arguments& a) { return a.RunWith(a.only_fc1); }},
            {"RunWithoutUp", StatusCode::kIncomplete, "7 rows",
             [](Arguments& a) { return a.RunWith(a.no_up); }},
            {"XNull", kInvalid, "x is null",
             [](Arguments& a) { return a.RunRows(nullptr, 5, 4, a.y.data(), 3); }},
            {"YNull", kInvalid, "y is null",
             [](Arguments& a) { return a.RunRows(a.x.data(), 5, 4, nullptr, 3); }},
            {"LdxSmall", kInvalid, "ldx is 4",
             [](Arguments& a) { return a.RunRows(a.x.data(), 4, 4, a.y.data(), 3); }},
            {"LdxZero", kInvalid, "ldx is 0",
             [](Arguments& a) { return a.RunRows(a.x.data(), 0, 4, a.y.data(), 3); }},
            {"LdySmall", kInvalid, "ldy is 2",
             [](Arguments& a) { return a.RunRows(a.x.data(), 5, 4, a.y.data(), 2); }},
            {"LdxHuge", kInvalid, "x: 4 rows",
             [](Arguments& a) { return a.RunRows(a.x.data(), SIZE_MAX, 4, a.y.data(), 3); }},
            {"LdyHuge", kInvalid, "y: 4 rows",
             [](Arguments& a) { return a.RunRows(a.x.data(), 5, 4, a.y.data(), SIZE_MAX / 8); }},
            {"TokensHuge", kInvalid, "do not fit",
             [](Arguments& a) { return a.RunRows(a.x.data(), 5, SIZE_MAX, a.y.data(), 3); }},
            {"TokensWrap", kInvalid, "do not fit",
             [](Arguments& a) {
               return a.RunRows(a.x.data(), size_t{1} << 32, size_t{1} << 32, a.y.data(), 3);
             }},
            {"XMisaligned", kInvalid, "x is not aligned",
             [](Arguments& a) {
               const auto* x = reinterpret_cast<const float*>(MisalignedBytes(a.x));
               return a.RunRows(x, 5, 3, a.y.data(), 3);
             }},
            {"YMisaligned", kInvalid, "y is not aligned",
             [](Arguments& a) {
               auto* y = reinterpret_cast<float*>(const_cast<char*>(MisalignedBytes(a.y)));
               return a.RunRows(a.x.data(), 5, 3, y, 3);
             }},
            {"YStartsInX", kInvalid, "overlap",
             [](Arguments& a) { return a.RunRows(a.x.data(), 5, 2, &a.x[9], 3); }},
            {"XStartsInY", kInvalid, "overlap",
             [](Arguments& a) { return a.RunRows(&a.x[2], 5, 2, a.x.data(), 3); }},
            {"SamePlaceOtherStride", kInvalid, "overlap",
             [](Arguments& a) { return a.RunRows(a.x.data(), 5, 2, a.x.data(), 6); }},
            {"ThreadsNegative", kInvalid, "threads is -2",
             [](Arguments& a) { return a.RunWith(a.packed, {-2}); }},
            {"ThreadsMin", kInvalid, "threads is -",
             [](Arguments& a) { return a.RunWith(a.packed, {INT_MIN}); }},
            {"ThreadsMax", kInvalid, "threads is 2147483647",
             [](Arguments& a) { return a.RunWith(a.packed, {INT_MAX}); }},
            {"ThreadsMinusOne", kInvalid, "threads is -1; it must be 1 to 65536, or 0 for the default",
             [](Arguments& a) { return a.RunWith(a.packed, {-1}); }},
            {"ExecutorAndThreads", kInvalid, "threads is 2; with an executor it must be 0",
             [](Arguments& a) {
               RunOptions options = {2};
               options.executor = OwnThreads(2);
               return a.RunWith(a.packed, options);
             }},
            {"ExecutorWithoutFunction", kInvalid, "executor.parallel_for is null, but its threads are 2",
             [](Arguments& a) {
               RunOptions options;
               options.executor.threads = 2;
               return a.RunWith(a.packed, options);
             }},
            {"ExecutorOfNoThreads", kInvalid, "executor.threads is 0; it must be 1 to 65536",
             [](Arguments& a) {
               RunOptions options;
               options.executor = OwnThreads(0);
               return a.RunWith(a.packed, options);
             }},
            {"ExecutorOfTooManyThreads", kInvalid, "executor.threads is 65537;",
             [](Arguments& a) {
               RunOptions options;
               options.executor = OwnThreads(65537);
               return a.RunWith(a.packed, options);
             }},
            {"WorkspaceOneByteShort", kInvalid, "workspace_bytes is",
             [](Arguments& a) {
               return a.RunWith(a.packed, {1, a.workspace.data(), a.workspace.size() - 1});
             }},
            {"WorkspaceOfNoBytes", kInvalid, "workspace_bytes is 0",
             [](Arguments& a) {
               return a.RunWith(a.packed, {1, a.workspace.data(), 0});
             }},
            {"EpsNegative", kInvalid, "norm.eps is -1e-05",
             [](Arguments& a) {
               return a.RunNorm({NormKind::kLayerNorm, nullptr, nullptr, DType::kF32, -1e-5});
             }},
            {"EpsNaN", kInvalid, "norm.eps is",
             [](Arguments& a) {
               return a.RunNorm({NormKind::kLayerNorm, nullptr, nullptr, DType::kF32, NAN});
             }},
            {"EpsInfinite", kInvalid, "norm.eps is inf",
             [](Arguments& a) {
               return a.RunNorm({NormKind::kLayerNorm, nullptr, nullptr, DType::kF32, HUGE_VAL});
             }},
            {"EpsNegativeRms", kInvalid, "norm.eps is -1; it must be finite and at least 0",
             [](Arguments& a) {
               return a.RunNorm({NormKind::kRmsNorm, nullptr, nullptr, DType::kF32, -1});
             }},
            {"NormKind", kInvalid, "norm.kind is 2; it must be kLayerNorm or kRmsNorm",
             [](Arguments& a) { return a.RunNorm({NormKind(2)}); }},
            {"NormKindNegative", kInvalid, "norm.kind is -1",
             [](Arguments& a) { return a.RunNorm({NormKind(-1)}); }},
            {"NormOffsetNaN", kInvalid, "norm.weight_offset is",
             [](Arguments& a) {
               return a.RunNorm({NormKind::kRmsNorm, a.x.data(), nullptr, DType::kF32, 1e-6, NAN});
             }},
            {"NormOffsetInfinite", kInvalid, "norm.weight_offset is -inf; it must be finite",
             [](Arguments& a) {
               return a.RunNorm({NormKind::kRmsNorm, a.x.data(), nullptr, DType::kF32, 1e-6, -HUGE_VAL});
             }},
            {"NormOffsetWithoutWeight", kInvalid,
             "norm.weight_offset is 1; without a norm.weight it must be 0",
             [](Arguments&
                    a) { return a.RunNorm({NormKind::kRmsNorm, nullptr, nullptr, DType::kF32, 1e-6, 1}); }},
            {"NormWeightMisaligned", kInvalid, "norm.weight is not aligned to 4 bytes",
             [](Arguments& a) { return a.RunNorm({NormKind::kLayerNorm, MisalignedBytes(a.block.w1)}); }},
            {"NormBiasMisaligned", kInvalid, "norm.bias is not aligned to 4 bytes",
             [](Arguments&
                    a) { return a.RunNorm({NormKind::kRmsNorm, nullptr, MisalignedBytes(a.block.w1)}); }},
            {"NormDType", kInvalid, "dtype 4",
             [](Arguments& a) { return a.RunNorm({NormKind::kLayerNorm, a.x.data(), nullptr, DType(4)}); }},
            {"NormWeightInY", kInvalid, "norm.weight and y overlap",
             [](Arguments& a) { return a.RunNorm({NormKind::kRmsNorm, &a.y[11]}); }},
            {"NormBiasInY", kInvalid, "norm.bias and y overlap",
             [](Arguments& a) { return a.RunNorm({NormKind::kLayerNorm, nullptr, a.y.data()}); }},
            {"ResidualStride", kInvalid, "residual.stride is 2; it must be at least 3",
             [](Arguments& a) { return a.RunResidual(a.x.data(), 2); }},
            {"ResidualStrideHuge", kInvalid, "residual: 4 rows",
             [](Arguments& a) { return a.RunResidual(a.x.data(), SIZE_MAX / 4); }},
            {"ResidualDType", kInvalid, "dtype 7",
             [](Arguments& a) { return a.RunResidual(a.x.data(), 0, DType(7)); }},
            {"ResidualMisaligned", kInvalid, "residual is not aligned to 4 bytes",
             [](Arguments& a) { return a.RunResidual(MisalignedBytes(a.x)); }},
            {"ResidualStartsInY", kInvalid,
             "residual and y overlap; y must be apart from residual, or residual itself",
             [](Arguments& a) { return a.RunResidual(&a.y[3]); }},
            {"ResidualIsYOfOtherStride", kInvalid, "residual and y overlap",
             [](Arguments& a) { return a.RunResidual(a.y.data(), 4); }},
            {"ResidualIsYOfOtherType", kInvalid, "residual and y overlap",
             [](Arguments& a) { return a.RunResidual(a.y.data(), 3, DType::kBF16); }},
};

class BadCaseTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadCaseTest, IsRefusedAndTouchesNothing) {
  Arguments a;
  const std::vector<float> y_before = RunDense(a.packed, a.x.data(), kTokens);
  const std::vector<float> x_before = a.x;
  const std::vector<unsigned char> workspace_before = a.workspace;

  const Status status = GetParam().call(a);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), GetParam().code) << status.message();
  EXPECT_NE(std::strstr(status.message(), GetParam().message), nullptr) << status.message();
  EXPECT_EQ(std::strchr(status.message(), '\n'), nullptr) << status.message();

  for (const float value : a.y) ASSERT_EQ(BitsOf(value), kPoisonBits) << "y was written";
  EXPECT_TRUE(SameBits(a.x.data(), 5, x_before.data(), 5, kTokens, 5)) << "x was written";
  EXPECT_EQ(a.workspace, workspace_before);
  const std::vector<float> y = RunDense(a.packed, a.x.data(), kTokens);
  EXPECT_TRUE(SameBits(y.data(), 3, y_before.data(), 3, kTokens, 3)) << "the handle was changed";
}

INSTANTIATE_TEST_SUITE_P(Api, BadCaseTest, testing::ValuesIn(kBadCases),
                         [](const auto& info) { return std::string(info.param.name); });

// A refused piece leaves the handle ready for the right one.
TEST(PackRowsTest, GoesOnAfterAnError) {
  Arguments a;
  EXPECT_FALSE(a.PackRows(Layer::kFc1, 2, 2).ok());
  EXPECT_FALSE(a.PackRows(Layer::kFc1, 3, 5).ok());
  ASSERT_TRUE(a.half.PackRows(Layer::kFc1, 3, 4, &a.block.w1[3 * 5], DType::kF32, 5).ok());
  ASSERT_TRUE(a.half.PackRows(Layer::kFc2, 0, 3, a.block.w2.data(), DType::kF32, 7).ok());
  ASSERT_TRUE(a.half.PackBias(Layer::kFc1, a.block.b1.data(), DType::kF32).ok());
  ASSERT_TRUE(a.half.PackBias(Layer::kFc2, a.block.b2.data(), DType::kF32).ok());
  const std::vector<float> y = RunDense(a.half, a.x.data(), kTokens);
  const std::vector<float> want = RunDense(a.packed, a.x.data(), kTokens);
  EXPECT_TRUE(SameBits(y.data(), 3, want.data(), 3, kTokens, 3));
}

class ApiTargetTest : public TargetTest {};

// Every row alone or in pieces of random sizes, in random order, biases in between.
TEST_P(ApiTargetTest, PackingInPiecesEqualsPackingAtOnce) {
  const Shape shape = {37, 131, 101, true};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const TestBlock block = RandomBlock(shape, &random);
    const std::vector<float> x = RandomTokens(shape, 9, &random);
    const std::vector<float> want = RunDense(PackFor(GetParam(), block.weights()), x.data(), 9);

    struct Piece {
      Layer layer;
      size_t first_row, rows;
    };
    std::vector<Piece> pieces;
    for (const auto& [layer, rows] : {std::pair(Layer::kFc1, shape.hidden), std::pair(Layer::kFc2, shape.out),
                                      std::pair(Layer::kUp, shape.hidden)}) {
      for (size_t row = 0; row < rows;) {
        const size_t count =
            std::min(rows - row, static_cast<size_t>(random.Integer(1, 2 * static_cast<int>(seed))));
        pieces.push_back({layer, row, count});
        row += count;
      }
    }
    for (size_t i = pieces.size(); i > 1; --i) std::swap(pieces[i - 1], pieces[random.Bits() % i]);

    PackedFfn ffn;
    ASSERT_TRUE(PackedFfn::Create(shape, block.activation, {GetParam().c_str()}, &ffn).ok());
    for (const Piece& piece : pieces) {
      const std::vector<float>* weights[] = {&block.w1, &block.w2, &block.up_w};
      const size_t stride = piece.layer == Layer::kFc2 ? shape.hidden : shape.dim;
      const float* weight = weights[static_cast<size_t>(piece.layer)]->data() + piece.first_row * stride;
      ASSERT_TRUE(ffn.PackRows(piece.layer, piece.first_row, piece.rows, weight, DType::kF32, stride).ok());
    }
    ASSERT_TRUE(ffn.PackBias(Layer::kFc2, block.b2.data(), DType::kF32).ok());
    ASSERT_TRUE(ffn.PackBias(Layer::kFc1, block.b1.data(), DType::kF32).ok());
    ASSERT_TRUE(ffn.PackBias(Layer::kUp, block.up_b.data(), DType::kF32).ok());
    const std::vector<float> y = RunDense(ffn, x.data(), 9);
    ASSERT_TRUE(SameBits(y.data(), shape.out, want.data(), shape.out, 9, shape.out)) << "seed " << seed;
  }
}

// On which thread it is packed changes no bit: more threads than parts, and than CPUs, among them.
TEST_P(ApiTargetTest, PackingOnThreadsEqualsPackingOnOne) {
  const Shape shape = FullOrLight<Shape>({300, 700, 130, true}, {64, 512, 8, true});
  Random random(1);
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 5, &random);
  for (const Precision precision : PrecisionsOn(GetParam())) {
    PackOptions options = OptionsFor(GetParam(), precision);
    const auto run_packed_on = [&](int threads) {
      options.threads = threads;
      PackedFfn ffn;
      EXPECT_TRUE(Pack(block.weights(), options, &ffn).ok());
      EXPECT_FALSE(ffn.PackRows(Layer::kUp, 1, 1, block.up_w.data(), DType::kF32, shape.dim).ok());
      return RunDense(ffn, x.data(), 5);
    };
    const std::vector<float> want = run_packed_on(1);
    for (const int threads : {0, 2, 3, 64}) {
      const std::vector<float> y = run_packed_on(threads);
      ASSERT_TRUE(SameBits(y.data(), shape.out, want.data(), shape.out, 5, shape.out))
          << PrecisionName(precision) << ", " << threads << " threads";
    }
  }
}

// Calls work(0), ..., work(kPackers - 1) at the same time.
constexpr size_t kPackers = 4;

template <class Work>
void OnPackers(const Work& work) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kPackers; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

// Rows of every panel by all threads by turns, quantized ones among them, and biases in between.
TEST_P(ApiTargetTest, ThreadsPackRowsOfTheSamePanels) {
  const Shape shape = {37, 131, 101, true};
  Random random(1);
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 9, &random);
  const Weights weights = block.weights();
  for (const Precision precision : PrecisionsOn(GetParam())) {
    PackedFfn ffn;
    const PackOptions options = OptionsFor(GetParam(), precision);
    ASSERT_TRUE(PackedFfn::Create(shape, block.activation, options, &ffn).ok());
    const auto pack_row = [&](Layer layer, const float* row, size_t i, size_t cols) {
      if (precision != Precision::kInt8) return ffn.PackRows(layer, i, 1, row, DType::kF32, cols).ok();
      std::vector<int8_t> q(cols);
      float scale = 0;
      return QuantizeRows(row, DType::kF32, 1, cols, cols, q.data(), &scale).ok() &&
             ffn.PackQuantizedRows(layer, i, 1, q.data(), cols, &scale).ok();
    };
    OnPackers([&](size_t packer) {
      for (size_t i = packer; i < shape.hidden; i += kPackers) {
        EXPECT_TRUE(pack_row(Layer::kFc1, &block.w1[i * shape.dim], i, shape.dim));
        EXPECT_TRUE(pack_row(Layer::kUp, &block.up_w[i * shape.dim], i, shape.dim));
        if (i >= shape.out) continue;
        EXPECT_TRUE(pack_row(Layer::kFc2, &block.w2[i * shape.hidden], i, shape.hidden));
      }
      const Linear* const linears[] = {&weights.fc1, &weights.fc2, &weights.up};
      if (packer >= 3) return;
      EXPECT_TRUE(ffn.PackBias(static_cast<Layer>(packer), linears[packer]->bias, DType::kF32).ok());
    });
    const std::vector<float> y = RunDense(ffn, x.data(), 9),
                             want = RunDense(PackFor(GetParam(), weights, precision), x.data(), 9);
    ASSERT_TRUE(SameBits(y.data(), shape.out, want.data(), shape.out, 9, shape.out))
        << PrecisionName(precision);
  }
}

// All threads want all pieces of three rows, which overlap. No row is packed twice, and none is lost to a
// call that was refused.
TEST_P(ApiTargetTest, OneOfTheThreadsThatWantARowGetsIt) {
  const Shape shape = {16, 600, 3};
  Random random(1);
  const TestBlock block = RandomBlock(shape, &random);
  const std::vector<float> x = RandomTokens(shape, 2, &random);
  PackedFfn ffn;
  ASSERT_TRUE(PackedFfn::Create(shape, block.activation, {GetParam().c_str()}, &ffn).ok());
  const auto pack = [&](size_t row, size_t rows) {
    return ffn.PackRows(Layer::kFc1, row, rows, &block.w1[row * shape.dim], DType::kF32, shape.dim);
  };
  std::vector<std::atomic<int>> packed(shape.hidden);
  OnPackers([&](size_t packer) {
    for (size_t row = packer % 2; row + 3 <= shape.hidden; row += 2) {
      const Status status = pack(row, 3);
      for (size_t i = row; status.ok() && i < row + 3; ++i) ++packed[i];
      EXPECT_EQ(std::strstr(status.message(), "has been packed before") == nullptr, status.ok());
    }
  });
  for (size_t row = 0; row < shape.hidden; ++row) {
    ASSERT_LE(packed[row], 1);
    ASSERT_EQ(pack(row, 1).ok(), packed[row] == 0) << "row " << row;
  }
  ASSERT_TRUE(ffn.PackRows(Layer::kFc2, 0, 3, block.w2.data(), DType::kF32, shape.hidden).ok());
  ASSERT_TRUE(ffn.PackBias(Layer::kFc1, block.b1.data(), DType::kF32).ok());
  ASSERT_TRUE(ffn.PackBias(Layer::kFc2, block.b2.data(), DType::kF32).ok());
  EXPECT_EQ(RunDense(ffn, x.data(), 2), RunDense(PackFor(GetParam(), block.weights()), x.data(), 2));
}

TEST_P(ApiTargetTest, NamesAreFoundInAnyCase) {
  Arguments a;
  const std::string lower = LowerCase(GetParam());
  std::string mixed = GetParam();
  mixed[0] = lower[0];
  for (const std::string& name : {GetParam(), lower, mixed}) {
    PackedFfn ffn;
    const Status status = Pack(a.weights, {name.c_str()}, &ffn);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(ffn.target(), GetParam());
  }
}

TEST_P(ApiTargetTest, PackedSizeAtClipL) {
  PackedFfn ffn;
  ASSERT_TRUE(PackedFfn::Create(kClipL, Activation::kQuickGelu, {GetParam().c_str()}, &ffn).ok());
  const double fp32_bytes = 4.0 * (2 * 1024 * 4096 + 4096 + 1024);
  EXPECT_GE(static_cast<double>(ffn.packed_bytes()), fp32_bytes);
  EXPECT_LE(static_cast<double>(ffn.packed_bytes()), 1.02 * fp32_bytes);
}

TEST_P(ApiTargetTest, PackedSizeOfAGatedBlock) {
  PackedFfn ffn;
  ASSERT_TRUE(
      PackedFfn::Create({1280, 6848, 1280, true}, Activation::kSilu, {GetParam().c_str()}, &ffn).ok());
  EXPECT_TRUE(ffn.shape().gated);
  EXPECT_GE(static_cast<double>(ffn.packed_bytes()), 4.0 * 3 * 1280 * 6848);
  EXPECT_LE(static_cast<double>(ffn.packed_bytes()), 1.01 * 4.0 * 3 * 1280 * 6848);
}

INSTANTIATE_TEST_SUITE_P(Targets, ApiTargetTest, testing::ValuesIn(SupportedTargets()), TargetAsName());

TEST(TargetsTest, BestFirstAndDefault) {
  size_t count = 0;
  const Target* targets = Targets(&count);
  ASSERT_GT(count, 0u);
  const Target* best = std::find_if(targets, targets + count, [](const Target& t) { return t.supported; });
  ASSERT_NE(best, targets + count) << "no target runs on this machine";
  for (const char* name : {static_cast<const char*>(nullptr), best->name}) {
    Arguments a;
    a.options.target = name;
    ASSERT_TRUE(a.PackAll().ok());
    EXPECT_STREQ(a.packed.target(), best->name);
  }
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(targets[i].is_default, &targets[i] == best);
    for (size_t j = 0; j < i; ++j) EXPECT_STRNE(targets[i].name, targets[j].name);
  }
}

TEST(TargetsTest, OneThatIsLeftOutIsRefusedWithTheReason) {
  if (SupportedTargets().back().rfind("SSE", 0) != 0) GTEST_SKIP() << "another kind of CPU";
  for (const char* name : {"SSSE3", "sse4"}) {
    const Status status = Arguments().CreateTarget(name);
    EXPECT_EQ(status.code(), StatusCode::kUnsupportedTarget);
    EXPECT_NE(std::strstr(status.message(), "is left out, since SSE2 is almost as fast; these run here: "),
              nullptr)
        << status.message();
  }
}

TEST(TargetsTest, OneThatThisCpuLacksIsRefusedByName) {
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    if (targets[i].supported) continue;
    Arguments a;
    const Status status = a.CreateTarget(targets[i].name);
    EXPECT_EQ(status.code(), StatusCode::kUnsupportedTarget);
    EXPECT_NE(std::strstr(status.message(), "not supported by this CPU"), nullptr) << status.message();
    for (const std::string& name : SupportedTargets()) {
      EXPECT_NE(std::strstr(status.message(), (" " + name).c_str()), nullptr) << status.message();
    }
  }
}

TEST(PackedFfnTest, MovesAndIsEmptyAfterwards) {
  Arguments a;
  const std::vector<float> want = RunDense(a.packed, a.x.data(), kTokens);
  PackedFfn moved = std::move(a.packed);
  EXPECT_EQ(a.packed.shape().dim + a.packed.shape().hidden + a.packed.shape().out, 0u);
  EXPECT_STREQ(a.packed.target(), "");
  EXPECT_EQ(a.packed.packed_bytes(), 0u);
  EXPECT_EQ(WorkspaceBytes(a.packed, 1, 1), 0u);
  EXPECT_EQ(a.packed.PackBias(Layer::kFc1, a.block.b1.data(), DType::kF32).code(), kInvalid);

  a.half = std::move(moved);  // into one that holds something
  std::vector<float> y = RunDense(a.half, a.x.data(), kTokens);
  EXPECT_TRUE(SameBits(y.data(), 3, want.data(), 3, kTokens, 3));
  ASSERT_TRUE(a.PackAll().ok());  // a moved-from one can be used again
  y = RunDense(a.packed, a.x.data(), kTokens);
  EXPECT_TRUE(SameBits(y.data(), 3, want.data(), 3, kTokens, 3));
}

TEST(PackedFfnTest, KnowsWhatItHolds) {
  Arguments a;
  EXPECT_EQ(a.packed.shape().dim, kShape.dim);
  EXPECT_EQ(a.packed.shape().hidden, kShape.hidden);
  EXPECT_EQ(a.packed.shape().out, kShape.out);
  EXPECT_EQ(a.packed.target(), SupportedTargets().front());
}

TEST(WorkspaceBytesTest, IsZeroForWhatCannotRun) { ExpectNoWorkspaceForWhatCannotRun(Arguments().packed); }

// Whole lines of a description.
std::vector<std::string> Lines(const Description& description) {
  std::vector<std::string> lines;
  std::istringstream text(description.text);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

bool Has(const Description& description, const std::string& line) {
  const std::vector<std::string> lines = Lines(description);
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

TEST(DescribeTest, SaysWhatACallWouldDo) {
  for (const std::string& target : SupportedTargets()) {
    Random random(1);
    const PackedFfn ffn = PackFor(target, RandomBlock({64, 300, 48}, &random).weights());
    const Description one = Describe(ffn, 257, {1});
    EXPECT_TRUE(Has(one, "target   " + target)) << one.text;
    EXPECT_TRUE(Has(one, "tokens   257")) << one.text;
    EXPECT_TRUE(Has(one, "threads  1 as asked")) << one.text;
    EXPECT_NE(std::strstr(one.text, "plan     row parallel: 1 workers"), nullptr) << one.text;
    EXPECT_NE(std::strstr(one.text, "\nAMX      not used: "), nullptr) << one.text;
    RunOptions options;
    options.executor = OwnThreads(64);
    const Description many = Describe(ffn, 257, options);
    EXPECT_TRUE(Has(many, "threads  64 of the executor")) << many.text;
    EXPECT_NE(std::strstr(many.text, "plan     panel parallel"), nullptr) << many.text;
    EXPECT_LT(std::strlen(many.text), sizeof(many.text) - 200) << "room for longer names";
  }
}

// As many threads as the workspace has room for.
TEST(DescribeTest, OfAWorkspace) {
  Random random(1);
  const PackedLinear linear = PackFor(SupportedTargets()[0], RandomLinear(64, 300, &random));
  std::vector<unsigned char> workspace(WorkspaceBytes(linear, 257, 1));
  const Description description = Describe(linear, 257, {0, workspace.data(), workspace.size()});
  EXPECT_NE(std::strstr(description.text, ", in the caller's workspace\n"), nullptr) << description.text;
  EXPECT_TRUE(Has(description, "threads  1 by default")) << description.text;
}

TEST(DescribeTest, SaysThatAWorkspaceIsTooSmall) {
  Arguments a;
  const Description description = Describe(a.packed, kTokens, {1, a.workspace.data(), 3});
  EXPECT_NE(std::strstr(description.text, " bytes, but workspace_bytes is 3: Run() refuses it\n"), nullptr)
      << description.text;
}

TEST(DescribeTest, SaysWhyThereIsNone) {
  Arguments a;
  EXPECT_TRUE(Has(Describe(a.empty, 4), "this PackedFfn is empty: Pack() weights into it first"));
  EXPECT_TRUE(Has(Describe(PackedLinear(), 4), "this PackedLinear is empty: Pack() weights into it first"));
  EXPECT_TRUE(Has(Describe(a.packed, 4, {-7}), "threads is -7; it must be 1 to 65536, or 0 for the default"));
  EXPECT_NE(std::strstr(Describe(a.half, 4).text, "target "), nullptr) << "weights may be missing";
}

TEST(VersionTest, OfTheLibraryIsThatOfTheHeader) {
  const std::string header = std::to_string(FUSEDFFN_VERSION_MAJOR) + "." +
                             std::to_string(FUSEDFFN_VERSION_MINOR) + "." +
                             std::to_string(FUSEDFFN_VERSION_PATCH);
  EXPECT_EQ(Version(), header);
}

TEST(StatusTest, SuccessHasNoMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_STREQ(status.message(), "");
}

TEST(StatusTest, IsOneLine) {
  EXPECT_STREQ(Status(kInvalid, "%s", "a\nb\x1b[31m\u00e9").message(), "a?b?[31m\u00e9");
}

TEST(StatusTest, FormatsAndCuts) {
  const Status status(StatusCode::kOutOfMemory, "%d bytes of %s", 42, "scratch");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOutOfMemory);
  EXPECT_STREQ(status.message(), "42 bytes of scratch");
  const std::string many(1000, 'x');
  const std::string cut = Status(kInvalid, "%s", many.c_str()).message();
  EXPECT_GT(cut.size(), 100u);
  EXPECT_EQ(cut, many.substr(0, cut.size()));
}

// DefaultThreads() in a child process that may use the given CPUs only.
int DefaultThreadsOn(const cpu_set_t& cpus) {
  return InChild([&] { return sched_setaffinity(0, sizeof(cpus), &cpus) == 0 ? DefaultThreads() : 255; });
}

TEST(DefaultThreadsTest, FollowsTheAffinityMask) {
  cpu_set_t all, some;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  EXPECT_GE(DefaultThreads(), 1);
  EXPECT_LE(DefaultThreads(), CPU_COUNT(&all));
  CPU_ZERO(&some);
  int previous = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    CPU_SET(cpu, &some);
    const int threads = DefaultThreadsOn(some);
    EXPECT_GE(threads, std::max(1, previous));
    EXPECT_LE(threads, CPU_COUNT(&some));
    previous = threads;
    EXPECT_TRUE(threads == 1 || CPU_COUNT(&some) > 1);
  }
  EXPECT_EQ(previous, DefaultThreads());
}

}  // namespace
}  // namespace fusedffn
