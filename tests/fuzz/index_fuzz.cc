// Any bytes as a model.safetensors.index.json beside a shard with a block: an Error, or names of tensors,
// each of which is in a file of that folder, or an Error; and blocks that can be listed.
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "src/files/error.h"
#include "src/files/safetensors.h"
#include "src/models/checkpoint.h"
#include "src/models/checkpoint_blocks.h"
#include "tests/fuzz/fuzz_input.h"

namespace fusedffn {
namespace {

// The file of tensors, and the index, which is written again and again.
struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / "fusedffn-fuzz-XXXXXX").string();
  std::string index;

  Folder() {
    if (mkdtemp(path.data()) == nullptr) Found("no folder can be made");
    index = path + "/model.safetensors.index.json";
    const float zeros[6] = {};
    io::WriteSafetensors(path + "/a.safetensors",
                         {{"m.fc1.weight", "F32", {3, 2}, zeros}, {"m.fc2.weight", "F32", {2, 3}, zeros}});
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

void CheckFind(const io::Checkpoint& checkpoint, std::string_view name) {
  try {
    const io::StoredTensor tensor = checkpoint.Find(name);
    if (!tensor || tensor->name != name) Found("not the tensor that was asked for");
  } catch (const io::Error&) {
  }
}

void ReadIndex(const Folder& folder) {
  const io::Checkpoint checkpoint(folder.index);
  for (const std::string& file : checkpoint.Files()) {
    const std::filesystem::path path = file;
    if (path.parent_path() != folder.path || !path.has_filename()) Found("a file of another folder");
  }
  for (const std::string_view name : checkpoint.Names()) {
    if (!checkpoint.Has(name)) Found("a name of no tensor");
    CheckFind(checkpoint, name);
  }
  for (const io::BlockPlace& place : io::BlockPlaces(checkpoint)) io::ListBlock(checkpoint, place);
}

}  // namespace
}  // namespace fusedffn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fusedffn;
  static const Folder folder;
  std::ofstream(folder.index, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    ReadIndex(folder);
  } catch (const io::Error&) {
  }
  return 0;
}
