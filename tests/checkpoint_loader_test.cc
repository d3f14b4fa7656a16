// The public way from a checkpoint to packed blocks: what the parts behind it load, and errors as Status.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fusedffn/io.h"
#include "tests/compare.h"
#include "tests/random.h"
#include "tests/test_block.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

constexpr Shape kShape = {24, 40, 24};

CheckpointLoader OpenOrDie(const std::string& path) {
  CheckpointLoader loader;
  const Status status = CheckpointLoader::Open(path, &loader);
  EXPECT_TRUE(status.ok()) << status.message();
  return loader;
}

void ExpectStatus(const Status& status, StatusCode code, const char* part) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(std::string(status.message()).find(part), std::string::npos) << status.message();
}

// y of a block on x, as the library computes it.
std::vector<float> Outputs(const PackedFfn& ffn, const std::vector<float>& x,
                           const RunOptions& options = {}) {
  const Shape shape = ffn.shape();
  const size_t tokens = x.size() / shape.dim;
  std::vector<float> y(tokens * shape.out);
  const Status status = Run(ffn, x.data(), shape.dim, tokens, y.data(), shape.out, options);
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

std::vector<float> Outputs(const PackedLinear& linear, const std::vector<float>& x) {
  const size_t tokens = x.size() / linear.in();
  std::vector<float> y(tokens * linear.out());
  const Status status = Run(linear, x.data(), linear.in(), tokens, y.data(), linear.out());
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

// Two layers of CLIP's names, whose activation is known by them, each with its norm.
class CheckpointLoaderTest : public testing::Test {
 protected:
  void SetUp() override {
    for (size_t layer = 0; layer < 2; ++layer) {
      const std::string name = "model.vision_model.transformer.layers." + std::to_string(layer);
      const std::string file = std::to_string(layer) + ".safetensors";
      const std::string norm = std::to_string(layer) + "n.safetensors";
      blocks_.push_back(WriteCheckpoint(folder_ / file, name + ".mlp", kShape, {}, layer + 1));
      norms_.push_back(WriteNorm(folder_ / norm, name + ".layer_norm2", kShape.dim, "F32", layer + 7));
      for (const char* part : {".mlp.fc1.weight", ".mlp.fc1.bias", ".mlp.fc2.weight", ".mlp.fc2.bias"}) {
        AddToIndex(name + part, file);
      }
      for (const char* part : {".layer_norm2.weight", ".layer_norm2.bias"}) AddToIndex(name + part, norm);
    }
    WriteBytes(folder_ / "model.safetensors.index.json", "{\"weight_map\": {" + map_ + "}}");
    Random random(3);
    x_ = random.SymmetricVector(5 * kShape.dim, 1);
  }

  std::string Folder() const { return folder_ / ""; }
  static std::string Prefix(size_t layer) {
    return "model.vision_model.transformer.layers." + std::to_string(layer) + ".mlp";
  }

  std::vector<float> Expected(size_t layer, const Norm* norm = nullptr) const {
    PackedFfn ffn;
    EXPECT_TRUE(Pack(blocks_[layer].weights(), {}, &ffn).ok());
    RunOptions options;
    options.norm = norm;
    return Outputs(ffn, x_, options);
  }

  TempFolder folder_;
  std::vector<TestBlock> blocks_;
  std::vector<TestNorm> norms_;
  std::vector<float> x_;

 private:
  void AddToIndex(const std::string& name, const std::string& file) {
    map_ += (map_.empty() ? "\"" : ", \"") + name + "\": \"" + file + "\"";
  }

  std::string map_;
};

TEST_F(CheckpointLoaderTest, ListsBlocks) {
  CheckpointLoader loader = OpenOrDie(Folder());
  std::vector<BlockInfo> blocks;
  ASSERT_TRUE(loader.ListBlocks(&blocks).ok());
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[1].prefix, Prefix(1));
  EXPECT_EQ(blocks[1].models, "DeepSeek-OCR CLIP-L");
  EXPECT_EQ(blocks[1].shape.hidden, kShape.hidden);
  EXPECT_EQ(blocks[1].activation, Activation::kQuickGelu);
  EXPECT_EQ(blocks[1].int8_group, 0u);
  EXPECT_EQ(blocks[1].problem, "");
}

TEST_F(CheckpointLoaderTest, LoadsTheBitsOfPacking) {
  CheckpointLoader loader = OpenOrDie(Folder());
  LoadedBlock block;
  const Status status = loader.LoadBlock(Prefix(1), {}, &block);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(block.prefix, Prefix(1));
  EXPECT_FALSE(block.norm.has_value());
  EXPECT_EQ(Outputs(block.ffn, x_), Expected(1));
}

TEST_F(CheckpointLoaderTest, LoadsAllLayersWithTheirNorms) {
  CheckpointLoader loader = OpenOrDie(Folder());
  for (const char* model : {"", "DeepSeek-OCR CLIP-L", "model.vision_model.transformer.layers.N.mlp"}) {
    LoadOptions options;
    options.norm = true;
    std::vector<LoadedBlock> layers;
    const Status status = loader.LoadLayers(model, options, &layers);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(layers.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      const Norm norm = layers[i].norm->view();
      EXPECT_EQ(norm.eps, 1e-5);
      EXPECT_EQ(std::memcmp(norm.weight, norms_[i].weight.data(), kShape.dim * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(norm.bias, norms_[i].bias.data(), kShape.dim * sizeof(float)), 0);
      RunOptions run;
      run.norm = &norm;
      EXPECT_EQ(Outputs(layers[i].ffn, x_, run), Expected(i, &norm));
    }
  }
}

TEST_F(CheckpointLoaderTest, WhatIsGivenWins) {
  CheckpointLoader loader = OpenOrDie(Folder());
  LoadOptions options;
  options.activation = Activation::kRelu;
  options.norm = true;
  options.norm_eps = 0.25;
  LoadedBlock block;
  ASSERT_TRUE(loader.LoadBlock(Prefix(0), options, &block).ok());
  EXPECT_EQ(block.norm->eps, 0.25);
  TestBlock relu = blocks_[0];
  relu.activation = Activation::kRelu;
  PackedFfn ffn;
  ASSERT_TRUE(Pack(relu.weights(), {}, &ffn).ok());
  EXPECT_EQ(Outputs(block.ffn, x_), Outputs(ffn, x_));
}

TEST_F(CheckpointLoaderTest, LoadsALayerEitherWayRound) {
  const StoredAs stored = {"BF16", "F32", "F16", "", "c_fc", "c_proj", true};
  const TestBlock block = WriteCheckpoint(folder_ / "one.safetensors", "h.0", kShape, stored, 5);
  CheckpointLoader loader = OpenOrDie(folder_ / "one.safetensors");
  LinearOptions options;
  options.transposed = true;
  PackedLinear linear, expected;
  const Status status = loader.LoadLinear("h.0.c_fc", options, &linear);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_TRUE(Pack({block.w1.data(), block.b1.data()}, kShape.dim, kShape.hidden, Activation::kIdentity, {},
                   &expected)
                  .ok());
  EXPECT_EQ(Outputs(linear, x_), Outputs(expected, x_));
  options.transposed = false;
  ExpectStatus(loader.LoadLinear("h.0.c_fc", options, &linear), StatusCode::kBadFile, "it must be [24]");

  WriteZeros(folder_ / "lora.safetensors",
             {{"q.weight", "F32", {4, 2}}, {"q.lora_A.weight", "F32", {1, 2}}, {"q2.bias", "F32", {1}}});
  CheckpointLoader refusing = OpenOrDie(folder_ / "lora.safetensors"), ignoring;
  ExpectStatus(refusing.LoadLinear("q", {}, &linear), StatusCode::kBadFile,
               "'q.lora_A.weight' is a tensor of the layer 'q' that is not computed with");
  ASSERT_TRUE(CheckpointLoader::Open(folder_ / "lora.safetensors", &ignoring, {{"lora_A"}}).ok());
  EXPECT_TRUE(ignoring.LoadLinear("q", {}, &linear).ok());
}

TEST_F(CheckpointLoaderTest, LeavesTensorsOutOnlyWhenToldTo) {
  const std::string path = folder_ / "more.safetensors";
  WriteZeros(path,
             {{"m.fc1.weight", "F32", {4, 2}}, {"m.fc2.weight", "F32", {2, 4}}, {"m.ln.weight", "F32", {4}}});
  CheckpointLoader refusing = OpenOrDie(path), loader;
  LoadOptions options;
  options.activation = Activation::kGelu;
  LoadedBlock block;
  const char* const message = "'m.ln.weight' is a tensor of the block 'm' that is not computed with";
  ExpectStatus(refusing.LoadBlock("m", options, &block), StatusCode::kBadFile, message);
  std::vector<BlockInfo> blocks;
  ASSERT_TRUE(refusing.ListBlocks(&blocks).ok());
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_TRUE(Contains(blocks[0].problem, message));
  ASSERT_TRUE(CheckpointLoader::Open(path, &loader, {{"ln"}}).ok());
  EXPECT_TRUE(loader.LoadBlock("m", options, &block).ok());

  folder_.Write("config.json", R"({"swiglu_limit": 7.0})");
  ASSERT_TRUE(CheckpointLoader::Open(path, &loader, {{"ln"}}).ok());
  ExpectStatus(loader.LoadBlock("m", options, &block), StatusCode::kBadFile,
               "block 'm': config.json has swiglu_limit");
  ASSERT_TRUE(loader.ListBlocks(&blocks).ok());
  EXPECT_TRUE(Contains(blocks[0].problem, "config.json has swiglu_limit '7.0'"));
}

TEST_F(CheckpointLoaderTest, ReportsWhatIsWrongAndChangesNothing) {
  WriteCheckpoint(folder_ / "unknown.safetensors", "m", kShape, {}, 1);
  CheckpointLoader loader = OpenOrDie(Folder()), unknown = OpenOrDie(folder_ / "unknown.safetensors"), none;
  LoadedBlock block;
  ASSERT_TRUE(loader.LoadBlock(Prefix(0), {}, &block).ok());
  std::vector<LoadedBlock> layers(3);
  PackedLinear linear;
  LoadOptions bad_target, norm;
  bad_target.pack.target = "AVX9";
  norm.norm = true;
  norm.activation = Activation::kGelu;
  LinearOptions bad_group;
  bad_group.pack.int8_group = 7;

  ExpectStatus(CheckpointLoader::Open("/nowhere", &loader), StatusCode::kBadFile, "/nowhere: cannot open");
  ExpectStatus(CheckpointLoader::Open(Folder(), nullptr), StatusCode::kInvalidArgument, "loader is null");
  ExpectStatus(none.LoadBlock("m", {}, &block), StatusCode::kIncomplete, "the loader has no checkpoint");
  ExpectStatus(loader.LoadBlock("m", {}, &block), StatusCode::kBadFile, "there is no block 'm'; there are 2");
  ExpectStatus(loader.LoadBlock(Prefix(1), {}, nullptr), StatusCode::kInvalidArgument, "block is null");
  ExpectStatus(loader.LoadBlock(Prefix(1), bad_target, &block), StatusCode::kUnsupportedTarget, "AVX9");
  ExpectStatus(unknown.LoadBlock("m", {}, &block), StatusCode::kInvalidArgument, "LoadOptions::activation");
  ExpectStatus(unknown.LoadBlock("m", norm, &block), StatusCode::kBadFile, "its norm's are not known");
  ExpectStatus(loader.LoadLayers("GPT-2", {}, &layers), StatusCode::kBadFile, "there is no family 'GPT-2'");
  ExpectStatus(loader.LoadLinear("m.q_proj", {}, &linear), StatusCode::kBadFile,
               "there is no tensor 'm.q_proj.weight'");
  ExpectStatus(loader.LoadLinear(Prefix(0) + ".fc1", bad_group, &linear), StatusCode::kInvalidArgument,
               "int8_group");
  EXPECT_EQ(block.prefix, Prefix(0));
  EXPECT_EQ(Outputs(block.ffn, x_), Expected(0));
  EXPECT_EQ(layers.size(), 3u);
  EXPECT_EQ(linear.out(), 0u);
}

}  // namespace
}  // namespace fusedffn
