// Any bytes as a config.json: sections, or a problem; never an exception.
#include <cstddef>
#include <cstdint>

#include "src/models/model_config.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fusedffn;
  const FuzzFile file(data, size);
  const io::ModelConfig config = io::ReadModelConfig(file.path());
  if (config.problem.empty() == config.sections.empty()) Found("sections and a problem, or neither");
  return 0;
}
