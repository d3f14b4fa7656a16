#include "tools/fusedffn/io_options.h"

#include <fmt/format.h>

#include <optional>

#include "src/files/atomic_file.h"
#include "src/files/error.h"
#include "src/files/system_call.h"
#include "tools/fusedffn/arguments.h"

namespace fusedffn::program {

CLI::Option* AddWeights(CLI::App* command, std::string* weights) {
  return command->add_option("--weights", *weights, kCheckpointHelp)->required()->type_name("PATH");
}

void AddIgnored(CLI::App* command, std::vector<std::string>* ignored) {
  command
      ->add_option("--ignore-tensors", *ignored,
                   "Leave this tensor, or all below this name, out of account: by its name\n"
                   "behind a block's prefix, or by its whole name. Else a block that has more\n"
                   "tensors than those of its layers is refused. May be given several times")
      ->type_name("NAME")
      ->allow_extra_args(false);
}

CLI::Option* AddInput(CLI::App* command, std::string* input) {
  return command->add_option("--input", *input, "X, a .npy or .safetensors file")
      ->required()
      ->type_name("FILE")
      ->check(CheckArrayName);
}

CLI::Option* AddOutput(CLI::App* command, std::string* output) {
  return command
      ->add_option("--output", *output, "Y, likewise; replaced if it exists, once it has been written whole")
      ->type_name("FILE")
      ->check(CheckArrayName);
}

void RequireOtherFile(const std::string& output, const char* option, const std::string& path) {
  const std::optional<struct stat> a = io::StatusOf(output), b = io::StatusOf(path);
  if (a && b && a->st_dev == b->st_dev && a->st_ino == b->st_ino) {
    throw UsageError(fmt::format("--output {} is the file of {}; it must be another one", output, option));
  }
}

void CheckOutput(const Files& files, const io::Checkpoint& weights) {
  if (files.output.empty()) return;
  RequireOtherFile(files.output, "--input", files.input);
  for (const std::string& file : weights.Files()) RequireOtherFile(files.output, "--weights", file);
  io::CheckWritable(files.output);
}

size_t TokensOf(const std::string& path, const io::Array& x, size_t dim) {
  const size_t rank = x.shape.size();
  if ((rank != 2 && rank != 3) || x.shape.back() != dim) {
    throw io::Error(path,
                    fmt::format("shape {} is not accepted; this block takes [tokens, {}] or [batch, seq, {}]",
                                io::DimsText(x.shape), dim, dim));
  }
  return x.values.size() / dim;
}

io::Array MakeOutput(const std::string& path, const io::Array& x, size_t tokens, size_t out) {
  io::Array y;
  y.shape = x.shape;
  y.shape.back() = out;
  if (!io::CheckedMultiply(tokens, out)) {
    throw io::Error(path, fmt::format("{} tokens of {} are too many for memory", tokens, out));
  }
  y.values.resize(tokens * out);
  return y;
}

}  // namespace fusedffn::program
