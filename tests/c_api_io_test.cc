// The C interface of checkpoints: the bits and norms of the C++ calls, and every error of its own.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "fusedffn/fusedffn_io_c.h"
#include "fusedffn/io.h"
#include "tests/test_block.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_block_info, prefix) == 8 && offsetof(fusedffn_block_info, models) == 16 &&
               offsetof(fusedffn_block_info, problem) == 24 && offsetof(fusedffn_block_info, shape) == 32 &&
               offsetof(fusedffn_block_info, activation) == 64 &&
               offsetof(fusedffn_block_info, int8_group) == 68 && sizeof(fusedffn_block_info) == 72));
static_assert(sizeof(void*) != 8 ||
              (offsetof(fusedffn_load_options, pack) == 8 &&
               offsetof(fusedffn_load_options, activation) == 16 &&
               offsetof(fusedffn_load_options, norm_eps) == 24 &&
               offsetof(fusedffn_load_options, norm) == 32 && sizeof(fusedffn_load_options) == 40));
static_assert(sizeof(void*) != 8 || (offsetof(fusedffn_linear_load_options, pack) == 8 &&
                                     offsetof(fusedffn_linear_load_options, transposed) == 16 &&
                                     sizeof(fusedffn_linear_load_options) == 24));

constexpr Shape kShape = {24, 40, 24};
constexpr size_t kTokens = 5;

// A file with two layers of CLIP's names, whose activation is known by them, each with its norm.
class CApiIoTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string map;
    for (size_t layer = 0; layer < 2; ++layer) {
      const std::string name = Name(layer), file = std::to_string(layer) + ".safetensors", norm = "n" + file;
      WriteCheckpoint(folder_ / file, name + ".mlp", kShape, {}, layer + 1);
      WriteNorm(folder_ / norm, name + ".layer_norm2", kShape.dim, "F32", layer + 7);
      for (const char* part : {".mlp.fc1.weight", ".mlp.fc1.bias", ".mlp.fc2.weight", ".mlp.fc2.bias"}) {
        map += "\"" + name + part + "\": \"" + file + "\", ";
      }
      map += "\"" + name + ".layer_norm2.weight\": \"" + norm + "\", ";
      map += "\"" + name + ".layer_norm2.bias\": \"" + norm + "\"" + (layer == 0 ? ", " : "");
    }
    WriteBytes(folder_ / "model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
    Random random(3);
    x_ = random.SymmetricVector(kTokens * kShape.dim, 1);
    ASSERT_EQ(fusedffn_checkpoint_open((folder_ / "").c_str(), &checkpoint_, error_, sizeof(error_)),
              FUSEDFFN_OK)
        << error_;
    ASSERT_TRUE(CheckpointLoader::Open(folder_ / "", &cpp_).ok());
  }

  void TearDown() override { fusedffn_checkpoint_free(checkpoint_); }

  static std::string Name(size_t layer) {
    return "model.vision_model.transformer.layers." + std::to_string(layer);
  }

  void ExpectBits(const fusedffn_block* block, const fusedffn_norm* norm, const LoadedBlock& cpp) {
    ASSERT_NE(block, nullptr);
    const Norm cpp_norm = cpp.norm ? cpp.norm->view() : Norm();
    RunOptions cpp_options;
    if (cpp.norm) cpp_options.norm = &cpp_norm;
    fusedffn_run_options options = {};
    options.struct_size = sizeof(options);
    options.norm = norm;
    std::vector<float> want(x_.size()), got(x_.size());
    ASSERT_TRUE(
        fusedffn::Run(cpp.ffn, x_.data(), kShape.dim, kTokens, want.data(), kShape.out, cpp_options).ok());
    ASSERT_EQ(fusedffn_block_run(block, x_.data(), FUSEDFFN_DTYPE_F32, kShape.dim, kTokens, got.data(),
                                 FUSEDFFN_DTYPE_F32, kShape.out, &options, error_, sizeof(error_)),
              FUSEDFFN_OK)
        << error_;
    EXPECT_EQ(got, want);
  }

  TempFolder folder_;
  std::vector<float> x_;
  char error_[256];
  fusedffn_checkpoint* checkpoint_ = nullptr;
  CheckpointLoader cpp_;
};

