#include "tools/fusedffn/norm_residual_options.h"

#include <fmt/format.h>

#include <cmath>

#include "src/files/error.h"
#include "tools/fusedffn/arguments.h"
#include "tools/fusedffn/messages.h"

namespace fusedffn::program {
namespace {

std::string CheckEps(const std::string& text) {
  double eps = -1;
  const bool number = CLI::detail::lexical_cast(text, eps);
  if (number && std::isfinite(eps) && eps >= 0) return "";
  return fmt::format("must be a finite number of at least 0, and not '{}'", io::OneLine(text));
}

// The one that was given, with a warning if the checkpoint says another; else the checkpoint's.
double ChooseEps(const std::optional<double>& given, const io::Block& block,
                 const std::optional<double>& known) {
  if (!given && !known) {
    throw UsageError(
        fmt::format("the eps of the norm in front of block {} is not known: neither its names nor a "
                    "config.json beside the checkpoint say it; give --eps",
                    io::Quoted(block.prefix)));
  }
  if (given && known && *given != *known) {
    Warn(fmt::format("--eps {}, but the model has {}", *given, *known));
  }
  return given ? *given : *known;
}

}  // namespace

void AddSurroundings(CLI::App* command, Surroundings* surroundings) {
  CLI::Option* const norm =
      command->add_flag("--norm,--layer-norm", surroundings->norm,
                        "Apply the layer's norm to x first, LayerNorm or RMSNorm. It is known for\n"
                        "models whose layers are x + block(norm(x)): CLIP, SigLIP, SAM; with a\n"
                        "config.json that tells them, Whisper, GPT-2, Llama, Mistral, Qwen,\n"
                        "DeepSeek, Gemma");
  command->add_flag("--residual", surroundings->residual,
                    "Add x to y: y = x + block(x). With --norm, a layer that has more is refused,\n"
                    "such as a norm or a scale behind the block");
  command
      ->add_option("--eps", surroundings->eps,
                   "Of the norms; default what the block's names or a config.json\n"
                   "beside the checkpoint say")
      ->type_name("X")
      ->check(CheckEps)
      ->needs(norm);
}

Norms LoadNorms(const Surroundings& surroundings, const io::BlockActivation& known,
                const io::Checkpoint& weights, const std::vector<io::Block>& blocks) {
  Norms norms;
  if (!surroundings.norm) return norms;
  norms.of = io::NormOf(weights.path(), blocks[0], known);
  norms.eps = ChooseEps(surroundings.eps, blocks[0], known.norm_eps);
  for (const io::Block& block : blocks) {
    // --residual would leave what some models have behind the block out without a word.
    if (surroundings.residual) io::RequirePlainResidual(weights, block, known, norms.of);
    norms.blocks.push_back(io::LoadNorm(weights, block, norms.of, norms.eps));
  }
  return norms;
}

}  // namespace fusedffn::program
