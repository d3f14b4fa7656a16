// Which activation a block has: by its names, by config.json, or not to be known. Every row of the table, and
// the configurations that real checkpoints have.
#include "src/models/block_config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/named_block.h"

namespace fusedffn::io {
namespace {

// Of a block that need not exist.
BlockActivation Ask(const std::string& prefix, const std::string& layout, const char* config) {
  return KnownOf(NamedBlock(prefix, layout), config);
}

std::string Known(const BlockActivation& answer) {
  return answer.activation ? ActivationName(*answer.activation) : "";
}

// "Name: activation", with the activation "" if it is not known.
std::string Answer(const std::string& prefix, const std::string& layout, const char* config) {
  const BlockActivation answer = Ask(prefix, layout, config);
  EXPECT_NE(answer.reason, "");
  return NamesOf(answer.families) + ": " + Known(answer);
}

TEST(BlockActivationTest, NamesThatSuffice) {
  for (const char* config : {static_cast<const char*>(nullptr), "{", R"({"hidden_act": "silu"})",
                             R"({"model_type": "deepseek_vl_v2", "vision_config": {"mlp_ratio": 3.7362}})",
                             R"({"vision_config": {"hidden_act": "quick_gelu"}})"}) {
    EXPECT_EQ(Answer("model.vision_model.transformer.layers.0.mlp", "fc1_fc2", config),
              "DeepSeek-OCR CLIP-L: quick_gelu");
    EXPECT_EQ(Answer("model.sam_model.blocks.0.mlp", "lin1_lin2", config), "DeepSeek-OCR SAM: gelu");
    EXPECT_EQ(Answer("image_encoder.blocks.0.mlp", "lin1_lin2", config), "SAM (Meta) image encoder: gelu");
    EXPECT_EQ(Answer("model.qwen2_model.model.model.layers.0.mlp", "gate_up_down", config),
              "DeepSeek-OCR 2 encoder: silu");
  }
}

// Llama 3.2 Vision has DeepSeek-OCR's names, and gelu.
TEST(BlockActivationTest, ConfigurationsBeatNames) {
  const char* const names = "model.vision_model.transformer.layers.0.mlp";
  for (const char* config :
       {R"({"vision_config": {"hidden_act": "gelu"}})",
        R"({"model_type": "mllama_vision_model", "hidden_act": "gelu"})",
        R"({"model_type": "mllama", "hidden_act": "silu", "vision_config": {"hidden_act": "gelu"}})"}) {
    const BlockActivation answer = Ask(names, "fc1_fc2", config);
    EXPECT_EQ(Known(answer), "gelu") << config;
    EXPECT_TRUE(answer.families.empty());
    EXPECT_FALSE(answer.model_is_told || answer.norm_eps);
    EXPECT_EQ(Answer("model.sam_model.blocks.0.mlp", "lin1_lin2", config), "DeepSeek-OCR SAM: gelu");
  }
  const char* const parts = R"({"model_type": "x", "vision_config": {"sam_config": {"hidden_act": "relu"},
                                "encoder_config": {"hidden_act": "gelu"}}})";
  EXPECT_EQ(Answer("model.sam_model.blocks.0.mlp", "lin1_lin2", parts), ": relu");
  EXPECT_EQ(Answer(names, "fc1_fc2", parts), ": gelu");
  EXPECT_EQ(Answer("model.qwen2_model.model.model.layers.0.mlp", "gate_up_down", parts), ": gelu");
  for (const char* config : {R"({"model_type": "mllama"})", R"({"vision_config": {"hidden_act": "mish"}})"}) {
    EXPECT_EQ(Known(Ask(names, "fc1_fc2", config)), "") << config;
  }
}