TEST_F(CApiIoTest, ListsBlocks) {
  std::vector<BlockInfo> want;
  ASSERT_TRUE(cpp_.ListBlocks(&want).ok());
  fusedffn_listing* listing = nullptr;
  ASSERT_EQ(fusedffn_checkpoint_list(checkpoint_, &listing, error_, sizeof(error_)), FUSEDFFN_OK) << error_;
  ASSERT_EQ(fusedffn_listing_count(listing), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    struct {
      fusedffn_block_info known;
      uint64_t more = 7;
    } info;  // of a newer header
    info.known.struct_size = sizeof(info);
    ASSERT_EQ(fusedffn_listing_get(listing, i, &info.known, error_, sizeof(error_)), FUSEDFFN_OK) << error_;
    EXPECT_EQ(info.known.struct_size, sizeof(info));
    EXPECT_EQ(info.known.prefix, want[i].prefix);
    EXPECT_EQ(info.known.models, want[i].models);
    EXPECT_EQ(info.known.problem, want[i].problem);
    EXPECT_EQ(info.known.shape.hidden, want[i].shape.hidden);
    EXPECT_EQ(info.known.activation, static_cast<fusedffn_activation>(*want[i].activation));
    EXPECT_EQ(info.known.int8_group, 0);
    EXPECT_EQ(info.more, 0u);
    // Of an older one: nothing behind it is written.
    info.known.shape.dim = 99;
    info.known.struct_size = offsetof(fusedffn_block_info, shape);
    EXPECT_EQ(fusedffn_listing_get(listing, i, &info.known, error_, sizeof(error_)), FUSEDFFN_OK) << error_;
    EXPECT_EQ(info.known.shape.dim, 99u);
  }
  fusedffn_block_info info = {};
  EXPECT_EQ(fusedffn_listing_get(listing, 0, &info, error_, sizeof(error_)), FUSEDFFN_INVALID_ARGUMENT);
  EXPECT_STREQ(
      error_,
      "fusedffn_block_info.struct_size is 0; it must be sizeof(fusedffn_block_info), which is 72 here");
  EXPECT_EQ(fusedffn_listing_get(listing, 0, nullptr, error_, sizeof(error_)), FUSEDFFN_INVALID_ARGUMENT);
  EXPECT_STREQ(error_, "info is null");
  EXPECT_EQ(fusedffn_listing_get(listing, 2, &info, error_, sizeof(error_)), FUSEDFFN_INVALID_ARGUMENT);
  EXPECT_STREQ(error_, "index is 2; the listing has 2 blocks");
  fusedffn_listing_free(listing);
  EXPECT_EQ(fusedffn_listing_count(nullptr), 0u);
  fusedffn_listing_free(nullptr);
}

TEST_F(CApiIoTest, LoadsTheBitsOfTheCppCalls) {
  const std::string prefix = Name(1) + ".mlp";
  LoadedBlock want;
  ASSERT_TRUE(cpp_.LoadBlock(prefix, {}, &want).ok());
  fusedffn_blocks* blocks = nullptr;
  ASSERT_EQ(
      fusedffn_checkpoint_load_block(checkpoint_, prefix.c_str(), nullptr, &blocks, error_, sizeof(error_)),
      FUSEDFFN_OK)
      << error_;
  ASSERT_EQ(fusedffn_blocks_count(blocks), 1u);
  EXPECT_EQ(fusedffn_blocks_prefix(blocks, 0), prefix);
  EXPECT_EQ(fusedffn_blocks_norm(blocks, 0), nullptr);
  ExpectBits(fusedffn_blocks_block(blocks, 0), nullptr, want);
  EXPECT_EQ(fusedffn_blocks_block(blocks, 1), nullptr);
  EXPECT_EQ(fusedffn_blocks_prefix(blocks, 1), nullptr);
  EXPECT_EQ(fusedffn_blocks_norm(blocks, 1), nullptr);
  fusedffn_blocks_free(blocks);
  EXPECT_EQ(fusedffn_blocks_count(nullptr), 0u);
  fusedffn_blocks_free(nullptr);
}

TEST_F(CApiIoTest, LoadsAllLayersWithTheirNormsAndWhatIsGivenWins) {
  fusedffn_pack_options pack = {};
  pack.struct_size = sizeof(pack);
  pack.precision = FUSEDFFN_PRECISION_BF16;
  const fusedffn_activation activation = FUSEDFFN_ACTIVATION_RELU;
  const double eps = 0.25;
  fusedffn_load_options options = {};
  options.struct_size = sizeof(options);
  options.pack = &pack;
  options.activation = &activation;
  options.norm = 1;
  options.norm_eps = &eps;
  LoadOptions cpp = {{nullptr, Precision::kBF16}, Activation::kRelu, true, eps};
  std::vector<LoadedBlock> want;
  ASSERT_TRUE(cpp_.LoadLayers("", cpp, &want).ok());
  fusedffn_blocks* blocks = nullptr;
  ASSERT_EQ(fusedffn_checkpoint_load_layers(checkpoint_, "", &options, &blocks, error_, sizeof(error_)),
            FUSEDFFN_OK)
      << error_;
  ASSERT_EQ(fusedffn_blocks_count(blocks), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const fusedffn_norm* const norm = fusedffn_blocks_norm(blocks, i);
    ASSERT_NE(norm, nullptr);
    EXPECT_EQ(norm->eps, eps);
    EXPECT_EQ(fusedffn_blocks_prefix(blocks, i), want[i].prefix);
    EXPECT_EQ(fusedffn_block_precision(fusedffn_blocks_block(blocks, i)), FUSEDFFN_PRECISION_BF16);
    ExpectBits(fusedffn_blocks_block(blocks, i), norm, want[i]);
  }
  fusedffn_blocks_free(blocks);
}

TEST_F(CApiIoTest, LoadsALayerEitherWayRound) {
  const StoredAs stored = {"BF16", "F32", "F16", "", "c_fc", "c_proj", true};
  WriteCheckpoint(folder_ / "one.safetensors", "h.0", kShape, stored, 5);
  fusedffn_checkpoint* one = nullptr;
  ASSERT_EQ(fusedffn_checkpoint_open((folder_ / "one.safetensors").c_str(), &one, error_, sizeof(error_)),
            FUSEDFFN_OK);
  CheckpointLoader loader;
  PackedLinear want;
  ASSERT_TRUE(CheckpointLoader::Open(folder_ / "one.safetensors", &loader).ok());
  ASSERT_TRUE(loader.LoadLinear("h.0.c_fc", {{}, Activation::kSilu, true}, &want).ok());
  std::vector<float> y(kTokens * kShape.hidden), got(kTokens * kShape.hidden);
  ASSERT_TRUE(fusedffn::Run(want, x_.data(), kShape.dim, kTokens, y.data(), kShape.hidden).ok());

  fusedffn_linear_load_options options = {};
  options.struct_size = sizeof(options);
  fusedffn_linear* linear = nullptr;
  EXPECT_EQ(fusedffn_checkpoint_load_linear(one, "h.0.c_fc", FUSEDFFN_ACTIVATION_SILU, &options, &linear,
                                            error_, sizeof(error_)),
            FUSEDFFN_BAD_FILE);
  EXPECT_EQ(linear, nullptr);
  options.transposed = 1;
  ASSERT_EQ(fusedffn_checkpoint_load_linear(one, "h.0.c_fc", FUSEDFFN_ACTIVATION_SILU, &options, &linear,
                                            error_, sizeof(error_)),
            FUSEDFFN_OK)
      << error_;
  ASSERT_EQ(fusedffn_linear_run(linear, x_.data(), FUSEDFFN_DTYPE_F32, kShape.dim, kTokens, got.data(),
                                FUSEDFFN_DTYPE_F32, kShape.hidden, nullptr, error_, sizeof(error_)),
            FUSEDFFN_OK);
  EXPECT_EQ(got, y);
  fusedffn_linear_free(linear);
  fusedffn_checkpoint_free(one);
}

TEST_F(CApiIoTest, LeavesTensorsOutOnlyWhenToldTo) {
  const std::string path = folder_ / "lora.safetensors";
  WriteZeros(path,
             {{"q.weight", "F32", {4, 2}}, {"q.lora_A.weight", "F32", {1, 2}}, {"q.scale", "F32", {1}}});
  const char* const names[] = {"scale", "q.lora_A", nullptr};
  for (const size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{3}}) {
    fusedffn_checkpoint* opened = nullptr;
    const fusedffn_status status =
        fusedffn_checkpoint_open_ignoring(path.c_str(), names, count, &opened, error_, sizeof(error_));
    EXPECT_EQ(status, count == 3 ? FUSEDFFN_INVALID_ARGUMENT : FUSEDFFN_OK);
    if (count == 3) continue;
    fusedffn_linear* linear = nullptr;
    const fusedffn_status loaded = fusedffn_checkpoint_load_linear(opened, "q", FUSEDFFN_ACTIVATION_IDENTITY,
                                                                   nullptr, &linear, error_, sizeof(error_));
    EXPECT_EQ(loaded, count == 2 ? FUSEDFFN_OK : FUSEDFFN_BAD_FILE);
    if (count < 2) {
      EXPECT_TRUE(Contains(error_, "'q.lora_A.weight' is a tensor of the layer 'q'"));
    }
    fusedffn_linear_free(linear);
    fusedffn_checkpoint_free(opened);
  }
  fusedffn_checkpoint* none = nullptr;
  EXPECT_EQ(fusedffn_checkpoint_open_ignoring(path.c_str(), nullptr, 1, &none, error_, sizeof(error_)),
            FUSEDFFN_INVALID_ARGUMENT);
}

