// Files for tests: a folder that goes away, and the bytes of both formats from their parts, so that each
// part can be wrong.
#ifndef FUSEDFFN_TESTS_TEST_FILES_H_
#define FUSEDFFN_TESTS_TEST_FILES_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "src/files/error.h"

namespace fusedffn {

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  file.close();
  ASSERT_TRUE(file.good()) << path;
}

// Overwrites one byte.
inline void Poke(const std::string& path, size_t at, char byte) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(at)).put(byte);
  ASSERT_TRUE(file.good()) << path;
}

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fusedffn-test-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  std::string Write(const std::string& name, const std::string& bytes) const {
    WriteBytes(*this / name, bytes);
    return *this / name;
  }

  // Every file's name and bytes: equal before and after means that nothing was written.
  std::map<std::string, std::string> Contents() const {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      contents[entry.path().filename().string()] =
          entry.is_regular_file() ? ReadBytes(entry.path().string()) : "";
    }
    return contents;
  }

 private:
  std::string path_;
};

// The `bytes` low bytes of a number, little end first.
inline std::string LittleEndian(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::string SafetensorsBytes(const std::string& json, const std::string& data = "") {
  return LittleEndian(json.size(), 8) + json + data;
}

inline std::string NpyBytes(const std::string& header, const std::string& data = "", int version = 1) {
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' +
         LittleEndian(header.size(), version == 1 ? 2 : 4) + header + data;
}

inline testing::AssertionResult Contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << text << "\" does not contain \"" << part << "\"";
}

// What io::Error says about `file` when `read` is called, without the file's name; "" if it does not throw.
template <class Read>
std::string ErrorOf(const std::string& file, const Read& read) {
  try {
    read();
  } catch (const io::Error& error) {
    const std::string message = error.what(), start = io::OneLine(file) + ": ";
    EXPECT_EQ(message.substr(0, start.size()), start);
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.substr(start.size());
  }
  return "";
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_TEST_FILES_H_
