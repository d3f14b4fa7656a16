// The norm in front of a block: which one it is, what its eps is, and its tensors.
#include "src/models/norm_weights.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/named_block.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

// "name, eps", with eps "?" if it is not known, "RMS " before the name of an RMSNorm, "+1" behind that of one
// with such an offset, and "..." if one more norm follows; or an error. For a block at `prefix`, which need
// not exist, with this text in config.json, or with none.
std::string Answer(const std::string& prefix, const std::string& layout, const char* config) {
  const Block block = NamedBlock(prefix, layout);
  const BlockActivation known = KnownOf(block, config);
  try {
    std::ostringstream text;
    const FamilyNorm& norm = NormOf("file", block, known);
    text << (norm.kind == NormKind::kRmsNorm ? "RMS " : "") << norm.name;
    if (norm.weight_offset != 0) text << "+" << norm.weight_offset;
    text << (norm.behind.empty() ? ", " : "..., ");
    if (!known.norm_eps) return text.str() + "?";
    text << *known.norm_eps;
    return text.str();
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(BlockNormTest, NamesAndEps) {
  const char* const clip = "vision_model.encoder.layers.0.mlp";
  const char* const open_clip = "visual.transformer.resblocks.0.mlp";
  const NamedCase cases[] = {
      {"model.vision_model.transformer.layers.0.mlp", "fc1_fc2", nullptr, "layer_norm2, 1e-05"},
      {"model.vision_model.transformer.layers.0.mlp", "fc1_fc2", R"({"layer_norm_eps": 0.5})",
       "layer_norm2, 1e-05"},
      {"model.sam_model.blocks.0.mlp", "lin1_lin2", nullptr, "norm2, 1e-06"},
      {"image_encoder.blocks.0.mlp", "lin1_lin2", nullptr, "norm2, 1e-06"},
      // One name, but two models that differ in eps.
      {clip, "fc1_fc2", nullptr, "layer_norm2, ?"},
      {clip, "fc1_fc2", R"({"model_type": "clip_vision_model"})", "layer_norm2, 1e-05"},
      {clip, "fc1_fc2", R"({"model_type": "siglip_vision_model"})", "layer_norm2, 1e-06"},
      {clip, "fc1_fc2",
       R"({"model_type": "clip", "layer_norm_eps": 0.5, "vision_config": {"layer_norm_eps": 0.25}})",
       "layer_norm2, 0.25"},
      {clip, "fc1_fc2", R"({"vision_config": {"hidden_act": "gelu", "layer_norm_eps": 0.25}})",
       "layer_norm2, 0.25"},
      {clip, "fc1_fc2", R"({"vision_config": {"hidden_act": "gelu"}})", "layer_norm2, ?"},
      {clip, "fc1_fc2", R"({"vision_config": {"hidden_act": "gelu", "layer_norm_eps": "0.25"}})",
       "layer_norm2, ?"},
      // One that cannot be read is not the default.
      {clip, "fc1_fc2", R"({"model_type": "clip_vision_model", "layer_norm_eps": "0.25"})", "layer_norm2, ?"},
      {clip, "fc1_fc2", R"({"model_type": "clip_vision_model", "rms_norm_eps": 0.25})", "layer_norm2, 1e-05"},
      // Known, although the activation is not.
      {clip, "fc1_fc2", R"({"model_type": "clip_vision_model", "hidden_act": "mish"})", "layer_norm2, 1e-05"},
      {open_clip, "c_fc_c_proj", nullptr, "ln_2, ?"},
      {open_clip, "c_fc_c_proj", R"({"vision_config": {"hidden_act": "gelu"}})", "ln_2, ?"},
      {"vision_encoder.layers.0.mlp", "lin1_lin2", R"({"model_type": "sam", "vision_config": {}})",
       "layer_norm2, 1e-06"},
      {"visual.blocks.0.mlp", "fc1_fc2",
       R"({"model_type": "qwen2_vl", "vision_config": {"layer_norm_eps": 1}})", "norm2, 1e-06"},
      {"h.0.mlp", "conv1d", R"({"model_type": "gpt2", "layer_norm_epsilon": 0.125})", "ln_2, 0.125"},
      {"model.encoder.layers.0", "fc1_fc2", R"({"model_type": "whisper"})", "final_layer_norm, 1e-05"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Answer(c.prefix, c.layout, c.config), c.answer)
        << c.prefix << " " << (c.config ? c.config : "");
  }
}

TEST(BlockNormTest, GatedModels) {
  const char* const norm = "RMS post_attention_layernorm, ";
  const struct {
    const char* prefix;
    const char* config;
    std::string answer;
  } cases[] = {
      {"layers.0", R"({"model_type": "llama", "rms_norm_eps": 1e-5})", std::string(norm) + "1e-05"},
      {"model.layers.0", R"({"model_type": "llama", "layer_norm_eps": 1e-5})", std::string(norm) + "1e-06"},
      {"model.layers.0", R"({"model_type": "mistral"})", std::string(norm) + "1e-06"},
      {"model.layers.0", R"({"model_type": "qwen3", "rms_norm_eps": 1e-7})", std::string(norm) + "1e-07"},
      {"model.layers.0", R"({"model_type": "qwen2", "rms_norm_eps": null})", std::string(norm) + "1e-06"},
      {"model.layers.0", R"({"model_type": "qwen2", "rms_norm_eps": "1e-6"})", std::string(norm) + "?"},
      {"model.layers.0", R"({"model_type": "qwen2_vl", "hidden_act": "silu"})", std::string(norm) + "1e-05"},
      {"model.language_model.layers.0",
       R"({"model_type": "llava", "text_config": {"model_type": "llama", "rms_norm_eps": 0.5}})",
       std::string(norm) + "0.5"},
      {"model.layers.0", R"({"model_type": "deepseek_vl_v2", "language_config": {"hidden_size": 1280}})",
       std::string(norm) + "1e-06"},
      {"model.qwen2_model.model.model.layers.0", nullptr, std::string(norm) + "1e-06"},
      {"model.layers.0", R"({"model_type": "gemma"})", "RMS post_attention_layernorm+1, 1e-06"},
      {"language_model.model.layers.0",
       R"({"model_type": "paligemma", "text_config": {"model_type": "gemma", "rms_norm_eps": 1e-5}})",
       "RMS post_attention_layernorm+1, 1e-05"},
      {"model.layers.0", R"({"model_type": "gemma2"})", "RMS pre_feedforward_layernorm+1..., 1e-06"},
      {"model.layers.0", R"({"model_type": "gemma3_text"})", "RMS pre_feedforward_layernorm+1..., 1e-06"},
      {"language_model.model.layers.0", R"({"model_type": "gemma3", "text_config": {"rms_norm_eps": 1e-7}})",
       "RMS pre_feedforward_layernorm+1..., 1e-07"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Answer(std::string(c.prefix) + ".mlp", "gate_up_down", c.config), c.answer)
        << c.prefix << " " << (c.config ? c.config : "");
  }
}

TEST(BlockNormTest, NotKnown) {
  const NamedCase cases[] = {
      // Others have these names, and other norms.
      {"h.0.mlp", "conv1d", R"({"activation_function": "gelu_new"})",
       "with a model_type of theirs, such as 'gpt2'"},
      {"h.0.mlp", "conv1d", R"({"model_type": "imagegpt", "activation_function": "quick_gelu"})",
       "such as 'gpt2'"},
      {"visual.blocks.0.mlp", "fc1_fc2", nullptr, "such as 'qwen2_vl_vision'"},
      {"vision_model.encoder.layers.0.mlp", "fc1_fc2",
       R"({"vision_config": {"model_type": "other", "hidden_act": "gelu"}})",
       "config.json has model_type 'other', which is none of theirs"},
      {"model.vision_model.transformer.layers.0.mlp", "fc1_fc2",
       R"({"model_type": "mllama", "vision_config": {"hidden_act": "gelu"}})", "of no known family"},
      {"model.layers.0.mlp", "gate_up_down", nullptr, "say, with a model_type of theirs, such as 'llama'"},
      {"model.layers.0.mlp", "gate_up_down",
       R"({"model_type": "olmo2", "hidden_act": "silu", "rms_norm_eps": 1e-6})",
       "those of Llama, Mistral, Qwen or DeepSeek, Qwen2-VL text, Gemma or Gemma 2 and 3, and of models "
       "with"},
      {"model.language_model.layers.0.mlp", "gate_up_down",
       R"({"model_type": "glm4v", "text_config": {"model_type": "glm4v_text", "hidden_act": "silu"}})",
       "and of models with other norms"},
      {"layers.0.feed_forward", "w1_w3_w2", nullptr, "Llama (Meta) is not known to be x + block(norm(x))"},
      {"model.layers.0.mlp.experts.1", "gate_up_down", R"({"model_type": "qwen3_moe"})",
       "experts of DeepSeek or Qwen is not known to be"},
      {"m.0", "fc1_fc2", nullptr, "of no known family"},
      {"bert.encoder.layer.0", "dense", R"({"model_type": "bert"})",
       "BERT is not known to be x + block(norm(x))"},
      {"model.encoder.layers.0", "fc1_fc2", nullptr, "those of Whisper or BART, and BART is not known to be"},
      {"encoder.layer.0.mlp", "fc1_fc2", R"({"model_type": "dinov2"})", "DINOv2 (HF) is not known to be"},
  };
  for (const auto& c : cases) {
    EXPECT_TRUE(Contains(Answer(c.prefix, c.layout, c.config), c.answer)) << c.prefix;
  }
}

class LoadNormTest : public testing::Test {
 protected:
  static LoadedNorm Load(const Checkpoint& checkpoint, const std::string& prefix, const std::string& layout,
                         const std::string& norm, NormKind kind = NormKind::kRmsNorm) {
    Block block = NamedBlock(prefix, layout);
    block.shape = {3, 12, 3};
    return LoadNorm(checkpoint, block, {norm, kind, 1, "", {}, false}, 0.5);
  }

  // What is wrong with a file of these tensors, or "".
  std::string ErrorOfTensors(const std::vector<Entry>& entries) const {
    WriteZeros(path_, entries);
    const Checkpoint checkpoint(path_);
    try {
      Load(checkpoint, "model.vision_model.transformer.layers.7.mlp", "fc1_fc2", "layer_norm2");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "file.safetensors";
  const std::string name_ = "model.vision_model.transformer.layers.7.layer_norm2";
};

TEST_F(LoadNormTest, ReadsItsTensors) {
  for (const auto& [name, dtype] :
       {std::pair("F32", DType::kF32), std::pair("BF16", DType::kBF16), std::pair("F16", DType::kF16)}) {
    TestNorm want = WriteNorm(path_, "h.3.ln_2", 3, name, 1);
    const LoadedNorm norm = Load(Checkpoint(path_), "h.3.mlp", "conv1d", "ln_2");
    EXPECT_EQ(norm.dtype, dtype);
    EXPECT_EQ(norm.weight, Store(name, &want.weight));
    EXPECT_EQ(norm.bias, Store(name, &want.bias));
    const Norm as = norm.view();
    EXPECT_EQ(as.kind, NormKind::kRmsNorm);
    EXPECT_EQ(as.weight_offset, 1);
    EXPECT_EQ(as.eps, 0.5);
  }
}

TEST_F(LoadNormTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(ErrorOfTensors({{name_ + ".weight", "F32", {3}}}), "");  // without a bias
  EXPECT_TRUE(Contains(ErrorOfTensors({}), "there is no tensor '" + name_ + ".weight', the norm in front"));
  EXPECT_TRUE(Contains(ErrorOfTensors({{name_ + ".weight", "F32", {4}}}),
                       "layer_norm2.weight' is 'F32' [4]; it must be [3] of F32, BF16 or F16"));
  EXPECT_TRUE(Contains(ErrorOfTensors({{name_ + ".weight", "F32", {3, 1}}}), "[3, 1]; it must be [3]"));
  EXPECT_TRUE(Contains(ErrorOfTensors({{name_ + ".weight", "I32", {3}}}), "is 'I32' [3]; it must be"));
  EXPECT_TRUE(Contains(ErrorOfTensors({{name_ + ".weight", "F32", {3}}, {name_ + ".bias", "F32", {2}}}),
                       "layer_norm2.bias' is 'F32' [2]"));
  EXPECT_TRUE(Contains(ErrorOfTensors({{name_ + ".weight", "F32", {3}}, {name_ + ".bias", "BF16", {3}}}),
                       "they must be alike"));
}

// ImageGPT's has no bias, as an RMSNorm has none, and no mean.
TEST_F(LoadNormTest, RefusesALayerNormWithoutABias) {
  WriteNorm(path_, "h.3.ln_2", 3, "F32", 1, false);
  const std::string problem =
      ErrorOf(path_, [&] { Load(Checkpoint(path_), "h.3.mlp", "conv1d", "ln_2", NormKind::kLayerNorm); });
  EXPECT_TRUE(
      Contains(problem, "there is no tensor 'h.3.ln_2.bias': the norm in front of block 'h.3.mlp' is not"));
}

// What a layer has beside a block that x + block(norm(x)) would leave out.
TEST_F(LoadNormTest, AccountsForTheWholeLayer) {
  const auto problem_with = [&](const std::string& name, const std::vector<std::string>& ignored = {}) {
    WriteZeros(path_,
               {{"h.3.mlp.c_fc.weight", "F32", {3}}, {"h.3.ln_2.bias", "F32", {3}}, {name, "F32", {3}}});
    const Block block = NamedBlock("h.3.mlp", "conv1d");
    return ErrorOf(path_, [&] {
      RequirePlainResidual(Checkpoint(path_, ignored), block, KnownOf(block, R"({"model_type": "gpt2"})"),
                           block.families.at(0)->norm);
    });
  };
  for (const char* more : {"ls_2.gamma", "gamma_2", "lambda2", "layer_scale2.lambda1", "ln_3.weight",
                           "post_feedforward_layernorm.weight", "adapter.down.weight", "mlp2.c_fc.weight"}) {
    EXPECT_TRUE(Contains(problem_with(std::string("h.3.") + more),
                         "block 'h.3.mlp': its layer has 'h.3." + std::string(more) + "' as well"));
  }
  for (const char* more :
       {"h.3.ln_1.weight", "h.3.attn.c_attn.weight", "h.3.attn.bias", "h.3.crossattention.q.weight",
        "h.3.ln_cross_attn.weight", "h.30.ls_2.gamma", "wte.weight"}) {
    EXPECT_EQ(problem_with(more), "") << more;
  }
  EXPECT_EQ(problem_with("h.3.ls_2.gamma", {"ls_2"}), "");
}

}  // namespace
}  // namespace fusedffn::io
