// The files that run and tower take: a checkpoint, x and y.
#ifndef FUSEDFFN_TOOLS_FUSEDFFN_IO_OPTIONS_H_
#define FUSEDFFN_TOOLS_FUSEDFFN_IO_OPTIONS_H_

#include <CLI/App.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "src/files/array_file.h"
#include "src/models/checkpoint.h"

namespace fusedffn::program {

struct Files {
  std::string weights, input;
  std::vector<std::string> ignored;  // tensors of `weights`
  std::string output;                // "": none
};

inline constexpr const char* kCheckpointHelp =
    "Checkpoint: a .safetensors file, a model.safetensors.index.json\n"
    "(its shards beside it), or a folder with such an index or model.safetensors";

CLI::Option* AddWeights(CLI::App* command, std::string* weights);
void AddIgnored(CLI::App* command, std::vector<std::string>* ignored);
CLI::Option* AddInput(CLI::App* command, std::string* input);
CLI::Option* AddOutput(CLI::App* command, std::string* output);

// Throws UsageError if the output is one of the files that are read, and io::Error if it cannot be written:
// before the work, not after it.
void CheckOutput(const Files& files, const io::Checkpoint& weights);

// Throws UsageError if `output` is the file `path` of `option`.
void RequireOtherFile(const std::string& output, const char* option, const std::string& path);

// How many rows of `dim` an input holds. Throws io::Error if it holds anything else.
size_t TokensOf(const std::string& path, const io::Array& x, size_t dim);

// Of x's shape but for the last dimension, `out`.
io::Array MakeOutput(const std::string& path, const io::Array& x, size_t tokens, size_t out);

}  // namespace fusedffn::program

#endif  // FUSEDFFN_TOOLS_FUSEDFFN_IO_OPTIONS_H_
