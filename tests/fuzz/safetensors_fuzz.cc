// Any bytes as a .safetensors file: an Error, or tensors of which every byte can be read, and blocks that
// load or not.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fusedffn/io.h"
#include "src/files/error.h"
#include "src/files/safetensors.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fusedffn;
  const FuzzFile file(data, size);
  try {
    const io::SafetensorsFile tensors(file.path());
    for (const io::Tensor& tensor : tensors.tensors()) {
      if (tensor.bytes() > size) Found("a tensor larger than its file");
      std::vector<char> bytes(tensor.bytes());
      tensors.Read(tensor, 0, bytes.size(), bytes.data());
    }
  } catch (const io::Error&) {
  }
  CheckpointLoader loader;
  std::vector<BlockInfo> blocks;
  if (!CheckpointLoader::Open(file.path(), &loader).ok() || !loader.ListBlocks(&blocks).ok()) return 0;
  for (const BlockInfo& info : blocks) {
    LoadOptions options;
    options.activation = Activation::kRelu;
    if (info.int8_group != 0) options.pack.precision = Precision::kInt8;
    LoadedBlock block;
    const Status status = loader.LoadBlock(info.prefix, options, &block);
    if (status.ok() && !info.problem.empty()) Found("a block with a problem was loaded");
  }
  return 0;
}