TEST(BlockActivationTest, ConfigurationsThatDoNotMeanWhatTheySay) {
  const char* const llama = "model.layers.0.mlp";
  const char* const clip = "vision_model.encoder.layers.0.mlp";
  const NamedCase cases[] = {
      {llama, "gate_up_down", R"({"model_type": "gemma", "hidden_act": "gelu"})", "Gemma: gelu_tanh"},
      {llama, "gate_up_down", R"({"model_type": "gemma", "hidden_act": "gelu", "hidden_activation": null})",
       "Gemma: gelu_tanh"},
      {llama, "gate_up_down", R"({"model_type": "gemma", "hidden_activation": "gelu"})", "Gemma: gelu"},
      {llama, "gate_up_down", R"({"model_type": "gemma2", "hidden_act": "gelu"})", "Gemma 2 and 3: gelu"},
      {"language_model.model.layers.0.mlp", "gate_up_down",
       R"({"model_type": "paligemma", "text_config": {"hidden_act": "gelu"}})", "Gemma: gelu_tanh"},
      {clip, "fc1_fc2",
       R"({"model_type": "clip", "vision_config": {"hidden_act": "quick_gelu"}, "vision_config_dict": {"hidden_act": "gelu"}})",
       "CLIP (HF) image tower: gelu"},
      {clip, "fc1_fc2",
       R"({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}, "vision_config_dict": {}})",
       "CLIP (HF) image tower: quick_gelu"},
      {clip, "fc1_fc2",
       R"({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}, "vision_config_dict": null})",
       "CLIP (HF) image tower: gelu"},
      {"text_model.encoder.layers.0.mlp", "fc1_fc2",
       R"({"text_config": {"model_type": "clip_text_model"}, "text_config_dict": {"hidden_act": "gelu"}})",
       "CLIP (HF) text tower: gelu"},
      // As Python writes them.
      {llama, "gate_up_down",
       R"({"limit": [0.0, Infinity, -Infinity], "loss": NaN, "hidden_act": "silu", "model_type": "llama"})",
       "Llama, Mistral, Qwen or DeepSeek: silu"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Answer(c.prefix, c.layout, c.config), c.answer) << c.prefix << " " << c.config;
  }
  EXPECT_TRUE(Contains(Ask(llama, "gate_up_down", R"({"a": "NaN \" Infinity", "b": NaNNaN})").reason,
                       "not valid JSON at its byte 34"));
}

// What is not computed, and the values with which nothing changes.
TEST(BlockActivationTest, TermsOfConfigurations) {
  const auto problem = [](const std::string& prefix, const std::string& layout, const std::string& config) {
    const TempFolder folder;
    return CheckConfig(NamedBlock(prefix, layout), ReadModelConfig(folder.Write("config.json", config)));
  };
  const struct {
    const char* prefix;
    const char* config;
    const char* named;  // null: no problem
  } cases[] = {
      {"model.layers.0.mlp", R"({"swiglu_limit": 7.0})", "config.json has swiglu_limit '7.0', which is not"},
      {"model.layers.0.mlp", R"({"swiglu_limit": "7"})", "swiglu_limit '\"7\"'"},
      {"model.layers.0.mlp", R"({"swiglu_limit": true})", "swiglu_limit 'true'"},
      {"model.layers.0.mlp", R"({"swiglu_limit": null})", nullptr},
      {"model.layers.0.mlp", R"({"swiglu_limit": 0})", nullptr},
      {"model.layers.0.mlp", R"({"swiglu_limit": Infinity})", nullptr},
      {"model.layers.1.mlp.experts.0", R"({"expert_swiglu_limit_list": [0, 4.0]})",
       "expert_swiglu_limit_list '[0,4.0]', which is not computed here; accepted are 0 and null"},
      {"model.layers.1.mlp.experts.0", R"({"expert_swiglu_limit_list": [0, 0.0, null]})", nullptr},
      {"model.layers.1.mlp",
       R"({"model_type": "step3p7", "text_config": {"swiglu_limits_shared": [null, 7]}})",
       "text_config.swiglu_limits_shared"},
      {"model.layers.0.mlp", R"({"mlp_multipliers": [1.0, 0.5]})", "mlp_multipliers '[1.0,0.5]'"},
      {"model.layers.0.mlp", R"({"mlp_multipliers": [1.0, 1]})", nullptr},
      {"model.layers.0.mlp", R"({"residual_multiplier": 0.22})", nullptr},
      {"model.layers.0.mlp", R"({"activation_sparsity_pattern": [0.95, 0]})", "activation_sparsity_pattern"},
      {"model.layers.1.mlp", R"({"activation_sparsity_pattern": [0.95, 0]})", nullptr},
      {"model.layers.2.mlp", R"({"activation_sparsity_pattern": [0.95, 0]})", "activation_sparsity_pattern"},
      {"model.layers.1.mlp", R"({"activation_sparsity_pattern": 0.5})", "activation_sparsity_pattern"},
      {"model.layers.0.mlp", R"({"thinker_config": {"text_config": {"swiglu_limit": 7}}})",
       "thinker_config.text_config.swiglu_limit '7'"},
      // Of other towers.
      {"vision_tower.blocks.0.mlp", R"({"text_config": {"swiglu_limit": 7}})", nullptr},
      {"vision_tower.blocks.0.mlp", R"({"vision_config": {"swiglu_limit": 7}})",
       "vision_config.swiglu_limit"},
      {"model.layers.0.mlp", R"({"vision_config": {"swiglu_limit": 7}})", nullptr},
      {"model.layers.0.mlp", R"({"swiglu_limit": 7, "text_config": {"model_type": "llama"}})", nullptr},
      {"anything", R"({"swiglu_limit": 7})", "swiglu_limit"},
  };
  for (const auto& c : cases) {
    const std::string found = problem(c.prefix, "gate_up_down", c.config);
    if (c.named == nullptr) {
      EXPECT_EQ(found, "") << c.prefix << " " << c.config;
    } else {
      EXPECT_TRUE(Contains(found, c.named)) << c.prefix << " " << c.config;
    }
  }
  EXPECT_TRUE(
      Contains(Ask("model.layers.0.mlp", "gate_up_down", R"({"residual_multiplier": 0.22})").residual_problem,
               "residual_multiplier '0.22', which is not computed here; accepted are 1 and null"));
}

// As the models' own configurations are: with the activation, or with the model's type only.
TEST(BlockActivationTest, Configurations) {
  const char* const clip_vision = "vision_model.encoder.layers.0.mlp";
  const char* const llava = "vision_tower.vision_model.encoder.layers.0.mlp";
  const char* const clip_text = "text_model.encoder.layers.0.mlp";
  const char* const open_clip = "visual.transformer.resblocks.0.mlp";
  const char* const llama = "model.layers.0.mlp";
  const NamedCase cases[] = {
      {clip_vision, "fc1_fc2",
       R"({"model_type": "clip", "vision_config": {"model_type": "clip_vision_model", "hidden_act": "quick_gelu"}})",
       "CLIP (HF) image tower: quick_gelu"},
      {clip_vision, "fc1_fc2",
       R"({"model_type": "clip", "vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "relu"}})",
       "CLIP (HF) image tower: gelu"},
      {clip_vision, "fc1_fc2", R"({"model_type": "clip_vision_model", "hidden_act": "gelu"})",
       "CLIP (HF) image tower: gelu"},
      {clip_vision, "fc1_fc2", R"({"model_type": "siglip_vision_model"})", "SigLIP image tower: gelu_tanh"},
      {clip_vision, "fc1_fc2", R"({"model_type": "siglip", "vision_config": {"hidden_size": 1152}})",
       "SigLIP image tower: gelu_tanh"},
      {clip_vision, "fc1_fc2", R"({"vision_config": {"hidden_act": "gelu_pytorch_tanh"}})",
       "CLIP (HF) image tower or SigLIP image tower: gelu_tanh"},
      {llava, "fc1_fc2",
       R"({"model_type": "llava", "text_config": {"hidden_act": "silu"}, "vision_config": {"model_type": "clip_vision_model"}})",
       "CLIP (HF) image tower: quick_gelu"},
      {llava, "fc1_fc2",
       R"({"model_type": "paligemma", "vision_config": {"model_type": "siglip_vision_model"}})",
       "SigLIP image tower: gelu_tanh"},
      {clip_text, "fc1_fc2", R"({"model_type": "clip_text_model", "hidden_act": "quick_gelu"})",
       "CLIP (HF) text tower: quick_gelu"},
      {clip_text, "fc1_fc2", R"({"model_type": "siglip", "text_config": {}})",
       "SigLIP text tower: gelu_tanh"},
      {open_clip, "c_fc_c_proj",
       R"({"model_type": "clip", "vision_config": {"model_type": "clip_vision_model", "hidden_act": "gelu"}})",
       "OpenAI CLIP image tower or open_clip image tower: gelu"},
      {"transformer.resblocks.0.mlp", "c_fc_c_proj", R"({"text_config": {"hidden_act": "quick_gelu"}})",
       "OpenAI CLIP text tower or open_clip text tower: quick_gelu"},
      {"visual.blocks.0.mlp", "fc1_fc2",
       R"({"model_type": "qwen2_vl", "hidden_act": "silu", "vision_config": {"depth": 32}})",
       "Qwen2-VL image tower: quick_gelu"},
      {"visual.blocks.0.mlp", "fc1_fc2",
       R"({"model_type": "qwen2_vl", "hidden_act": "silu", "vision_config": {"model_type": "qwen2_vl"}})",
       "Qwen2-VL image tower: quick_gelu"},
      {"vision_encoder.layers.0.mlp", "lin1_lin2",
       R"({"model_type": "sam", "vision_config": {"hidden_act": "gelu"}})", "SAM (HF) image encoder: gelu"},
      {"mask_decoder.transformer.layers.0.mlp", "lin1_lin2",
       R"({"model_type": "sam", "mask_decoder_config": {}, "vision_config": {"hidden_act": "gelu"}})",
       "SAM mask decoder: relu"},
      {"encoder.layer.0", "dense", R"({"model_type": "vit", "hidden_act": "gelu"})", "ViT (HF): gelu"},
      {"encoder.layer.0", "dense", R"({"model_type": "bert"})", "BERT: gelu"},
      {"bert.encoder.layer.0", "dense", R"({"model_type": "bert", "hidden_act": "gelu_new"})",
       "BERT: gelu_tanh"},
      {"encoder.layer.0.mlp", "fc1_fc2", R"({"model_type": "dinov2", "hidden_act": "gelu"})",
       "DINOv2 (HF): gelu"},
      {"model.encoder.layers.0", "fc1_fc2", R"({"model_type": "whisper", "activation_function": "gelu"})",
       "Whisper: gelu"},
      {"model.encoder.layers.0", "fc1_fc2", R"({"model_type": "bart"})", "BART: gelu"},
      {"model.decoder.layers.0", "fc1_fc2", R"({"model_type": "opt", "activation_function": "relu"})",
       "OPT: relu"},
      {"h.0.mlp", "conv1d", R"({"model_type": "gpt2", "activation_function": "gelu_new"})",
       "GPT-2: gelu_tanh"},
      {"transformer.h.0.mlp", "c_fc_c_proj", R"({"model_type": "gpt_bigcode"})",
       "GPT-BigCode or GPT-Neo: gelu_tanh"},
      {llama, "gate_up_down", R"({"model_type": "llama", "hidden_act": "silu"})",
       "Llama, Mistral, Qwen or DeepSeek: silu"},
      {llama, "gate_up_down", R"({"model_type": "other", "hidden_act": "swish"})",
       "Llama, Mistral, Qwen or DeepSeek, Qwen2-VL text, Gemma or Gemma 2 and 3: silu"},
      {llama, "gate_up_down",
       R"({"model_type": "gemma2", "hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"})",
       "Gemma 2 and 3: gelu_tanh"},
      {llama, "gate_up_down", R"({"model_type": "gemma"})", "Gemma: gelu_tanh"},
      {llama, "gate_up_down", R"({"model_type": "gemma3", "text_config": {}})", "Gemma 2 and 3: gelu_tanh"},
      {llama, "gate_up_down", R"({"model_type": "qwen2_vl", "hidden_act": "silu"})", "Qwen2-VL text: silu"},
      {llama, "gate_up_down", R"({"model_type": "deepseek_vl_v2", "language_config": {"hidden_size": 1280}})",
       "Llama, Mistral, Qwen or DeepSeek: silu"},
      {"language_model.model.layers.0.mlp", "gate_up_down",
       R"({"model_type": "llava", "text_config": {"model_type": "llama"}})",
       "Llama, Mistral, Qwen or DeepSeek: silu"},
      {"model.layers.1.mlp.experts.0", "gate_up_down",
       R"({"language_config": {"hidden_act": "silu"}, "vision_config": {"hidden_act": "gelu"}})",
       "experts of DeepSeek or Qwen: silu"},
      {"model.layers.1.block_sparse_moe.experts.0", "w1_w3_w2", R"({"model_type": "mixtral"})",
       "experts of Mixtral: silu"},
  };
  for (const auto& real : cases) {
    EXPECT_EQ(Answer(real.prefix, real.layout, real.config), real.answer)
        << real.prefix << " " << real.config;
  }
}

