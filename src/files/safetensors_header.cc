#include "src/files/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/files/error.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

struct DTypeBits {
  std::string_view name;
  unsigned bits;
};

constexpr DTypeBits kDTypes[] = {
    {"BOOL", 8},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8},     {"F8_E8M0", 8},     {"I16", 16},    {"U16", 16}, {"F16", 16},
    {"BF16", 16},   {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I32", 32},    {"U32", 32}, {"F32", 32},
    {"C64", 64},    {"F64", 64},        {"I64", 64},        {"U64", 64},
};

const DTypeBits* FindDType(std::string_view name) {
  const auto found = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                  [name](const DTypeBits& dtype) { return dtype.name == name; });
  return found == std::end(kDTypes) ? nullptr : found;
}

// What has to come next in the text. The format's nesting is fixed, so one value stands for the whole stack.
enum class Next {
  kHeader,
  kName,  // of a tensor, or the metadata, or the header's end
  kMetadata,
  kMetadataKey,
  kMetadataValue,
  kTensor,
  kField,
  kDType,
  kShape,
  kShapeItem,
  kOffsets,
  kOffsetsItem,
};

// In the order of `Next`.
constexpr const char* kWanted[] = {
    "the header must be a JSON object",
    "the header must be a JSON object",
    "__metadata__ must be an object",
    "__metadata__ must be an object",
    "__metadata__ may hold text only",
    "a tensor must be an object with dtype, shape and data_offsets",
    "a tensor must be an object with dtype, shape and data_offsets",
    "dtype must be text",
    "shape must be an array of integers from 0 to 2^64 - 1",
    "shape must be an array of integers from 0 to 2^64 - 1",
    "data_offsets must be an array of two integers from 0 to 2^64 - 1",
    "data_offsets must be an array of two integers from 0 to 2^64 - 1",
};

// Takes the parser's events one by one, so that repeated keys are seen and nesting never goes deeper than
// the format's.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::string& file, std::pmr::memory_resource* memory)
      : file_(file), memory_(memory), header_(memory) {}

  Header Take() { return std::move(header_); }

  bool start_object(size_t) override {
    if (next_ == Next::kHeader) return Go(Next::kName);
    if (next_ == Next::kMetadata) return Go(Next::kMetadataKey);
    if (next_ == Next::kTensor) return Go(Next::kField);
    return Refuse();
  }

  bool key(std::string& name) override {
    if (next_ == Next::kMetadataKey) {
      const auto [entry, inserted] = header_.metadata.try_emplace(Kept(name, memory_));
      if (!inserted) Fail(fmt::format("__metadata__ has the key {} twice", Quoted(name)));
      metadata_value_ = &entry->second;
      return Go(Next::kMetadataValue);
    }
    if (next_ == Next::kField) return Field(name);
    if (name == kMetadataKey) {
      if (std::exchange(has_metadata_, true)) Fail("the header has __metadata__ twice");
      return Go(Next::kMetadata);
    }
    header_.tensors.emplace_back().name = Kept(name, memory_);
    has_dtype_ = has_shape_ = has_offsets_ = false;
    return Go(Next::kTensor);
  }

  bool end_object() override {
    if (next_ == Next::kField && !(has_dtype_ && has_shape_ && has_offsets_)) return Refuse();
    return Go(Next::kName);
  }

  bool start_array(size_t) override {
    numbers_.clear();
    if (next_ == Next::kShape) return Go(Next::kShapeItem);
    return next_ == Next::kOffsets ? Go(Next::kOffsetsItem) : Refuse();
  }

  bool end_array() override {
    Tensor& tensor = header_.tensors.back();
    if (next_ == Next::kShapeItem) {
      tensor.shape = Kept(numbers_, memory_);
      return Go(Next::kField);
    }
    if (numbers_.size() != 2) return Refuse();
    tensor.begin = numbers_[0];
    tensor.end = numbers_[1];
    return Go(Next::kField);
  }

  bool number_unsigned(uint64_t value) override {
    if (next_ != Next::kShapeItem && (next_ != Next::kOffsetsItem || numbers_.size() == 2)) return Refuse();
    numbers_.push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (next_ == Next::kMetadataValue) {
      *metadata_value_ = Kept(value, memory_);
      return Go(Next::kMetadataKey);
    }
    if (next_ != Next::kDType) return Refuse();
    const DTypeBits* const known = FindDType(value);
    header_.tensors.back().dtype = known == nullptr ? Kept(value, memory_) : known->name;
    return Go(Next::kField);
  }

  bool null() override { return next_ == Next::kMetadata ? Go(Next::kName) : Refuse(); }  // is no metadata
  bool boolean(bool) override { return Refuse(); }
  bool number_integer(int64_t) override { return Refuse(); }
  bool number_float(double, const std::string&) override { return Refuse(); }
  bool binary(nlohmann::json::binary_t&) override { return Refuse(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    Fail(fmt::format("the header is not valid JSON at its byte {}", position));
  }

 private:
  bool Go(Next next) {
    next_ = next;
    return true;
  }

  bool Field(const std::string& name) {
    const auto once = [&](bool* seen, Next next) {
      if (std::exchange(*seen, true)) Fail(fmt::format("{} has {} twice", Where(), name));
      return Go(next);
    };
    if (name == "dtype") return once(&has_dtype_, Next::kDType);
    if (name == "shape") return once(&has_shape_, Next::kShape);
    if (name == "data_offsets") return once(&has_offsets_, Next::kOffsets);
    Fail(fmt::format("{} has the unknown key {}; accepted are dtype, shape and data_offsets", Where(),
                     Quoted(name)));
  }

  bool Refuse() {
    const char* wanted = kWanted[static_cast<int>(next_)];
    Fail(next_ < Next::kTensor ? wanted : fmt::format("{}: {}", Where(), wanted));
  }

  std::string Where() const { return fmt::format("tensor {}", Quoted(header_.tensors.back().name)); }

  [[noreturn]] void Fail(const std::string& what) const { throw Error(file_, what); }

  const std::string& file_;
  std::pmr::memory_resource* const memory_;
  Header header_;
  Next next_ = Next::kHeader;
  bool has_metadata_ = false;
  std::string_view* metadata_value_ = nullptr;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;  // of the current tensor
  Dims numbers_;                                                      // of the current array
};

