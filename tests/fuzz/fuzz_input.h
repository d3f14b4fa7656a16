// The bytes of a fuzzer's input, taken as numbers one after the other; zeros when they are used up.
#ifndef FUSEDFFN_TESTS_FUZZ_FUZZ_INPUT_H_
#define FUSEDFFN_TESTS_FUZZ_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace fusedffn {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : data_(data), end_(data + size) {}

  uint8_t Byte() { return data_ == end_ ? 0 : *data_++; }
  // 0 to most, of one byte or two.
  size_t UpTo(size_t most) { return (most < 256 ? Byte() : Byte() | Byte() << 8) % (most + 1); }
  bool Flag() { return (Byte() & 1) != 0; }

 private:
  const uint8_t* data_;
  const uint8_t* end_;
};

// Ends the fuzzer with a report.
[[noreturn]] inline void Found(const char* what) {
  std::fprintf(stderr, "found: %s\n", what);
  std::abort();
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_FUZZ_FUZZ_INPUT_H_