// Nothing is guessed, and another section's activation is not taken for the block's.
TEST(BlockActivationTest, NotKnown) {
  const NamedCase cases[] = {
      {"m", "fc1_fc2", R"({"hidden_act": "gelu"})",
       "its names are of no known family, and config.json does not say"},
      {"visual.transformer.resblocks.0.mlp", "c_fc_c_proj", nullptr,
       "its names are those of OpenAI CLIP image tower (quick_gelu) or open_clip image tower (gelu), and "
       "there is no "
       "config.json beside it"},
      {"vision_model.encoder.layers.0.mlp", "fc1_fc2",
       R"({"model_type": "llava_llama", "hidden_act": "silu"})",
       "its names are those of CLIP (HF) image tower (quick_gelu) or SigLIP image tower (gelu_tanh), and "
       "config.json "
       "does not say"},
      {"visual.blocks.0.mlp", "fc1_fc2", R"({"model_type": "qwen2_vl", "hidden_act": "silu"})",
       "config.json does not say"},
      {"visual.blocks.0.mlp", "fc1_fc2", R"({"vision_config": {"hidden_act": null}})",
       "config.json does not say"},
      {"blocks.0.mlp", "fc1_fc2", R"({"architecture": "vit_base_patch16_224", "num_features": 768})",
       "timm ViT or DINOv2 (gelu), timm ViT named quickgelu (quick_gelu) or timm ViT named siglip "
       "(gelu_tanh)"},
      {"h.0.mlp", "conv1d", "[]", "config.json: must hold a JSON object"},
      {"h.0.mlp", "conv1d", R"({"activation_function": "mish"})",
       "config.json has activation_function 'mish', which is not known here"},
      {"h.0.mlp", "conv1d", R"({"activation_function": ["gelu"]})",
       "config.json has activation_function '[\"gelu\"]', which is not known here"},
      {"h.0.mlp", "conv1d", R"({"model_type": "gpt2", "activation_function": "GELU"})",
       "config.json has activation_function 'GELU', which is not known here"},
  };
  for (const auto& unknown : cases) {
    const BlockActivation answer = Ask(unknown.prefix, unknown.layout, unknown.config);
    EXPECT_EQ(Known(answer), "") << unknown.prefix;
    EXPECT_TRUE(Contains(answer.reason, unknown.answer));
  }
}

TEST(BlockActivationTest, NamesInConfigurations) {
  const std::pair<const char*, const char*> cases[] = {
      {"quick_gelu", "quick_gelu"},
      {"gelu", "gelu"},
      {"gelu_python", "gelu"},
      {"gelu_new", "gelu_tanh"},
      {"gelu_fast", "gelu_tanh"},
      {"gelu_pytorch_tanh", "gelu_tanh"},
      {"gelu_python_tanh", "gelu_tanh"},
      {"silu", "silu"},
      {"swish", "silu"},
      {"gelu_accurate", "gelu_tanh"},
      {"relu", "relu"},
      {"relu2", "relu2"},
      {"hardswish", "hardswish"},
      {"linear", "identity"},
      {"gelu_10", ""},
      {"tanh", ""},
  };
  for (const auto& [theirs, ours] : cases) {
    const std::string config = std::string(R"({"hidden_act": ")") + theirs + "\"}";
    EXPECT_EQ(Known(Ask("bert.encoder.layer.0", "dense", config.c_str())), ours) << theirs;
  }
}

}  // namespace
}  // namespace fusedffn::io