void CheckSize(const std::string& file, const Tensor& tensor) {
  const auto fail = [&](const std::string& what) {
    throw Error(file, fmt::format("tensor {}: {}", Quoted(tensor.name), what));
  };
  const std::optional<uint64_t> elements = ElementCount(tensor.shape);
  if (!elements) fail(fmt::format("shape {} has more than 2^64 - 1 elements", DimsText(tensor.shape)));
  // A dtype of a later version of the format: how large its elements are is not known.
  if (FindDType(tensor.dtype) == nullptr) return;
  const std::optional<uint64_t> bytes = TensorBytes(tensor.dtype, tensor.shape);
  if (!bytes) {
    fail(fmt::format("{} of shape {} is not a whole number of bytes below 2^61", tensor.dtype,
                     DimsText(tensor.shape)));
  }
  if (tensor.bytes() != *bytes) {
    fail(fmt::format("data_offsets span {} bytes, but {} of shape {} takes {}", tensor.bytes(), tensor.dtype,
                     DimsText(tensor.shape), *bytes));
  }
}

template <class Less>
std::vector<const Tensor*> Sorted(const std::vector<Tensor>& tensors, const Less& less) {
  std::vector<const Tensor*> order;
  order.reserve(tensors.size());
  for (const Tensor& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), less);
  return order;
}

std::vector<Tensor> SortedByName(const std::string& file, const std::vector<Tensor>& tensors) {
  const std::vector<const Tensor*> order = ByName(tensors);
  if (const Tensor* const twice = NamedTwice(order)) {
    throw Error(file, fmt::format("the header has the tensor {} twice", Quoted(twice->name)));
  }
  std::vector<Tensor> sorted;
  sorted.reserve(order.size());
  for (const Tensor* tensor : order) sorted.push_back(*tensor);
  return sorted;
}

// Each tensor begins where the one before ends; returns where the last one ends.
uint64_t CheckOffsets(const std::string& file, const std::vector<Tensor>& tensors) {
  const std::vector<const Tensor*> order = Sorted(tensors, [](const Tensor* a, const Tensor* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t end = 0;
  for (const Tensor* tensor : order) {
    if (tensor->begin != end || tensor->end < tensor->begin) {
      throw Error(file, fmt::format("tensor {} has data_offsets [{}, {}]; the next must begin at {}, with no "
                                    "hole or overlap, and not end before it begins",
                                    Quoted(tensor->name), tensor->begin, tensor->end, end));
    }
    CheckSize(file, *tensor);
    end = tensor->end;
  }
  return end;
}

}  // namespace

std::vector<const Tensor*> ByName(const std::vector<Tensor>& tensors) {
  return Sorted(tensors, [](const Tensor* a, const Tensor* b) { return a->name < b->name; });
}

const Tensor* NamedTwice(const std::vector<const Tensor*>& by_name) {
  const auto twice = std::adjacent_find(by_name.begin(), by_name.end(),
                                        [](const Tensor* a, const Tensor* b) { return a->name == b->name; });
  return twice == by_name.end() ? nullptr : *twice;
}

std::optional<uint64_t> TensorBytes(std::string_view dtype, DimsView shape) {
  const DTypeBits* known = FindDType(dtype);
  const std::optional<uint64_t> elements = ElementCount(shape);
  if (known == nullptr || !elements) return std::nullopt;
  const std::optional<uint64_t> bits = CheckedMultiply(*elements, known->bits);
  if (!bits || *bits % 8 != 0) return std::nullopt;
  return *bits / 8;
}

Header ParseHeader(const std::string& file, std::string json, std::pmr::memory_resource* memory) {
  // The parser would take spaces and a byte-order mark before the object, and a zero byte as the end.
  if (json.empty() || json[0] != '{') throw Error(file, "the header must begin with '{'");
  if (json.find('\0') != std::string::npos)
    throw Error(file, "the header is not valid JSON: it has a zero byte");
  HeaderReader reader(file, memory);
  nlohmann::json::sax_parse(json, &reader);
  std::string().swap(json);  // its memory is wanted for the tables
  Header header = reader.Take();
  std::vector<Tensor> by_name = SortedByName(file, header.tensors);
  // In the header's order, which is mostly that of the offsets.
  header.data_bytes = CheckOffsets(file, header.tensors);
  header.tensors = std::move(by_name);
  return header;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn
