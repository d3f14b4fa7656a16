// The C interface: layouts and numbers that never change, the bits of the C++ calls, and every error of its
// own; those of the C++ interface pass through, one each here. tests/consumer/c99 is C itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "fusedffn/fusedffn_c.h"
#include "tests/compare.h"
#include "tests/executors.h"
#include "tests/random.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

// Where a pointer and size_t have 8 bytes. A field that moves breaks every program that is there already.
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_shape, dim) == 0 && offsetof(fusedffn_shape, hidden) == 8 &&
               offsetof(fusedffn_shape, out) == 16 && offsetof(fusedffn_shape, gated) == 24 &&
               sizeof(fusedffn_shape) == 32));
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_layer, weight) == 0 && offsetof(fusedffn_layer, bias) == 8 &&
               offsetof(fusedffn_layer, stride) == 16 && offsetof(fusedffn_layer, dtype) == 24 &&
               sizeof(fusedffn_layer) == 32));
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_addend, data) == 0 && offsetof(fusedffn_addend, stride) == 8 &&
               offsetof(fusedffn_addend, dtype) == 16 && sizeof(fusedffn_addend) == 24));
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_weights, shape) == 8 && offsetof(fusedffn_weights, fc1) == 40 &&
               offsetof(fusedffn_weights, fc2) == 72 && offsetof(fusedffn_weights, up) == 104));
static_assert(sizeof(void*) != 8 || (offsetof(fusedffn_pack_options, target) == 8 &&
                                     offsetof(fusedffn_pack_options, precision) == 16 &&
                                     offsetof(fusedffn_pack_options, int8_group) == 20 &&
                                     offsetof(fusedffn_pack_options, threads) == 24 &&
                                     offsetof(fusedffn_pack_options, flush_denormals) == 28));
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_norm, weight) == 8 && offsetof(fusedffn_norm, bias) == 16 &&
               offsetof(fusedffn_norm, kind) == 24 && offsetof(fusedffn_norm, dtype) == 28 &&
               offsetof(fusedffn_norm, eps) == 32 && offsetof(fusedffn_norm, weight_offset) == 40));
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_run_options, threads) == 8 &&
               offsetof(fusedffn_run_options, flush_denormals) == 12 &&
               offsetof(fusedffn_run_options, parallel_for) == 16 &&
               offsetof(fusedffn_run_options, parallel_for_context) == 24 &&
               offsetof(fusedffn_run_options, workspace) == 32 &&
               offsetof(fusedffn_run_options, workspace_bytes) == 40 &&
               offsetof(fusedffn_run_options, norm) == 48 && offsetof(fusedffn_run_options, residual) == 56));
static_assert(sizeof(void*) != 8 || (offsetof(fusedffn_expert_choices, ids) == 8 &&
                                     offsetof(fusedffn_expert_choices, weights) == 16 &&
                                     offsetof(fusedffn_expert_choices, top) == 24 &&
                                     offsetof(fusedffn_expert_choices, start) == 32));
// This version's sizes, in which nothing is hidden behind the last field.
static_assert(sizeof(void*) != 8 || (sizeof(fusedffn_weights) == 136 && sizeof(fusedffn_pack_options) == 32 &&
                                     sizeof(fusedffn_norm) == 48 && sizeof(fusedffn_run_options) == 80 &&
                                     sizeof(fusedffn_expert_choices) == 56));

template <class Enum>
constexpr bool Same(int32_t c, Enum cpp) {
  return c == static_cast<int32_t>(cpp);
}
static_assert(Same(FUSEDFFN_OK, StatusCode::kOk) &&
              Same(FUSEDFFN_INVALID_ARGUMENT, StatusCode::kInvalidArgument) &&
              Same(FUSEDFFN_UNSUPPORTED_TARGET, StatusCode::kUnsupportedTarget) &&
              Same(FUSEDFFN_INCOMPLETE, StatusCode::kIncomplete) &&
              Same(FUSEDFFN_OUT_OF_MEMORY, StatusCode::kOutOfMemory) &&
              Same(FUSEDFFN_BAD_FILE, StatusCode::kBadFile));
static_assert(Same(FUSEDFFN_DTYPE_F32, DType::kF32) && Same(FUSEDFFN_DTYPE_BF16, DType::kBF16) &&
              Same(FUSEDFFN_DTYPE_F16, DType::kF16));
static_assert(Same(FUSEDFFN_PRECISION_F32, Precision::kF32) &&
              Same(FUSEDFFN_PRECISION_BF16, Precision::kBF16) &&
              Same(FUSEDFFN_PRECISION_BF16_DOT, Precision::kBF16Dot) &&
              Same(FUSEDFFN_PRECISION_INT8, Precision::kInt8) &&
              Same(FUSEDFFN_PRECISION_BF16_X3, Precision::kBF16x3) && kPrecisionCount == 5);
static_assert(Same(FUSEDFFN_ACTIVATION_QUICK_GELU, Activation::kQuickGelu) &&
              Same(FUSEDFFN_ACTIVATION_GELU, Activation::kGelu) &&
              Same(FUSEDFFN_ACTIVATION_GELU_TANH, Activation::kGeluTanh) &&
              Same(FUSEDFFN_ACTIVATION_SILU, Activation::kSilu) &&
              Same(FUSEDFFN_ACTIVATION_RELU, Activation::kRelu) &&
              Same(FUSEDFFN_ACTIVATION_RELU2, Activation::kRelu2) &&
              Same(FUSEDFFN_ACTIVATION_IDENTITY, Activation::kIdentity) &&
              Same(FUSEDFFN_ACTIVATION_HARDSWISH, Activation::kHardSwish) && kActivationCount == 8);
static_assert(Same(FUSEDFFN_LAYER_FC1, Layer::kFc1) && Same(FUSEDFFN_LAYER_FC2, Layer::kFc2) &&
              Same(FUSEDFFN_LAYER_UP, Layer::kUp));
static_assert(Same(FUSEDFFN_NORM_LAYER, NormKind::kLayerNorm) && Same(FUSEDFFN_NORM_RMS, NormKind::kRmsNorm));
static_assert(Same(FUSEDFFN_ACCURACY_F32_LIKE, Accuracy::kF32Like) &&
              Same(FUSEDFFN_ACCURACY_BF16_LIKE, Accuracy::kBF16Like) &&
              Same(FUSEDFFN_ACCURACY_INT8_LIKE, Accuracy::kInt8Like));

template <class Struct>
Struct Sized() {
  Struct sized = {};
  sized.struct_size = sizeof(Struct);
  return sized;
}

fusedffn_layer LayerOf(const Linear& linear) {
  return {linear.weight, linear.bias, linear.stride, static_cast<fusedffn_dtype>(linear.dtype)};
}

fusedffn_shape ShapeOf(const Shape& shape) {
  return {shape.dim, shape.hidden, shape.out, shape.gated ? 1 : 0};
}

fusedffn_weights WeightsOf(const TestBlock& block) {
  const Weights from = block.weights();
  fusedffn_weights weights = Sized<fusedffn_weights>();
  weights.shape = ShapeOf(block.shape);
  weights.fc1 = LayerOf(from.fc1);
  weights.fc2 = LayerOf(from.fc2);
  weights.up = LayerOf(from.up);
  return weights;
}

struct FreeHandle {
  void operator()(fusedffn_block* block) const { fusedffn_block_free(block); }
  void operator()(fusedffn_linear* linear) const { fusedffn_linear_free(linear); }
};
using CBlock = std::unique_ptr<fusedffn_block, FreeHandle>;
using CLinear = std::unique_ptr<fusedffn_linear, FreeHandle>;

// A status with its message, as it comes back.
struct Outcome {
  char error[256];
  fusedffn_status status = -1;

  Outcome() { std::memset(error, 'x', sizeof(error)); }
  // call(error, error_bytes)
  template <class Call>
  explicit Outcome(const Call& call) : Outcome() {
    status = call(error, sizeof(error));
  }
};

void ExpectOk(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, FUSEDFFN_OK) << outcome.error;
  EXPECT_STREQ(outcome.error, "");
}

void ExpectError(const Outcome& outcome, fusedffn_status status, const std::string& part) {
  EXPECT_EQ(outcome.status, status) << outcome.error;
  EXPECT_NE(std::string(outcome.error).find(part), std::string::npos)
      << "'" << outcome.error << "' for " << part;
}

CBlock PackC(const TestBlock& block, const fusedffn_pack_options* options = nullptr) {
  fusedffn_block* packed = nullptr;
  const fusedffn_weights weights = WeightsOf(block);
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_block_pack(&weights, static_cast<fusedffn_activation>(block.activation), options, &packed,
                               error, bytes);
  }));
  return CBlock(packed);
}

PackedFfn PackCpp(const TestBlock& block, const PackOptions& options = {}) {
  PackedFfn ffn;
  const Status status = Pack(block.weights(), options, &ffn);
  EXPECT_TRUE(status.ok()) << status.message();
  return ffn;
}

constexpr Shape kShape = {33, 70, 19}, kGated = {33, 70, 33, true};
constexpr size_t kTokens = 7;

std::vector<float> RunC(const fusedffn_block* block, const std::vector<float>& x,
                        const fusedffn_run_options* options = nullptr) {
  const fusedffn_shape shape = fusedffn_block_shape(block);
  std::vector<float> y(x.size() / shape.dim * shape.out, FloatOf(0x7FA00001));
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_block_run(block, x.data(), FUSEDFFN_DTYPE_F32, shape.dim, x.size() / shape.dim, y.data(),
                              FUSEDFFN_DTYPE_F32, shape.out, options, error, bytes);
  }));
  return y;
}

std::vector<float> RunCpp(const PackedFfn& ffn, const std::vector<float>& x, const RunOptions& options = {}) {
  const Shape shape = ffn.shape();
  std::vector<float> y(x.size() / shape.dim * shape.out);
  const Status status =
      fusedffn::Run(ffn, x.data(), shape.dim, x.size() / shape.dim, y.data(), shape.out, options);
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

class CApiTest : public testing::Test {
 protected:
  Random random_{1};
  TestBlock block_ = RandomBlock(kShape, &random_), gated_ = RandomBlock(kGated, &random_);
  TestLinear layer_ = RandomLinear(kShape.dim, kShape.out, &random_);
  std::vector<float> x_ = RandomTokens(kShape, kTokens, &random_);
};

// Each precision and target, with options, gated or not.
TEST_F(CApiTest, BlocksGiveTheBitsOfTheCppCalls) {
  for (size_t t = 0; t < fusedffn_target_count(); ++t) {
    if (fusedffn_target_is_supported(t) == 0) continue;
    for (int32_t precision = 0; precision < static_cast<int32_t>(kPrecisionCount); ++precision) {
      fusedffn_pack_options options = Sized<fusedffn_pack_options>();
      options.target = fusedffn_target_name(t);
      options.precision = precision;
      options.int8_group = 128;
      options.flush_denormals = 1;
      const PackOptions cpp = {options.target, static_cast<Precision>(precision), 128, 0, true};
      for (const TestBlock* block : {&block_, &gated_}) {
        fusedffn_block* none = nullptr;
        const fusedffn_weights weights = WeightsOf(*block);
        PackedFfn ffn;
        const Status status = Pack(block->weights(), cpp, &ffn);
        if (!status.ok()) {  // such as a precision that the target has not
          ExpectError(Outcome([&](char* error, size_t bytes) {
                        return fusedffn_block_pack(&weights,
                                                   static_cast<fusedffn_activation>(block->activation),
                                                   &options, &none, error, bytes);
                      }),
                      static_cast<fusedffn_status>(status.code()), status.message());
          continue;
        }
        const CBlock c = PackC(*block, &options);
        EXPECT_EQ(RunC(c.get(), x_), RunCpp(ffn, x_)) << options.target << " " << precision;
        EXPECT_STREQ(fusedffn_block_target(c.get()), ffn.target());
        EXPECT_EQ(fusedffn_block_precision(c.get()), precision);
        EXPECT_EQ(fusedffn_block_packed_bytes(c.get()), ffn.packed_bytes());
        EXPECT_EQ(fusedffn_block_shape(c.get()).gated, block->shape.gated ? 1 : 0);
      }
    }
  }
}

TEST_F(CApiTest, EveryElementTypeANormAndAResidual) {
  const CBlock c = PackC(gated_);
  const PackedFfn ffn = PackCpp(gated_);
  const std::vector<uint16_t> halves(kTokens * kGated.dim, 0x3C12);  // as bf16 and as fp16 numbers near 1
  const std::vector<uint16_t> gain(kGated.dim, 0x3C81);
  for (int32_t x_type = 0; x_type < 3; ++x_type) {
    for (int32_t y_type = 0; y_type < 3; ++y_type) {
      const void* const x = x_type == 0 ? static_cast<const void*>(x_.data()) : halves.data();
      const Norm norm = {NormKind::kRmsNorm, gain.data(), nullptr, DType::kF16, 1e-6, 1};
      RunOptions cpp;
      cpp.norm = &norm;
      cpp.residual = {halves.data(), DType::kBF16, kGated.dim};
      cpp.flush_denormals = true;
      fusedffn_norm c_norm = Sized<fusedffn_norm>();
      c_norm.kind = FUSEDFFN_NORM_RMS;
      c_norm.weight = gain.data();
      c_norm.dtype = FUSEDFFN_DTYPE_F16;
      c_norm.eps = 1e-6;
      c_norm.weight_offset = 1;
      fusedffn_run_options options = Sized<fusedffn_run_options>();
      options.norm = &c_norm;
      options.residual = {halves.data(), kGated.dim, FUSEDFFN_DTYPE_BF16};
      options.flush_denormals = 1;
      std::vector<float> want(kTokens * kGated.out), got(kTokens * kGated.out);
      ASSERT_TRUE(fusedffn::Run(ffn, x, static_cast<DType>(x_type), kGated.dim, kTokens, want.data(),
                                static_cast<DType>(y_type), kGated.out, cpp)
                      .ok());
      ExpectOk(Outcome([&](char* error, size_t bytes) {
        return fusedffn_block_run(c.get(), x, x_type, kGated.dim, kTokens, got.data(), y_type, kGated.out,
                                  &options, error, bytes);
      }));
      EXPECT_EQ(std::memcmp(want.data(), got.data(), got.size() * sizeof(float)), 0)
          << x_type << " " << y_type;
    }
  }
}

TEST_F(CApiTest, PiecesAndQuantizedRowsGiveTheBitsOfPackingAtOnce) {
  fusedffn_pack_options options = Sized<fusedffn_pack_options>();
  options.precision = FUSEDFFN_PRECISION_INT8;
  const CBlock whole = PackC(block_, &options);
  fusedffn_block* created = nullptr;
  const fusedffn_shape shape = ShapeOf(kShape);
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_block_create(&shape, FUSEDFFN_ACTIVATION_QUICK_GELU, &options, &created, error, bytes);
  }));
  const CBlock pieces(created);
  std::vector<int8_t> q(kShape.out * kShape.hidden);
  std::vector<float> scales(kShape.out * fusedffn_int8_groups(kShape.hidden, 0));
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_quantize_rows(block_.w2.data(), FUSEDFFN_DTYPE_F32, kShape.out, kShape.hidden,
                                  kShape.hidden, q.data(), scales.data(), 0, error, bytes);
  }));
  const std::function<fusedffn_status(char*, size_t)> calls[] = {
      [&](char* error, size_t bytes) {
        return fusedffn_block_pack_rows(created, FUSEDFFN_LAYER_FC1, 0, 30, block_.w1.data(),
                                        FUSEDFFN_DTYPE_F32, kShape.dim, error, bytes);
      },
      [&](char* error, size_t bytes) {
        return fusedffn_block_pack_rows(created, FUSEDFFN_LAYER_FC1, 30, 40,
                                        block_.w1.data() + 30 * kShape.dim, FUSEDFFN_DTYPE_F32, kShape.dim,
                                        error, bytes);
      },
      [&](char* error, size_t bytes) {
        return fusedffn_block_pack_quantized_rows(created, FUSEDFFN_LAYER_FC2, 0, kShape.out, q.data(),
                                                  kShape.hidden, scales.data(), 0, error, bytes);
      },
      [&](char* error, size_t bytes) {
        return fusedffn_block_pack_bias(created, FUSEDFFN_LAYER_FC1, block_.b1.data(), FUSEDFFN_DTYPE_F32,
                                        error, bytes);
      },
      [&](char* error, size_t bytes) {
        return fusedffn_block_pack_bias(created, FUSEDFFN_LAYER_FC2, block_.b2.data(), FUSEDFFN_DTYPE_F32,
                                        error, bytes);
      }};
  for (const auto& call : calls) ExpectOk(Outcome(call));
  EXPECT_EQ(RunC(created, x_), RunC(whole.get(), x_));
}

