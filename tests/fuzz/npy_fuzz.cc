// Any bytes as an .npy file: an Error, or an array of as many values as its shape says.
#include <cstddef>
#include <cstdint>

#include "src/files/error.h"
#include "src/files/npy.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fusedffn;
  const FuzzFile file(data, size);
  try {
    const io::Array array = io::ReadNpy(file.path());
    uint64_t count = 1;
    for (const uint64_t dim : array.shape) count *= dim;
    if (array.values.size() != count) Found("an array of another size than its shape");
  } catch (const io::Error&) {
  }
  return 0;
}
