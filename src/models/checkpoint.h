// Compiled once. A model's tensors by name, in one safetensors file or in several:
//
//   FILE.safetensors
//   model.safetensors.index.json   {"weight_map": {"NAME": "model-00001-of-00002.safetensors", ...}, ...}
//                                  The files, called shards, are beside it.
//   a folder with either           under the name model.safetensors or model.safetensors.index.json
#ifndef FUSEDFFN_SRC_MODELS_CHECKPOINT_H_
#define FUSEDFFN_SRC_MODELS_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/files/error.h"
#include "src/files/safetensors.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// The element type that the library takes, or nothing if it takes none such.
std::optional<DType> UsableDType(const Tensor& tensor);

// A tensor and the file that it is in.
struct StoredTensor {
  const SafetensorsFile* file = nullptr;
  const Tensor* tensor = nullptr;

  explicit operator bool() const { return tensor != nullptr; }
  const Tensor& operator*() const { return *tensor; }
  const Tensor* operator->() const { return tensor; }
};

class Checkpoint {
 public:
  // Reads the index, or the file's header. Throws Error. `ignored`: tensors and modules, by their whole names
  // or by those behind a block's prefix, that FirstBelow() passes over.
  explicit Checkpoint(const std::string& path, std::vector<std::string> ignored = {});

  const std::string& path() const { return path_; }   // of the file or the index
  std::string Beside(const std::string& name) const;  // a file in the same folder
  std::vector<std::string> Files() const;             // with tensors, and the index

  std::vector<std::string_view> Names() const;  // of all tensors, in order; valid as long as this object
  bool Has(std::string_view name) const { return EntryOf(name) != nullptr; }
  // The first tensor below a module, "PREFIX.NAME", that is not ignored and not accounted for, or "". Below
  // "" are all. Asked is with the whole name and with NAME; the answer is how long the name is, at NAME's
  // beginning, of the tensor or the module that is accounted for, of whose other tensors none is asked for;
  // or 0.
  using Account = std::function<size_t(std::string_view name, std::string_view below)>;
  std::string_view FirstBelow(std::string_view prefix, const Account& account) const;
  size_t TensorCount() const { return entries_.size(); }

  // Empty if there is none of this name. Opens its shard at the first call that needs it, and throws Error if
  // that cannot be read or does not have the tensor. Not thread-safe. Valid as long as this object.
  StoredTensor Find(std::string_view name) const;

 private:
  struct Shard {
    std::string path;
    std::unique_ptr<SafetensorsFile> file;  // null until it is needed
    std::optional<Error> damage;            // which is found once, however many tensors need the file
  };

  struct Entry {
    std::string_view name;  // of a tensor
    size_t shard;
    const Tensor* tensor;  // null until it is needed
  };

  void ReadIndex();
  bool IsIgnored(std::string_view name) const;
  size_t LowerBound(std::string_view name) const;
  Entry* EntryOf(std::string_view name) const;  // null if there is none

  std::string path_;
  std::vector<std::string> ignored_;
  mutable std::vector<Shard> shards_;
  std::pmr::monotonic_buffer_resource memory_;  // of an index's names
  mutable std::vector<Entry> entries_;          // by name
};

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_CHECKPOINT_H_