TEST_F(CApiIoTest, EveryErrorComesBackAndTouchesNothing) {
  fusedffn_checkpoint* const c = checkpoint_;
  fusedffn_checkpoint* opened = nullptr;
  fusedffn_listing* listing = nullptr;
  fusedffn_blocks* blocks = nullptr;
  fusedffn_linear* linear = nullptr;
  fusedffn_load_options bad = {}, bad_pack = {};
  fusedffn_pack_options pack = {};
  bad_pack.struct_size = sizeof(bad_pack);
  bad_pack.pack = &pack;
  fusedffn_linear_load_options bad_linear = {}, bad_linear_pack = {sizeof(bad_linear_pack), &pack, 0};
  const std::string name = Name(0) + ".mlp";
  const char* const prefix = name.c_str();
  struct Case {
    fusedffn_status status;
    const char* part;
    std::function<fusedffn_status(char*, size_t)> call;
  };
  constexpr fusedffn_status kInvalid = FUSEDFFN_INVALID_ARGUMENT, kFile = FUSEDFFN_BAD_FILE;
  const Case cases[] = {
      {kInvalid, "path is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_open(nullptr, &opened, e, n); }},
      {kInvalid, "checkpoint is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_open("", nullptr, e, n); }},
      {kFile, "/nowhere: cannot open",
       [&](char* e, size_t n) { return fusedffn_checkpoint_open("/nowhere", &opened, e, n); }},
      {kInvalid, "checkpoint is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_list(nullptr, &listing, e, n); }},
      {kInvalid, "listing is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_list(c, nullptr, e, n); }},
      {kInvalid, "checkpoint is null",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_block(nullptr, prefix, nullptr, &blocks, e, n);
       }},
      {kInvalid, "prefix is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_load_block(c, nullptr, nullptr, &blocks, e, n); }},
      {kInvalid, "blocks is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_load_block(c, prefix, nullptr, nullptr, e, n); }},
      {kInvalid, "fusedffn_load_options.struct_size is 0",
       [&](char* e, size_t n) { return fusedffn_checkpoint_load_block(c, prefix, &bad, &blocks, e, n); }},
      {kInvalid, "fusedffn_pack_options.struct_size is 0",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_block(c, prefix, &bad_pack, &blocks, e, n);
       }},
      {kFile, "there is no block 'm'",
       [&](char* e, size_t n) { return fusedffn_checkpoint_load_block(c, "m", nullptr, &blocks, e, n); }},
      {kInvalid, "checkpoint is null",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_layers(nullptr, "", nullptr, &blocks, e, n);
       }},
      {kInvalid, "model is null",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_layers(c, nullptr, nullptr, &blocks, e, n);
       }},
      {kInvalid, "blocks is null",
       [&](char* e, size_t n) { return fusedffn_checkpoint_load_layers(c, "", nullptr, nullptr, e, n); }},
      {kFile, "'GPT-2'",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_layers(c, "GPT-2", nullptr, &blocks, e, n);
       }},
      {kInvalid, "checkpoint is null",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_linear(nullptr, prefix, 0, nullptr, &linear, e, n);
       }},
      {kInvalid, "name is null",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_linear(c, nullptr, 0, nullptr, &linear, e, n);
       }},
      {kInvalid, "linear is null",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_linear(c, prefix, 0, nullptr, nullptr, e, n);
       }},
      {kInvalid, "fusedffn_linear_load_options.struct_size",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_linear(c, prefix, 0, &bad_linear, &linear, e, n);
       }},
      {kInvalid, "fusedffn_pack_options.struct_size",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_linear(c, prefix, 0, &bad_linear_pack, &linear, e, n);
       }},
      {kFile, "there is no tensor",
       [&](char* e, size_t n) {
         return fusedffn_checkpoint_load_linear(c, prefix, 0, nullptr, &linear, e, n);
       }},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(one.call(error_, sizeof(error_)), one.status) << error_;
    EXPECT_NE(std::string(error_).find(one.part), std::string::npos) << "'" << error_ << "' for " << one.part;
  }
  EXPECT_EQ(opened, nullptr);
  EXPECT_EQ(listing, nullptr);
  EXPECT_EQ(blocks, nullptr);
  EXPECT_EQ(linear, nullptr);
  fusedffn_checkpoint_free(nullptr);
}

}  // namespace
}  // namespace fusedffn