TEST_F(CApiTest, LinearsGiveTheBitsOfTheCppCalls) {
  PackedLinear cpp;
  ASSERT_TRUE(Pack(layer_.weights(), layer_.in, layer_.out, Activation::kSilu, {}, &cpp).ok());
  std::vector<float> want(kTokens * layer_.out);
  ASSERT_TRUE(fusedffn::Run(cpp, x_.data(), layer_.in, kTokens, want.data(), layer_.out).ok());

  fusedffn_linear *packed = nullptr, *created = nullptr, *quantized = nullptr;
  const fusedffn_layer layer = LayerOf(layer_.weights());
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_linear_pack(&layer, layer_.in, layer_.out, FUSEDFFN_ACTIVATION_SILU, nullptr, &packed,
                                error, bytes);
  }));
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_linear_create(layer_.in, layer_.out, FUSEDFFN_ACTIVATION_SILU, nullptr, &created, error,
                                  bytes);
  }));
  fusedffn_pack_options int8 = Sized<fusedffn_pack_options>();
  int8.precision = FUSEDFFN_PRECISION_INT8;
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_linear_create(layer_.in, layer_.out, FUSEDFFN_ACTIVATION_SILU, &int8, &quantized, error,
                                  bytes);
  }));
  const CLinear handles[] = {CLinear(packed), CLinear(created), CLinear(quantized)};
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_linear_pack_rows(created, 0, layer_.out, layer_.w.data(), FUSEDFFN_DTYPE_F32, layer_.in,
                                     error, bytes);
  }));
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_linear_pack_bias(created, layer_.b.data(), FUSEDFFN_DTYPE_F32, error, bytes);
  }));
  const std::vector<int8_t> q(layer_.in * layer_.out, 3);
  const std::vector<float> scales(layer_.out, 1);
  ExpectOk(Outcome([&](char* error, size_t bytes) {
    return fusedffn_linear_pack_quantized_rows(quantized, 0, layer_.out, q.data(), layer_.in, scales.data(),
                                               1152, error, bytes);
  }));
  for (const fusedffn_linear* linear : {packed, created, quantized}) {
    std::vector<float> y(kTokens * layer_.out);
    ExpectOk(Outcome([&](char* error, size_t bytes) {
      return fusedffn_linear_run(linear, x_.data(), FUSEDFFN_DTYPE_F32, layer_.in, kTokens, y.data(),
                                 FUSEDFFN_DTYPE_F32, layer_.out, nullptr, error, bytes);
    }));
    EXPECT_EQ(y == want, linear != quantized);
  }
  EXPECT_EQ(fusedffn_linear_in(packed), cpp.in());
  EXPECT_EQ(fusedffn_linear_out(packed), cpp.out());
  EXPECT_EQ(fusedffn_linear_precision(quantized), FUSEDFFN_PRECISION_INT8);
  EXPECT_STREQ(fusedffn_linear_target(packed), cpp.target());
  EXPECT_EQ(fusedffn_linear_packed_bytes(packed), cpp.packed_bytes());
  EXPECT_EQ(fusedffn_linear_denormals(packed), cpp.denormals());
  EXPECT_EQ(fusedffn_linear_workspace_bytes(packed, kTokens, 2), WorkspaceBytes(cpp, kTokens, 2));
  char text[1024];
  const size_t length = fusedffn_linear_describe(packed, kTokens, nullptr, text, sizeof(text));
  EXPECT_EQ(length, std::strlen(text));
  EXPECT_STREQ(text, Describe(cpp, kTokens).text);
}

TEST_F(CApiTest, DenormalsAreFlushedWhereThatIsAsked) {
  const float weights[] = {1, 1e-40f}, x[] = {1e-40f, 0};
  const fusedffn_layer layer = {weights, nullptr, 0, FUSEDFFN_DTYPE_F32};
  for (const int32_t flush : {0, 1}) {
    fusedffn_pack_options pack = Sized<fusedffn_pack_options>();
    pack.flush_denormals = flush;
    fusedffn_run_options run = Sized<fusedffn_run_options>();
    run.flush_denormals = flush;
    fusedffn_linear* linear = nullptr;
    ExpectOk(Outcome([&](char* error, size_t bytes) {
      return fusedffn_linear_pack(&layer, 2, 1, FUSEDFFN_ACTIVATION_IDENTITY, &pack, &linear, error, bytes);
    }));
    EXPECT_EQ(fusedffn_linear_denormals(linear), flush != 0 ? 0u : 1u);
    float y = 5;
    ExpectOk(Outcome([&](char* error, size_t bytes) {
      return fusedffn_linear_run(linear, x, FUSEDFFN_DTYPE_F32, 2, 1, &y, FUSEDFFN_DTYPE_F32, 1, &run, error,
                                 bytes);
    }));
    EXPECT_EQ(BitsOf(y), flush != 0 ? 0u : BitsOf(1e-40f));
    fusedffn_linear_free(linear);
  }
}

struct Counted {
  int calls = 0;
  size_t most = 0;
};

// The last index first.
void CountingParallelFor(void* context, size_t count, fusedffn_body body, void* argument) {
  Counted* const counted = static_cast<Counted*>(context);
  ++counted->calls;
  counted->most = std::max(counted->most, count);
  while (count > 0) body(argument, --count);
}

TEST_F(CApiTest, TheCallersThreadsAndWorkspaceGiveTheSameBits) {
  const TestBlock large = RandomBlock({64, 512, 64}, &random_);
  const std::vector<float> x = RandomTokens(large.shape, 64, &random_);
  const CBlock c = PackC(large);
  const std::vector<float> want = RunCpp(PackCpp(large), x);
  Counted counted;
  fusedffn_run_options options = Sized<fusedffn_run_options>();
  options.threads = 3;
  options.parallel_for = CountingParallelFor;
  options.parallel_for_context = &counted;
  const size_t bytes = fusedffn_block_workspace_bytes(c.get(), 64, 3);
  EXPECT_EQ(bytes, WorkspaceBytes(PackCpp(large), 64, 3));
  std::vector<unsigned char> workspace(bytes);
  options.workspace = workspace.data();
  options.workspace_bytes = bytes;
  EXPECT_EQ(RunC(c.get(), x, &options), want);
  EXPECT_GE(counted.calls, 1);
  EXPECT_EQ(counted.most, 3u);
  char text[1024];
  fusedffn_block_describe(c.get(), 64, &options, text, sizeof(text));
  RunOptions cpp;
  cpp.executor = {nullptr, 3, CountingParallelFor};
  cpp.workspace = workspace.data(), cpp.workspace_bytes = bytes;
  EXPECT_STREQ(text, Describe(PackCpp(large), 64, cpp).text);

  options.workspace_bytes = bytes - 1;
  std::vector<float> y(64 * 64, 5);
  ExpectError(Outcome([&](char* error, size_t n) {
                return fusedffn_block_run(c.get(), x.data(), FUSEDFFN_DTYPE_F32, 64, 64, y.data(),
                                          FUSEDFFN_DTYPE_F32, 64, &options, error, n);
              }),
              FUSEDFFN_INVALID_ARGUMENT, "workspace");
  EXPECT_EQ(y, std::vector<float>(64 * 64, 5));
  options = Sized<fusedffn_run_options>();
  options.threads = 2;
  EXPECT_EQ(RunC(c.get(), x, &options), want);
}

TEST_F(CApiTest, ExpertsGiveTheBitsOfTheCppCall) {
  std::vector<PackedFfn> cpp(3);  // the second one stays empty
  cpp[0] = PackCpp(block_);
  Random random(9);
  const TestBlock other = RandomBlock(kShape, &random);
  cpp[2] = PackCpp(other);
  const CBlock first = PackC(block_), third = PackC(other);
  const fusedffn_block* const experts[] = {first.get(), nullptr, third.get()};
  std::vector<int32_t> ids;
  for (size_t t = 0; t < kTokens; ++t) ids.insert(ids.end(), {static_cast<int32_t>(t % 2 * 2), 2});
  const std::vector<float> gates = random.SymmetricVector(2 * kTokens, 1);
  const std::vector<float> start = random.SymmetricVector(kTokens * kShape.out, 1);
  ExpertChoices choices = {ids.data(), gates.data(), 2, {start.data()}};
  RunOptions options;
  options.residual = {start.data()};
  std::vector<float> want(kTokens * kShape.out), got(kTokens * kShape.out);
  ASSERT_TRUE(
      RunExperts(cpp.data(), 3, choices, x_.data(), kShape.dim, kTokens, want.data(), kShape.out, options)
          .ok());

  fusedffn_expert_choices c_choices = Sized<fusedffn_expert_choices>();
  c_choices.ids = ids.data();
  c_choices.weights = gates.data();
  c_choices.top = 2;
  c_choices.start.data = start.data();
  fusedffn_run_options c_options = Sized<fusedffn_run_options>();
  c_options.residual.data = start.data();
  const auto run = [&](const fusedffn_block* const* list, size_t count,
                       const fusedffn_expert_choices* chosen) {
    return Outcome([&](char* error, size_t bytes) {
      return fusedffn_experts_run(list, count, chosen, x_.data(), FUSEDFFN_DTYPE_F32, kShape.dim, kTokens,
                                  got.data(), FUSEDFFN_DTYPE_F32, kShape.out, &c_options, error, bytes);
    });
  };
  ExpectOk(run(experts, 3, &c_choices));
  EXPECT_EQ(got, want);
  EXPECT_EQ(fusedffn_experts_workspace_bytes(experts, 3, kTokens, 2, 1),
            ExpertsWorkspaceBytes(cpp.data(), 3, kTokens, 2, 1));
  EXPECT_EQ(fusedffn_experts_workspace_bytes(nullptr, 3, kTokens, 2, 1), 0u);

  ExpectError(run(nullptr, 3, &c_choices), FUSEDFFN_INVALID_ARGUMENT, "experts is null");
  ExpectError(run(experts, 3, nullptr), FUSEDFFN_INVALID_ARGUMENT, "choices is null");
  ExpectError(run(experts, 2, &c_choices), FUSEDFFN_INVALID_ARGUMENT, "it must be 0 to 1");
  ids[4] = 1;
  ExpectError(run(experts, 3, &c_choices), FUSEDFFN_INCOMPLETE, "experts[1]");
  c_choices.struct_size = 0;
  ExpectError(run(experts, 3, &c_choices), FUSEDFFN_INVALID_ARGUMENT,
              "fusedffn_expert_choices.struct_size is 0");
  c_options.struct_size = 0;
  ExpectError(run(experts, 3, &c_choices), FUSEDFFN_INVALID_ARGUMENT,
              "fusedffn_run_options.struct_size is 0");
  EXPECT_EQ(got, want);
}

TEST_F(CApiTest, WhatIsSaidOfTheMachineIsWhatTheCppCallsSay) {
  EXPECT_STREQ(fusedffn_version(), Version());
  for (int32_t i = -1; i < 12; ++i) {
    EXPECT_STREQ(fusedffn_precision_name(i), PrecisionName(static_cast<Precision>(i)));
    EXPECT_STREQ(fusedffn_activation_name(i), ActivationName(static_cast<Activation>(i)));
  }
  size_t count = 0;
  const Target* const targets = Targets(&count);
  ASSERT_EQ(fusedffn_target_count(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_STREQ(fusedffn_target_name(i), targets[i].name);
    EXPECT_EQ(fusedffn_target_is_supported(i), targets[i].supported ? 1 : 0);
    EXPECT_EQ(fusedffn_target_is_default(i), targets[i].is_default ? 1 : 0);
  }
  EXPECT_STREQ(fusedffn_target_name(count), "");
  EXPECT_EQ(fusedffn_target_is_supported(count), 0);
  EXPECT_EQ(fusedffn_target_is_default(count), 0);
  EXPECT_EQ(fusedffn_default_threads(), DefaultThreads());
  Outcome environment;
  environment.status = fusedffn_environment_status(environment.error, sizeof(environment.error));
  EXPECT_EQ(environment.status, static_cast<fusedffn_status>(EnvironmentStatus().code()));
  EXPECT_STREQ(environment.error, EnvironmentStatus().message());
  for (int32_t accuracy = 0; accuracy < 4; ++accuracy) {
    const PrecisionChoice choice =
        FastestPrecision(static_cast<Accuracy>(accuracy), DType::kBF16, nullptr, 257);
    int32_t measured = -1;
    EXPECT_TRUE(Same(fusedffn_fastest_precision(accuracy, FUSEDFFN_DTYPE_BF16, nullptr, 257, &measured),
                     choice.precision));
    EXPECT_EQ(measured, choice.measured ? 1 : 0);
    EXPECT_TRUE(Same(fusedffn_fastest_precision(accuracy, FUSEDFFN_DTYPE_BF16, nullptr, 257, nullptr),
                     choice.precision));
  }
  EXPECT_EQ(fusedffn_int8_groups(1153, 0), 2u);
  EXPECT_EQ(fusedffn_int8_groups(1153, 128), 10u);
  for (const int32_t group : {-1, 1, 129}) EXPECT_EQ(fusedffn_int8_groups(1153, group), 0u);
  fusedffn_release_scratch();
}

TEST_F(CApiTest, NullHandles) {
  fusedffn_block_free(nullptr);
  fusedffn_linear_free(nullptr);
  EXPECT_EQ(fusedffn_block_shape(nullptr).dim, 0u);
  EXPECT_EQ(fusedffn_block_precision(nullptr), FUSEDFFN_PRECISION_F32);
  EXPECT_STREQ(fusedffn_block_target(nullptr), "");
  EXPECT_EQ(fusedffn_block_packed_bytes(nullptr), 0u);
  EXPECT_EQ(fusedffn_block_denormals(nullptr), 0u);
  EXPECT_EQ(fusedffn_block_workspace_bytes(nullptr, 1, 1), 0u);
  EXPECT_EQ(fusedffn_linear_in(nullptr), 0u);
  EXPECT_EQ(fusedffn_linear_out(nullptr), 0u);
  EXPECT_EQ(fusedffn_linear_precision(nullptr), FUSEDFFN_PRECISION_F32);
  EXPECT_STREQ(fusedffn_linear_target(nullptr), "");
  EXPECT_EQ(fusedffn_linear_packed_bytes(nullptr), 0u);
  EXPECT_EQ(fusedffn_linear_denormals(nullptr), 0u);
  EXPECT_EQ(fusedffn_linear_workspace_bytes(nullptr, 1, 1), 0u);
  char text[64];
  EXPECT_EQ(fusedffn_block_describe(nullptr, 1, nullptr, text, sizeof(text)), 14u);
  EXPECT_STREQ(text, "block is null\n");
  fusedffn_linear_describe(nullptr, 1, nullptr, text, sizeof(text));
  EXPECT_STREQ(text, "linear is null\n");
}

TEST_F(CApiTest, TextsAreCutWhereTheBufferEnds) {
  char error[8];
  std::memset(error, 'x', sizeof(error));
  EXPECT_EQ(fusedffn_block_pack_bias(nullptr, 0, nullptr, 0, error, 6), FUSEDFFN_INVALID_ARGUMENT);
  EXPECT_EQ(std::string(error, 8), std::string("block\0xx", 8));
  EXPECT_EQ(fusedffn_block_pack_bias(nullptr, 0, nullptr, 0, error, 0), FUSEDFFN_INVALID_ARGUMENT);
  EXPECT_EQ(fusedffn_block_pack_bias(nullptr, 0, nullptr, 0, nullptr, 0), FUSEDFFN_INVALID_ARGUMENT);
  const CBlock c = PackC(block_);
  const std::string whole = Describe(PackCpp(block_), 9, {1}).text;
  fusedffn_run_options options = Sized<fusedffn_run_options>();
  options.threads = 1;
  EXPECT_EQ(fusedffn_block_describe(c.get(), 9, &options, error, 6), whole.size());
  EXPECT_EQ(error, whole.substr(0, 5));
  EXPECT_EQ(fusedffn_block_describe(c.get(), 9, &options, nullptr, 0), whole.size());
}

// Everything that is null, or no number of an enum, or refused by the C++ call behind.
TEST_F(CApiTest, EveryErrorComesBackAndTouchesNothing) {
  const CBlock c = PackC(block_);
  fusedffn_block* const none = reinterpret_cast<fusedffn_block*>(&block_);  // must stay
  fusedffn_block* block = none;
  fusedffn_linear* const no_linear = reinterpret_cast<fusedffn_linear*>(&block_);
  fusedffn_linear* linear = no_linear;
  const fusedffn_weights weights = WeightsOf(block_);
  fusedffn_weights bad_weights = weights;
  bad_weights.fc2.weight = nullptr;
  fusedffn_shape shape = ShapeOf(kShape), bad_shape = {0, 1, 1, 0};
  const fusedffn_layer layer = LayerOf(layer_.weights());
  fusedffn_pack_options unknown = Sized<fusedffn_pack_options>(), negative = unknown, no_size = unknown;
  unknown.target = "AVX9";
  negative.precision = FUSEDFFN_PRECISION_INT8, negative.int8_group = -1;
  no_size.struct_size = 0;
  std::vector<float> y(kTokens * kShape.out, 5);
  std::vector<int8_t> q(kShape.out * kShape.hidden);
  std::vector<float> scales(kShape.out);
  fusedffn_norm no_norm_size = {};
  fusedffn_run_options no_threads = Sized<fusedffn_run_options>(), bad_norm = no_threads, many = no_threads;
  no_threads.parallel_for = CountingParallelFor;
  bad_norm.norm = &no_norm_size;
  many.parallel_for = CountingParallelFor, many.threads = 65537;
  fusedffn_run_options bad_size = bad_norm;
  bad_size.struct_size = 12;
  const auto run = [&](const fusedffn_block* with, const fusedffn_run_options* options, size_t ldx,
                       int32_t x_type, char* e, size_t n) {
    return fusedffn_block_run(with, x_.data(), x_type, ldx, kTokens, y.data(), FUSEDFFN_DTYPE_F32, kShape.out,
                              options, e, n);
  };
  struct Case {
    fusedffn_status status;
    const char* part;
    std::function<fusedffn_status(char*, size_t)> call;
  };
  constexpr fusedffn_status kInvalid = FUSEDFFN_INVALID_ARGUMENT;
  const float* const w = block_.w1.data();
  const Case cases[] = {
      {kInvalid, "block is null",
       [&](char* e, size_t n) { return fusedffn_block_pack(&weights, 0, nullptr, nullptr, e, n); }},
      {kInvalid, "weights is null",
       [&](char* e, size_t n) { return fusedffn_block_pack(nullptr, 0, nullptr, &block, e, n); }},
      {kInvalid, "fc2",
       [&](char* e, size_t n) { return fusedffn_block_pack(&bad_weights, 0, nullptr, &block, e, n); }},
      {kInvalid, "activation 9 is none of",
       [&](char* e, size_t n) { return fusedffn_block_pack(&weights, 9, nullptr, &block, e, n); }},
      {FUSEDFFN_UNSUPPORTED_TARGET, "'AVX9' is unknown",
       [&](char* e, size_t n) { return fusedffn_block_pack(&weights, 0, &unknown, &block, e, n); }},
      {kInvalid, "int8_group",
       [&](char* e, size_t n) { return fusedffn_block_pack(&weights, 0, &negative, &block, e, n); }},
      {kInvalid,
       "fusedffn_pack_options.struct_size is 0; it must be sizeof(fusedffn_pack_options), which is 32 here",
       [&](char* e, size_t n) { return fusedffn_block_pack(&weights, 0, &no_size, &block, e, n); }},
      {kInvalid, "block is null",
       [&](char* e, size_t n) { return fusedffn_block_create(&shape, 0, nullptr, nullptr, e, n); }},
      {kInvalid, "shape is null",
       [&](char* e, size_t n) { return fusedffn_block_create(nullptr, 0, nullptr, &block, e, n); }},
      {kInvalid, "dim is 0",
       [&](char* e, size_t n) { return fusedffn_block_create(&bad_shape, 0, nullptr, &block, e, n); }},
      {kInvalid, "struct_size",
       [&](char* e, size_t n) { return fusedffn_block_create(&shape, 0, &no_size, &block, e, n); }},
      {kInvalid, "block is null",
       [&](char* e, size_t n) { return fusedffn_block_pack_rows(nullptr, 0, 0, 1, w, 0, 33, e, n); }},
      {kInvalid, "",
       [&](char* e, size_t n) { return fusedffn_block_pack_rows(c.get(), 7, 0, 1, w, 0, 33, e, n); }},
      {kInvalid, "has been packed before",
       [&](char* e, size_t n) { return fusedffn_block_pack_rows(c.get(), 0, 0, 1, w, 0, 33, e, n); }},
      {kInvalid, "block is null",
       [&](char* e, size_t n) {
         return fusedffn_block_pack_quantized_rows(nullptr, 0, 0, 1, q.data(), 33, scales.data(), 0, e, n);
       }},
      {kInvalid, "",
       [&](char* e, size_t n) {
         return fusedffn_block_pack_quantized_rows(c.get(), 0, 0, 1, q.data(), 33, scales.data(), 0, e, n);
       }},
      {kInvalid, "block is null",
       [&](char* e, size_t n) { return fusedffn_block_pack_bias(nullptr, 0, w, 0, e, n); }},
      {kInvalid, "bias is null",
       [&](char* e, size_t n) { return fusedffn_block_pack_bias(c.get(), 0, nullptr, 0, e, n); }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) { return fusedffn_linear_pack(&layer, 33, 19, 0, nullptr, nullptr, e, n); }},
      {kInvalid, "layer is null",
       [&](char* e, size_t n) { return fusedffn_linear_pack(nullptr, 33, 19, 0, nullptr, &linear, e, n); }},
      {kInvalid, "in is 0",
       [&](char* e, size_t n) { return fusedffn_linear_pack(&layer, 0, 19, 0, nullptr, &linear, e, n); }},
      {kInvalid, "struct_size",
       [&](char* e, size_t n) { return fusedffn_linear_pack(&layer, 33, 19, 0, &no_size, &linear, e, n); }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) { return fusedffn_linear_create(33, 19, 0, nullptr, nullptr, e, n); }},
      {kInvalid, "struct_size",
       [&](char* e, size_t n) { return fusedffn_linear_create(33, 19, 0, &no_size, &linear, e, n); }},
      {kInvalid, "out is 0",
       [&](char* e, size_t n) { return fusedffn_linear_create(33, 0, 0, nullptr, &linear, e, n); }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) { return fusedffn_linear_pack_rows(nullptr, 0, 1, w, 0, 33, e, n); }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) {
         return fusedffn_linear_pack_quantized_rows(nullptr, 0, 1, q.data(), 33, scales.data(), 0, e, n);
       }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) { return fusedffn_linear_pack_bias(nullptr, w, 0, e, n); }},
      {kInvalid, "group",
       [&](char* e, size_t n) {
         return fusedffn_quantize_rows(w, 0, 1, 33, 33, q.data(), scales.data(), 7, e, n);
       }},
      {kInvalid, "q is null",
       [&](char* e, size_t n) {
         return fusedffn_quantize_rows(w, 0, 1, 33, 33, nullptr, scales.data(), 0, e, n);
       }},
      {kInvalid, "block is null", [&](char* e, size_t n) { return run(nullptr, nullptr, 33, 0, e, n); }},
      {kInvalid, "ldx", [&](char* e, size_t n) { return run(c.get(), nullptr, 32, 0, e, n); }},
      {kInvalid, "dtype", [&](char* e, size_t n) { return run(c.get(), nullptr, 33, 3, e, n); }},
      {kInvalid, "threads is 0; with a parallel_for it must be 1 to 65536",
       [&](char* e, size_t n) { return run(c.get(), &no_threads, 33, 0, e, n); }},
      {kInvalid, "65537", [&](char* e, size_t n) { return run(c.get(), &many, 33, 0, e, n); }},
      {kInvalid, "fusedffn_norm.struct_size is 0",
       [&](char* e, size_t n) { return run(c.get(), &bad_norm, 33, 0, e, n); }},
      {kInvalid, "fusedffn_run_options.struct_size is 12",
       [&](char* e, size_t n) { return run(c.get(), &bad_size, 33, 0, e, n); }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) {
         return fusedffn_linear_run(nullptr, w, 0, 33, 1, y.data(), 0, 19, nullptr, e, n);
       }},
  };
  for (const Case& bad : cases) {
    const Outcome outcome(bad.call);
    SCOPED_TRACE(bad.part);
    ExpectError(outcome, bad.status, bad.part);
    EXPECT_NE(std::string(outcome.error), "");
  }
  EXPECT_EQ(block, none);
  EXPECT_EQ(linear, no_linear);
  EXPECT_EQ(y, std::vector<float>(kTokens * kShape.out, 5));
  char text[256];
  fusedffn_block_describe(c.get(), 1, &bad_size, text, sizeof(text));
  EXPECT_NE(std::string(text).find("struct_size is 12"), std::string::npos) << text;

  fusedffn_block* half = nullptr;
  ExpectOk(
      Outcome([&](char* e, size_t n) { return fusedffn_block_create(&shape, 0, nullptr, &half, e, n); }));
  ExpectError(Outcome([&](char* e, size_t n) { return run(half, nullptr, 33, 0, e, n); }),
              FUSEDFFN_INCOMPLETE, "89 rows of the weights have not been packed");
  fusedffn_block_free(half);
}

