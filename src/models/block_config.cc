#include "src/models/block_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "src/files/error.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

bool IsIn(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

// A section of config.json that speaks of a family's blocks.
struct Finding {
  const Family* family = nullptr;  // null: there is none
  bool is_family = false;          // it says that the model is this one
  std::string name;
  ModelConfig::Section section;
};

Finding Look(const Family& family, const ModelConfig& config) {
  const std::string& whole_type = config.sections.at("").model_type;
  std::vector<std::string> names = family.sections;
  const bool is_whole = IsIn(family.model_types, whole_type) || IsIn(family.other_models, whole_type);
  if (is_whole && !IsIn(names, "")) names.push_back("");
  for (const std::string& name : names) {
    const auto found = config.sections.find(name);
    if (found == config.sections.end()) continue;
    const std::string& type = found->second.model_type;
    const bool by_parent = !name.empty() && IsIn(family.parents, type.empty() ? whole_type : type);
    const bool is_family = IsIn(family.model_types, type) || by_parent;
    if (is_family || !found->second.key.empty()) return {&family, is_family, name, found->second};
  }
  return {};
}

// The first section that says that the model is one of the block's families; else the first that has an
// activation.
Finding Look(const Block& block, const ModelConfig& config) {
  Finding best;
  if (!config.problem.empty()) return best;
  for (const Family* family : block.families) {
    const Finding finding = Look(*family, config);
    if (finding.family != nullptr && (best.family == nullptr || (finding.is_family && !best.is_family))) {
      best = finding;
    }
  }
  return best;
}

// Of which kind of tower a section or a prefix speaks: of images, sounds, or text and all others.
enum class Kind { kImage, kSound, kOther };
Kind KindOf(std::string_view name) {
  const auto has = [&](const char* word) { return name.find(word) != std::string_view::npos; };
  if (has("vision") || has("visual") || has("image")) return Kind::kImage;
  return has("audio") || has("speech") ? Kind::kSound : Kind::kOther;
}

bool Counts(const ModelConfig::Term& term, const Block& block) {
  const std::string layer = LayerOf(block.prefix);
  const std::optional<uint64_t> number = NumberOf(layer.substr(layer.rfind('.') + 1));
  const bool has_own = term.known->per_layer && number && *number < term.is_neutral.size();
  return !has_own || !term.is_neutral[*number];
}

// The first term that counts in the section that speaks of the block, if that is known; else in any that may.
std::string TermProblem(const Block& block, const ModelConfig& config, bool of_residual) {
  const bool has_terms = std::any_of(config.sections.begin(), config.sections.end(),
                                     [](const auto& section) { return !section.second.terms.empty(); });
  if (!has_terms) return "";
  const Finding finding = Look(block, config);
  const bool is_known = finding.family != nullptr && !finding.name.empty();
  for (const auto& [name, section] : config.sections) {
    const bool may_speak = name.empty() || KindOf(name) == KindOf(block.prefix);
    if (is_known ? name != finding.name : !may_speak) continue;
    for (const ModelConfig::Term& term : section.terms) {
      if (term.known->of_residual != of_residual || !Counts(term, block)) continue;
      return fmt::format("config.json has {} {}, which is not computed here; accepted are {} and null",
                         OneLine(term.name), Quoted(term.value), term.known->neutral);
    }
  }
  return "";
}

// "A (quick_gelu) or B (gelu)"
std::string Candidates(const std::vector<const Family*>& families) {
  std::vector<std::string> texts;
  for (const Family* family : families) {
    texts.push_back(fmt::format("{} ({})", family->name, ActivationName(family->activation)));
  }
  return AnyOf(texts);
}

BlockActivation Unknown(const Block& block, const std::string& missing) {
  const std::string names = block.families.empty()
                                ? "its names are of no known family"
                                : fmt::format("its names are those of {}", Candidates(block.families));
  return {std::nullopt, fmt::format("{}, and {}", names, missing), block.families, std::nullopt, false};
}

std::optional<double> EpsFrom(const Finding& finding) {
  const FamilyNorm& norm = finding.family->norm;
  const std::optional<double>& eps =
      norm.kind == NormKind::kRmsNorm ? finding.section.rms_norm_eps : finding.section.layer_norm_eps;
  if (norm.eps_in_config && eps) return std::isnan(*eps) ? std::nullopt : eps;
  return finding.is_family ? norm.eps : std::nullopt;
}

BlockActivation FromConfig(const Block& block, const Finding& finding) {
  BlockActivation result;
  result.families = finding.is_family ? std::vector<const Family*>{finding.family} : block.families;
  result.norm_eps = EpsFrom(finding);
  result.model_is_told = finding.is_family;
  if (finding.section.key.empty()) {
    result.activation = finding.family->activation;
    result.reason = "config.json's model_type says so";
    return result;
  }
  const auto& legacy = finding.family->legacy;
  const bool may_be_legacy = finding.is_family && finding.section.key == "hidden_act";
  const bool is_legacy = may_be_legacy && legacy.count(finding.section.activation) != 0;
  const auto& known = is_legacy ? legacy : Families().activations;
  const auto found = known.find(finding.section.activation);
  if (found == known.end()) {
    result.reason =
        fmt::format("config.json has {}{}{} {}, which is not known here",
                    finding.name.empty() ? "" : OneLine(finding.name), finding.name.empty() ? "" : ".",
                    finding.section.key, Quoted(finding.section.activation));
    return result;
  }
  result.activation = found->second;
  result.reason = "config.json says so";
  if (is_legacy)
    result.reason +=
        fmt::format(", whose {} is this in {}", finding.section.activation, finding.family->name);
  return result;
}

// Of a block whose names say it, unless config.json says something else.
BlockActivation ByNames(const Block& block, const Family& family, const ModelConfig& config) {
  const BlockActivation named = {family.activation, "its names say so", {&family}, family.norm.eps, true};
  if (!config.problem.empty()) return named;
  const Finding finding = Look(family, config);
  const std::string& whole_type = config.sections.at("").model_type;
  if (finding.family == nullptr && !IsIn(family.other_models, whole_type)) return named;
  BlockActivation told = finding.family != nullptr
                             ? FromConfig(block, finding)
                             : Unknown(block, fmt::format("config.json's model_type is {}, which has others",
                                                          Quoted(whole_type)));
  if (told.activation == family.activation) return named;
  told.families.clear();
  told.norm_eps.reset();
  return told;
}

BlockActivation FromAll(const Block& block, const ModelConfig& config) {
  for (const Family* family : block.families) {
    if (family->names_suffice) return ByNames(block, *family, config);
  }
  if (!config.problem.empty()) return Unknown(block, config.problem);
  const Finding finding = Look(block, config);
  BlockActivation result =
      finding.family == nullptr ? Unknown(block, "config.json does not say") : FromConfig(block, finding);
  if (!result.model_is_told) {
    const std::string& type = finding.section.model_type;
    result.other_model = type.empty() ? config.sections.at("").model_type : type;
  }
  return result;
}

}  // namespace

BlockActivation ActivationOf(const Block& block, const ModelConfig& config) {
  BlockActivation result = FromAll(block, config);
  result.residual_problem = TermProblem(block, config, true);
  return result;
}

std::string CheckConfig(const Block& block, const ModelConfig& config) {
  return TermProblem(block, config, false);
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn
