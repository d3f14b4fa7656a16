#include "src/models/block_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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
  if (IsIn(family.model_types, whole_type) && !IsIn(names, "")) names.push_back("");
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
  const auto& known = Families().activations;
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
  return result;
}

}  // namespace

BlockActivation ActivationOf(const Block& block, const ModelConfig& config) {
  for (const Family* family : block.families) {
    if (family->names_suffice) {
      return {family->activation, "its names say so", {family}, family->norm.eps, true};
    }
  }
  if (!config.problem.empty()) return Unknown(block, config.problem);
  Finding best;
  for (const Family* family : block.families) {
    const Finding finding = Look(*family, config);
    if (finding.family != nullptr && (best.family == nullptr || (finding.is_family && !best.is_family))) {
      best = finding;
    }
  }
  if (best.family == nullptr) return Unknown(block, "config.json does not say");
  return FromConfig(block, best);
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn
