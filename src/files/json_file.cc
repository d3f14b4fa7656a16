#include "src/files/json_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/files/error.h"
#include "src/files/input_file.h"
#include "src/files/text.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

using nlohmann::json;

// NaN, Infinity and -Infinity, which Python writes, become empty arrays of the same length: no numbers, and
// every other byte stays where it is.
void ReplaceNonNumbers(std::string* text) {
  bool in_string = false;
  for (size_t i = 0; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '\\' && in_string) ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    for (const std::string_view word : {"NaN", "-Infinity", "Infinity"}) {
      if (text->compare(i, word.size(), word) != 0) continue;
      text->replace(i, word.size(), "[" + std::string(word.size() - 2, ' ') + "]");
    }
  }
}

std::string ReadText(const std::string& path) {
  constexpr uint64_t kMostBytes = uint64_t{64} << 20;
  const InputFile file(path);
  if (file.size() > kMostBytes) {
    throw Error(path, fmt::format("{} bytes of JSON; {} are the most", file.size(), kMostBytes));
  }
  std::string text(file.size(), '\0');
  file.ReadAt(0, text.size(), text.data());
  ReplaceNonNumbers(&text);
  return text;
}

// Checks what this file promises, and tells of the members of the object `name` in the outermost one.
class StrictReader : public nlohmann::json_sax<json> {
 public:
  StrictReader(const std::string& path, std::string_view name, std::pmr::memory_resource* memory,
               const OnMember& on_member)
      : path_(path), name_(name), memory_(memory), on_member_(on_member) {}

  // Whether there is an object `name`.
  bool Read(const std::string& text) {
    json::sax_parse(text, this);
    if (!is_object_) throw Error(path_, "must hold a JSON object");
    return has_members_;
  }

  bool start_object(size_t) override {
    Value(nullptr);
    if (open_.empty()) is_object_ = true;
    if (open_.size() == 1 && key_ == name_) has_members_ = are_members_ = true;
    open_.emplace_back();
    return true;
  }

  bool key(std::string& key) override {
    CheckDepth();
    key_ = open_.back().emplace_back(Kept(key, memory_));
    return true;
  }

  bool end_object() override {
    std::vector<std::string_view>& keys = open_.back();
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) throw Error(path_, fmt::format("has the key {} twice", Quoted(*twice)));
    return end_array();
  }

  bool start_array(size_t) override {
    Value(nullptr);
    open_.emplace_back();
    return true;
  }

  bool end_array() override {
    open_.pop_back();
    if (open_.size() == 1) are_members_ = false;
    return true;
  }

  bool string(std::string& text) override { return Value(&text); }
  bool null() override { return Value(nullptr); }
  bool boolean(bool) override { return Value(nullptr); }
  bool number_integer(int64_t) override { return Value(nullptr); }
  bool number_unsigned(uint64_t) override { return Value(nullptr); }
  bool number_float(double, const std::string&) override { return Value(nullptr); }
  bool binary(json::binary_t&) override { return Value(nullptr); }

  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    constexpr int kOutOfRange = 406;
    throw Error(path_, error.id == kOutOfRange ? "not valid JSON: a number is too large"
                                               : fmt::format("not valid JSON at its byte {}", position));
  }

 private:
  bool Value(const std::string* text) {
    CheckDepth();
    if (are_members_ && open_.size() == 2) on_member_(key_, text);
    return true;
  }

  void CheckDepth() const {
    constexpr size_t kDeepest = 64;
    if (open_.size() > kDeepest) throw Error(path_, fmt::format("nested deeper than {}, the most", kDeepest));
  }

  const std::string& path_;
  const std::string_view name_;
  std::pmr::memory_resource* const memory_;
  const OnMember& on_member_;
  std::vector<std::vector<std::string_view>> open_;  // the keys so far of the objects around this place
  std::string_view key_;
  bool is_object_ = false, has_members_ = false, are_members_ = false;
};

}  // namespace

json ReadJsonObject(const std::string& path) {
  const std::string text = ReadText(path);
  std::pmr::monotonic_buffer_resource memory;
  const OnMember ignore = [](std::string_view, const std::string*) {};
  StrictReader(path, "", &memory, ignore).Read(text);
  return json::parse(text);
}

bool ReadJsonMembers(const std::string& path, std::string_view name, std::pmr::memory_resource* memory,
                     const OnMember& on_member) {
  return StrictReader(path, name, memory, on_member).Read(ReadText(path));
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn
