// The towers of a checkpoint: which blocks follow each other, which tower is meant, and which layers.
#include "src/models/layer_stack.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

constexpr const char* kClip = "model.vision_model.transformer.layers.N.mlp";

// A block of zeros, 2 -> `hidden` -> `out`.
void AddBlock(const std::string& prefix, uint64_t hidden, uint64_t out, std::vector<Entry>* entries) {
  entries->push_back({prefix + ".fc1.weight", "F32", {hidden, 2}});
  entries->push_back({prefix + ".fc2.weight", "F32", {out, hidden}});
}

// Layers 0, 1, 2, 3 and 10 of CLIP-L, 3 of SigLIP's, of no family, and of DINOv2, of which 1 is broken.
class TowerTest : public testing::Test {
 protected:
  TowerTest() {
    std::vector<Entry> entries;
    for (const char* layer : {"0", "1", "2", "3", "10"}) {
      AddBlock("model.vision_model.transformer.layers." + std::string(layer) + ".mlp", 4, 2, &entries);
    }
    for (const char* layer : {"0", "1", "2"}) {
      AddBlock("vision_model.encoder.layers." + std::string(layer) + ".mlp", 4, 2, &entries);
      AddBlock("mine." + std::string(layer) + ".a.x", layer[0] == '2' ? 6 : 4, 2, &entries);
      AddBlock("encoder.layer." + std::string(layer) + ".mlp", 4, layer[0] == '1' ? 7 : 2, &entries);
    }
    AddBlock("other", 4, 2, &entries);
    AddBlock("single.5", 4, 3, &entries);
    WriteZeros(path_, entries);
  }

  std::string ErrorOfTower(const std::optional<std::string>& name, const LayerRange& range = {}) const {
    return ErrorOf(path_, [&] {
      const Checkpoint checkpoint(path_);
      LayersOf(checkpoint, FindTower(checkpoint, name), range);
    });
  }

  std::vector<std::string> Prefixes(const std::optional<std::string>& name, const LayerRange& range) const {
    const Checkpoint checkpoint(path_);
    std::vector<std::string> prefixes;
    for (const Block& block : LayersOf(checkpoint, FindTower(checkpoint, name), range)) {
      prefixes.push_back(block.prefix);
    }
    return prefixes;
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "file.safetensors";
};

TEST_F(TowerTest, FindsByFamilyAndByPattern) {
  const Checkpoint checkpoint(path_);
  EXPECT_EQ(FindTower(checkpoint, "DeepSeek-OCR CLIP-L").pattern, kClip);
  EXPECT_EQ(FindTower(checkpoint, kClip).layers.size(), 5u);
  for (const char* name : {"SigLIP image tower", "CLIP (HF) image tower", "*.encoder.layers.N.mlp"}) {
    EXPECT_EQ(FindTower(checkpoint, name).pattern, "vision_model.encoder.layers.N.mlp");
  }
  EXPECT_EQ(Described(FindTower(checkpoint, "mine.N.a.x")), "'mine.N.a.x' (3 layers)");
  EXPECT_EQ(Described(FindTower(checkpoint, "single.N")), "'single.N' (1 layer)");
}

TEST_F(TowerTest, RefusesNamesOfNoneAndOfSeveral) {
  EXPECT_TRUE(Contains(ErrorOfTower({}),
                       "there are several families with more than one block; name one, by its pattern or its "
                       "family: 'encoder.layer.N.mlp' (DINOv2 (HF), 3 layers); 'mine.N.a.x' (3 layers); "
                       "'model.vision_model.transformer.layers.N.mlp' (DeepSeek-OCR CLIP-L, 5 layers); "
                       "'vision_model.encoder.layers.N.mlp' (CLIP (HF) image tower or SigLIP image tower, 3 "
                       "layers)"));
  EXPECT_TRUE(Contains(ErrorOfTower("BERT"), "there is no family 'BERT'; there is 'encoder.layer.N.mlp' ("));
  EXPECT_TRUE(Contains(ErrorOfTower(""), "there is no family ''; there is "));
  EXPECT_TRUE(Contains(ErrorOfTower("*.layers.N.mlp"), "'*.layers.N.mlp' is the name of several; name one"));
}

TEST_F(TowerTest, TheOnlyTowerNeedsNoName) {
  std::vector<Entry> entries;
  for (const char* prefix : {"a.0", "a.1", "b.0", "c"}) AddBlock(prefix, 4, 2, &entries);
  WriteZeros(path_, entries);
  EXPECT_EQ(Prefixes({}, {}), (std::vector<std::string>{"a.0", "a.1"}));
  entries.resize(2);
  WriteZeros(path_, entries);
  EXPECT_TRUE(
      Contains(ErrorOfTower({}), "there is no family with more than one block; name one of 'a.N' (1 layer)"));
  WriteZeros(path_, {});
  EXPECT_TRUE(Contains(ErrorOfTower({}), "there are no blocks with a layer's number in their names"));
}

// Experts of a layer are no layers.
TEST_F(TowerTest, LeavesOutExperts) {
  std::vector<Entry> entries;
  for (const char* prefix : {"model.layers.1.mlp.experts.0", "model.layers.1.mlp.experts.1"}) {
    for (const char* name : {".gate_proj.weight", ".up_proj.weight", ".down_proj.weight"}) {
      entries.push_back({prefix + std::string(name), "F32", {2, 2}});
    }
  }
  WriteZeros(path_, entries);
  EXPECT_TRUE(Contains(ErrorOfTower("experts of DeepSeek or Qwen"), "there are no blocks with a layer's"));
}

TEST_F(TowerTest, ChoosesLayers) {
  const auto layers = [&](const std::vector<int>& numbers) {
    std::vector<std::string> prefixes;
    for (const int number : numbers) {
      prefixes.push_back("model.vision_model.transformer.layers." + std::to_string(number) + ".mlp");
    }
    return prefixes;
  };
  EXPECT_EQ(Prefixes(kClip, {4, {}, {}}), layers({0, 1, 2, 3}));
  EXPECT_EQ(Prefixes(kClip, {{}, 1, 2}), layers({1, 2}));
  EXPECT_EQ(Prefixes(kClip, {{}, 10, 10}), layers({10}));
  EXPECT_EQ(
      ErrorOfTower(kClip),
      "'model.vision_model.transformer.layers.N.mlp': there is no layer 4; there are 5 layers, from 0 to "
      "10");
  EXPECT_TRUE(Contains(ErrorOfTower(kClip, {5, {}, {}}), "there is no layer 4"));
  EXPECT_TRUE(
      Contains(ErrorOfTower(kClip, {6, {}, {}}), "there are no 6 layers; there are 5 layers, from 0"));
  EXPECT_TRUE(Contains(ErrorOfTower(kClip, {{}, 11, 12}), "there is no layer 11"));
  EXPECT_TRUE(Contains(ErrorOfTower(kClip, {{}, 0, UINT64_MAX}), "there is no layer 4"));
}

TEST_F(TowerTest, RefusesBlocksThatAreNoChain) {
  EXPECT_TRUE(Contains(ErrorOfTower("mine.N.a.x"),
                       "'mine.0.a.x' is 2 -> 4 -> 2 and 'mine.2.a.x' is 2 -> 6 -> 2; they must be alike"));
  EXPECT_TRUE(
      Contains(ErrorOfTower("single.N"), "'single.5' is 2 -> 4 -> 3; where one block's y is the next"));
  EXPECT_TRUE(Contains(ErrorOfTower("DINOv2 (HF)"), "'encoder.layer.1.mlp' is 2 -> 4 -> 7; where one"));
  std::vector<Entry> entries;
  AddBlock("a.0", 4, 2, &entries);
  entries.push_back({"a.1.fc1.weight", "F32", {4, 2}});
  WriteZeros(path_, entries);
  EXPECT_TRUE(Contains(ErrorOfTower({}), "there is no tensor 'a.1.fc2.weight'"));
  EXPECT_EQ(Prefixes({}, {1, {}, {}}), std::vector<std::string>{"a.0"});
  entries.pop_back();
  for (const char* layer : {"gate_proj", "up_proj"}) {
    entries.push_back({"a.1." + std::string(layer) + ".weight", "F32", {4, 2}});
  }
  entries.push_back({"a.1.down_proj.weight", "F32", {2, 4}});
  WriteZeros(path_, entries);
  EXPECT_TRUE(Contains(ErrorOfTower({}), "'a.0' is 2 -> 4 -> 2 and 'a.1' is 2 -> 4 gated -> 2; they must"));
}

}  // namespace
}  // namespace fusedffn::io
