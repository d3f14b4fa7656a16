// The table of families: that it is sound, that real names find their rows, and that a block of every row is
// found in a checkpoint, with its layers where they belong.
#include "src/models/known_models.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "src/models/checkpoint_blocks.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

// A name that a pattern stands for.
std::string Example(const std::string& pattern) {
  std::istringstream parts(pattern);
  std::string example;
  for (std::string part; std::getline(parts, part, '.');) {
    if (part == "*") part = "any.thing";
    if (part == "N" || part == "E") part = "11";
    example += (example.empty() ? "" : ".") + part;
  }
  return example;
}

TEST(FamiliesTest, TableIsSound) {
  std::set<std::string> names;
  for (const Family& family : Families().families) {
    SCOPED_TRACE(family.name);
    EXPECT_TRUE(names.insert(family.name).second);
    EXPECT_FALSE(family.prefixes.empty());
    EXPECT_NE(family.source, "");
    const FamilyNorm& norm = family.norm;
    EXPECT_TRUE(!norm.name.empty() || (!norm.eps && !norm.eps_in_config && norm.behind.empty()));
    // No gated model's names tell its norm, so something else must.
    EXPECT_TRUE(norm.name.empty() || !family.layout->gated() || family.names_suffice ||
                !family.model_types.empty());
    EXPECT_TRUE(!norm.eps || (*norm.eps > 0 && *norm.eps < 1e-3));
    // Either the names say it, or something else may.
    if (family.names_suffice) {
      EXPECT_FALSE(norm.eps_in_config);
      EXPECT_TRUE(family.model_types.empty() && family.parents.empty());
    }
    for (const std::string& pattern : family.prefixes) {
      const auto found = FamiliesAt(Example(pattern), *family.layout);
      EXPECT_NE(std::find(found.begin(), found.end(), &family), found.end()) << pattern;
      EXPECT_TRUE(!family.names_suffice || found.size() == 1) << pattern;
    }
  }
}

TEST(FamiliesTest, Patterns) {
  EXPECT_TRUE(MatchesPattern("layers.0.mlp", "layers.N.mlp"));
  EXPECT_TRUE(MatchesPattern("layers.123.mlp", "layers.N.mlp"));
  EXPECT_TRUE(MatchesPattern("a.experts.1", "a.experts.E"));
  for (const char* other : {"", "layers", "layers.x.mlp", "layers..mlp", "layers.1x.mlp", "layers.1.mlp.x",
                            "layers.1", "a.layers.1.mlp", "layers.1.mlp2", "layers.N.mlp"}) {
    EXPECT_FALSE(MatchesPattern(other, "layers.N.mlp")) << other;
  }
  for (const char* prefix : {"v.layers.0", "a.v.layers.0", "a.b.v.layers.0"}) {
    EXPECT_TRUE(MatchesPattern(prefix, "*.v.layers.N")) << prefix;
  }
  for (const char* other : {"layers.0", "av.layers.0", "v.layers.0.a", ""}) {
    EXPECT_FALSE(MatchesPattern(other, "*.v.layers.N")) << other;
  }
}

// Names as they stand in real checkpoints.
TEST(FamiliesTest, RealNames) {
  const struct {
    const char* prefix;
    const char* layout;
    const char* families;
  } cases[] = {
      {"model.vision_model.transformer.layers.23.mlp", "fc1_fc2", "DeepSeek-OCR CLIP-L"},
      {"model.sam_model.blocks.11.mlp", "lin1_lin2", "DeepSeek-OCR SAM"},
      {"model.qwen2_model.model.model.layers.0.mlp", "gate_up_down", "DeepSeek-OCR 2 encoder"},
      {"image_encoder.blocks.0.mlp", "lin1_lin2", "SAM (Meta) image encoder"},
      {"vision_encoder.layers.0.mlp", "lin1_lin2", "SAM (HF) image encoder"},
      {"mask_decoder.transformer.layers.1.mlp", "lin1_lin2", "SAM mask decoder"},
      {"visual.transformer.resblocks.23.mlp", "c_fc_c_proj",
       "OpenAI CLIP image tower or open_clip image tower"},
      {"transformer.resblocks.11.mlp", "c_fc_c_proj", "OpenAI CLIP text tower or open_clip text tower"},
      {"text.transformer.resblocks.11.mlp", "c_fc_c_proj", "open_clip text tower"},
      {"vision_model.encoder.layers.0.mlp", "fc1_fc2", "CLIP (HF) image tower or SigLIP image tower"},
      {"vision_tower.vision_model.encoder.layers.0.mlp", "fc1_fc2",
       "CLIP (HF) image tower or SigLIP image tower"},
      {"model.vision_tower.vision_tower.vision_model.encoder.layers.0.mlp", "fc1_fc2",
       "CLIP (HF) image tower or SigLIP image tower"},
      {"text_model.encoder.layers.0.mlp", "fc1_fc2", "CLIP (HF) text tower or SigLIP text tower"},
      {"encoder.layers.0.mlp", "fc1_fc2",
       "CLIP (HF) image tower, SigLIP image tower, CLIP (HF) text tower or SigLIP text tower"},
      {"visual.blocks.31.mlp", "fc1_fc2", "Qwen2-VL image tower"},
      {"encoder.layer.0", "dense", "ViT (HF) or BERT"},
      {"vit.encoder.layer.0", "dense", "ViT (HF)"},
      {"bert.encoder.layer.0", "dense", "BERT"},
      {"encoder.layer.0.mlp", "fc1_fc2", "DINOv2 (HF)"},
      {"blocks.0.mlp", "fc1_fc2", "timm ViT or DINOv2, timm ViT named quickgelu or timm ViT named siglip"},
      {"model.encoder.layers.31", "fc1_fc2", "Whisper or BART"},
      {"model.decoder.layers.31", "fc1_fc2", "Whisper, BART or OPT"},
      {"encoder.layers.31", "fc1_fc2", "Whisper or BART"},
      {"decoder.layers.31", "fc1_fc2", "Whisper, BART or OPT"},
      {"h.0.mlp", "conv1d", "GPT-2"},
      {"transformer.h.0.mlp", "conv1d", "GPT-2"},
      {"transformer.h.0.mlp", "c_fc_c_proj", "GPT-BigCode or GPT-Neo"},
      {"model.layers.0.mlp", "gate_up_down",
       "Llama, Mistral, Qwen or DeepSeek, Qwen2-VL text, Gemma or Gemma 2 and 3"},
      {"layers.0.mlp", "gate_up_down", "Llama, Mistral, Qwen or DeepSeek, Gemma or Gemma 2 and 3"},
      {"model.layers.11.mlp.experts.63", "gate_up_down", "experts of DeepSeek or Qwen"},
      {"model.layers.11.mlp.shared_experts", "gate_up_down", "experts of DeepSeek or Qwen"},
      {"model.layers.0.block_sparse_moe.experts.7", "w1_w3_w2", "experts of Mixtral"},
      {"layers.0.feed_forward", "w1_w3_w2", "Llama (Meta)"},
      {"layers.0.mlp", "fc1_fc2", ""},
      {"h.0.attn", "conv1d", ""},
      {"vision_model.global_transformer.layers.7.mlp", "fc1_fc2", "Llama 3.2 Vision, global layers"},
      // In wrappers.
      {"module.h.0.mlp", "conv1d", "GPT-2"},
      {"_orig_mod.transformer.h.0.mlp", "conv1d", "GPT-2"},
      {"base_model.model.model.layers.0.block_sparse_moe.experts.7", "w1_w3_w2", "experts of Mixtral"},
      {"module._orig_mod.module.base_model.model.visual.blocks.31.mlp", "fc1_fc2", "Qwen2-VL image tower"},
      {"_fsdp_wrapped_module.visual._fsdp_wrapped_module.blocks.31._orig_mod.mlp", "fc1_fc2",
       "Qwen2-VL image tower"},
      {"_forward_module.teacher.visual.blocks.31.mlp", "fc1_fc2", "Qwen2-VL image tower"},
      {"visual.module.blocks.31.mlp", "fc1_fc2", ""},
      {"modules.visual.blocks.31.mlp", "fc1_fc2", ""},
  };
  for (const auto& real : cases) {
    EXPECT_EQ(NamesOf(FamiliesAt(real.prefix, Families().layouts.at(real.layout))), real.families)
        << real.prefix;
  }
}

// dim 2, hidden 4, out 3, with biases.
std::vector<Entry> EntriesOf(const std::string& prefix, const Layout& layout) {
  const auto shape = [&](uint64_t out, uint64_t in) {
    return layout.transposed ? Dims{in, out} : Dims{out, in};
  };
  std::vector<Entry> entries;
  for (const std::string& name : {layout.gate, layout.up}) {
    if (name.empty()) continue;
    entries.push_back({prefix + "." + name + ".weight", "F32", shape(4, 2)});
    entries.push_back({prefix + "." + name + ".bias", "F32", {4}});
  }
  entries.push_back({prefix + "." + layout.down + ".weight", "F32", shape(3, 4)});
  entries.push_back({prefix + "." + layout.down + ".bias", "F32", {3}});
  return entries;
}

TEST(FamiliesTest, BlocksOfEveryRowAreFound) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  for (const Family& family : Families().families) {
    for (const std::string& pattern : family.prefixes) {
      SCOPED_TRACE(family.name + ": " + pattern);
      const std::string prefix = Example(pattern);
      WriteZeros(path, EntriesOf(prefix, *family.layout));
      const Checkpoint checkpoint(path);
      const std::vector<BlockPlace> places = BlockPlaces(checkpoint);
      ASSERT_EQ(places.size(), 1u);
      EXPECT_EQ(ListBlock(checkpoint, places[0]).problem, "");
      const Block block = FindBlock(checkpoint, prefix);
      EXPECT_EQ(block.layout, family.layout);
      EXPECT_EQ(block.families, FamiliesAt(prefix, *family.layout));
      EXPECT_EQ(block.shape.dim, 2u);
      EXPECT_EQ(block.shape.hidden, 4u);
      EXPECT_EQ(block.shape.out, 3u);
      EXPECT_EQ(bool{block.gate.weight}, family.layout->gated());
      EXPECT_EQ(block.up.weight->name, prefix + "." + family.layout->up + ".weight");
      EXPECT_EQ(block.down.bias->name, prefix + "." + family.layout->down + ".bias");
    }
  }
}

// Weights as the other of the two layouts with these names has them.
TEST(FamiliesTest, ShapesTellConv1DFromLinear) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  for (const char* name : {"conv1d", "c_fc_c_proj"}) {
    for (const std::string prefix : {"transformer.h.0.mlp", "h.0.mlp", "unknown"}) {
      const Layout& layout = Families().layouts.at(name);
      WriteZeros(path, EntriesOf(prefix, layout));
      EXPECT_EQ(FindBlock(Checkpoint(path), prefix).layout, &layout);
    }
  }
  WriteZeros(path, {{"h.0.mlp.c_fc.weight", "F32", {2, 4}}, {"h.0.mlp.c_proj.weight", "F32", {4, 2}}});
  EXPECT_TRUE(FindBlock(Checkpoint(path), "h.0.mlp").layout->transposed);
  WriteZeros(path, {{"x.c_fc.weight", "F32", {2, 4}}, {"x.c_proj.weight", "F32", {4, 2}}});
  EXPECT_TRUE(Contains(
      ErrorOf(path, [&] { FindBlock(Checkpoint(path), "x"); }),
      "'x' can be read in several ways: c_fc and c_proj, as [out, in]; c_fc and c_proj, as [in, out]"));
}

// OpenAI CLIP's names are never those of a Conv1D, whatever the shapes.
TEST(FamiliesTest, ConvolutionsAreNotClips) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  const std::string prefix = "visual.transformer.resblocks.0.mlp";
  WriteZeros(path, EntriesOf(prefix, Families().layouts.at("conv1d")));
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { FindBlock(Checkpoint(path), prefix); }), "do not fit"));
}

}  // namespace
}  // namespace fusedffn::io