// A program of an older header: what its struct does not have is 0, whatever lies behind it.
TEST_F(CApiTest, SmallerStructsAreAccepted) {
  fusedffn_pack_options options = Sized<fusedffn_pack_options>();
  options.struct_size = offsetof(fusedffn_pack_options, precision);
  options.precision = 77;
  options.threads = -1;
  EXPECT_EQ(fusedffn_block_precision(PackC(block_, &options).get()), FUSEDFFN_PRECISION_F32);
  const CBlock c = PackC(block_);
  fusedffn_run_options run;
  std::memset(&run, 0xA5, sizeof(run));
  run.struct_size = sizeof(size_t);
  EXPECT_EQ(RunC(c.get(), x_, &run), RunC(c.get(), x_));
  fusedffn_weights weights = WeightsOf(block_);
  std::memset(&weights.up, 0xA5, sizeof(weights.up));
  weights.struct_size = offsetof(fusedffn_weights, up);
  fusedffn_block* packed = nullptr;
  ExpectOk(
      Outcome([&](char* e, size_t n) { return fusedffn_block_pack(&weights, 0, nullptr, &packed, e, n); }));
  fusedffn_block_free(packed);
}

// One of a newer header.
TEST_F(CApiTest, LargerStructsAreAcceptedIfTheirRestIsZero) {
  struct Newer {
    fusedffn_pack_options known;
    uint64_t more[3];
  } newer = {Sized<fusedffn_pack_options>(), {}};
  newer.known.struct_size = sizeof(newer);
  newer.known.precision = FUSEDFFN_PRECISION_BF16;
  EXPECT_EQ(fusedffn_block_precision(PackC(block_, &newer.known).get()), FUSEDFFN_PRECISION_BF16);
  fusedffn_block* packed = nullptr;
  const fusedffn_weights weights = WeightsOf(block_);
  const auto pack = [&] {
    return Outcome(
        [&](char* e, size_t n) { return fusedffn_block_pack(&weights, 0, &newer.known, &packed, e, n); });
  };
  newer.more[2] = uint64_t{1} << 63;
  ExpectError(pack(), FUSEDFFN_INVALID_ARGUMENT,
              "fusedffn_pack_options has fields that version " + std::string(Version()) +
                  " of the library does not know, and that are not 0: it knows 32 of the 56 bytes");
  newer.more[2] = 0;
  for (const size_t size : {size_t{1}, size_t{7}, size_t{33}, size_t{4104}, SIZE_MAX}) {
    newer.known.struct_size = size;
    ExpectError(pack(), FUSEDFFN_INVALID_ARGUMENT,
                "struct_size is " + std::to_string(size) + "; it must be sizeof(");
  }
  EXPECT_EQ(packed, nullptr);
}

}  // namespace
}  // namespace fusedffn
