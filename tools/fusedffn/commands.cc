#include "tools/fusedffn/commands.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace fusedffn::program {

std::unique_ptr<CLI::App> MakeParser(Action* chosen) {
  auto app = std::make_unique<CLI::App>("A transformer's feed-forward block on CPUs: y = fc2(act(fc1(x)))",
                                        "fusedffn");
  app->get_formatter()->column_width(28);
  app->set_version_flag("--version", "fusedffn " FUSEDFFN_VERSION, "Print the version and exit");
  app->set_help_flag("-h,--help", "Print this text and exit; after a subcommand: that one's");
  app->require_subcommand(0, 1);
  app->footer(
      "Exit code: 0 if all went well, 1 for a failure, 2 for wrong usage. For 1 and 2\n"
      "one line on stderr says what was wrong and what is accepted. An output file is\n"
      "written whole or not at all.\n"
      "\n"
      "Example:\n"
      "  fusedffn inspect clip_l.safetensors\n"
      "  fusedffn run --weights clip_l.safetensors \\\n"
      "      --layer model.vision_model.transformer.layers.0.mlp \\\n"
      "      --input x.npy --output y.npy\n");
  AddRun(app.get(), chosen);
  AddTower(app.get(), chosen);
  AddQuantize(app.get(), chosen);
  AddInspect(app.get(), chosen);
  AddInfo(app.get(), chosen);
  return app;
}

}  // namespace fusedffn::program
