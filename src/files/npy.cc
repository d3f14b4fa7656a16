#include "src/files/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "src/files/atomic_file.h"
#include "src/files/error.h"
#include "src/files/input_file.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// Reads the header, which is a Python literal: a dictionary with exactly these three keys, in any order.
class HeaderReader {
 public:
  HeaderReader(const std::string& file, std::string_view text) : file_(file), text_(text) {}

  Dims ReadShape() {
    Expect('{');
    while (!Take('}')) {
      Entry();
      if (!Take(',')) {
        Expect('}');
        break;
      }
    }
    SkipSpace();
    if (at_ != text_.size()) Fail("nothing after the dictionary");
    if (!has_descr_ || !has_order_ || !shape_) Fail("the keys 'descr', 'fortran_order' and 'shape'");
    return *shape_;
  }

 private:
  void Entry() {
    const std::string_view key = QuotedText();
    Expect(':');
    if (key == "descr" && !has_descr_) return Descr();
    if (key == "fortran_order" && !has_order_) return FortranOrder();
    if (key == "shape" && !shape_) return Shape();
    Fail("the keys 'descr', 'fortran_order' and 'shape', each once");
  }

  void Descr() {
    has_descr_ = true;
    SkipSpace();
    const size_t begin = at_;
    if (At('\'') || At('"')) {
      if (QuotedText() == "<f4") return;
    }
    throw Error(file_, fmt::format("dtype {} is not accepted; only '<f4' (little-endian float32) is",
                                   Quoted(text_.substr(begin, text_.find(',', begin) - begin))));
  }

  void FortranOrder() {
    has_order_ = true;
    SkipSpace();
    if (TakeWord("False")) return;
    if (!TakeWord("True")) Fail("True or False for 'fortran_order'");
    throw Error(file_, "the array is in Fortran order; only C order is accepted");
  }

  void Shape() {
    shape_.emplace();
    Expect('(');
    bool comma = true;
    while (!Take(')')) {
      if (!comma) Fail("a comma in 'shape'");
      shape_->push_back(Integer());
      comma = Take(',');
    }
    if (shape_->size() == 1 && !comma) Fail("a tuple for 'shape'");
  }

  uint64_t Integer() {
    SkipSpace();
    uint64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [next, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc()) Fail("integers from 0 to 2^64 - 1 in 'shape'");
    at_ = static_cast<size_t>(next - text_.data());
    return value;
  }

  std::string_view QuotedText() {
    SkipSpace();
    if (!At('\'') && !At('"')) Fail("quoted text");
    const char quote = text_[at_++];
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) Fail("a closing quote");
    const std::string_view quoted = text_.substr(at_, end - at_);
    at_ = end + 1;
    return quoted;
  }

  bool TakeWord(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool Take(char c) {
    SkipSpace();
    if (!At(c)) return false;
    ++at_;
    return true;
  }

  void Expect(char c) {
    if (!Take(c)) Fail(fmt::format("'{}'", c));
  }

  bool At(char c) const { return at_ < text_.size() && text_[at_] == c; }

  void SkipSpace() {
    while (At(' ') || At('\n') || At('\t')) ++at_;
  }

  [[noreturn]] void Fail(const std::string& wanted) const {
    throw Error(file_, fmt::format("bad .npy header at its byte {}: expected {}", at_, wanted));
  }

  const std::string& file_;
  const std::string_view text_;
  size_t at_ = 0;
  bool has_descr_ = false, has_order_ = false;
  std::optional<Dims> shape_;
};

// Where the header's text is: [first, first + bytes) of the file.
struct HeaderPlace {
  size_t first;
  size_t bytes;
};

HeaderPlace FindHeader(const InputFile& file) {
  const auto fail = [&](const std::string& what) { throw Error(file.path(), what); };
  unsigned char start[12] = {};
  if (file.size() < sizeof(start)) fail(fmt::format("{} bytes are too few for a .npy file", file.size()));
  file.ReadAt(0, sizeof(start), start);
  if (std::memcmp(start, kMagic.data(), kMagic.size()) != 0) fail("not a .npy file");
  const unsigned major = start[6], minor = start[7];
  if (major < 1 || major > 3 || minor != 0) {
    fail(fmt::format(".npy version {}.{} is not accepted; 1.0, 2.0 and 3.0 are", major, minor));
  }
  uint16_t short_length;
  uint32_t long_length;
  std::memcpy(&short_length, start + 8, sizeof(short_length));
  std::memcpy(&long_length, start + 8, sizeof(long_length));
  const HeaderPlace place = major == 1 ? HeaderPlace{10, short_length} : HeaderPlace{12, long_length};

  constexpr size_t kMaxHeaderBytes = 65535;
  if (place.bytes > kMaxHeaderBytes) {
    fail(fmt::format("a header of {} bytes; {} are the most", place.bytes, kMaxHeaderBytes));
  }
  if (place.first + place.bytes > file.size()) {
    fail(fmt::format("truncated: {} bytes, and the header should end at {}", file.size(),
                     place.first + place.bytes));
  }
  return place;
}

}  // namespace

Array ReadNpy(const std::string& path) {
  const InputFile file(path);
  const HeaderPlace place = FindHeader(file);
  std::string header(place.bytes, '\0');
  file.ReadAt(place.first, header.size(), header.data());
  Array array;
  array.shape = HeaderReader(path, header).ReadShape();

  const std::optional<uint64_t> count = ElementCount(array.shape);
  const std::optional<uint64_t> bytes = count ? CheckedMultiply(*count, sizeof(float)) : count;
  const uint64_t present = file.size() - place.first - place.bytes;
  if (bytes != present) {
    throw Error(path, fmt::format("{} bytes follow the header, but shape {} takes {}", present,
                                  DimsText(array.shape), bytes ? std::to_string(*bytes) : "over 2^64"));
  }
  array.values.resize(*count);
  file.ReadAt(place.first + place.bytes, *bytes, array.values.data());
  return array;
}

void WriteNpy(const std::string& path, const Array& array) {
  // A tuple of one needs its comma: (3) would be a number.
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{}), }}",
                                   fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  // The elements start at a multiple of 64 bytes, after a newline.
  const size_t before = kMagic.size() + 4;
  const uint16_t length = static_cast<uint16_t>((before + header.size() + 1 + 63) / 64 * 64 - before);
  header.resize(length - 1, ' ');
  header += '\n';

  AtomicFile file(path);
  file.Write(kMagic.data(), kMagic.size());
  file.Write("\x01\x00", 2);
  file.Write(&length, sizeof(length));
  file.Write(header.data(), header.size());
  file.Write(array.values.data(), array.values.size() * sizeof(float));
  file.Commit();
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn
