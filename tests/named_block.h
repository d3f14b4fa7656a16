// A block of which only the names are known, and what follows from them.
#ifndef FUSEDFFN_TESTS_NAMED_BLOCK_H_
#define FUSEDFFN_TESTS_NAMED_BLOCK_H_

#include <string>

#include "src/models/block.h"
#include "src/models/block_config.h"
#include "src/models/known_models.h"
#include "src/models/model_config.h"
#include "tests/test_files.h"

namespace fusedffn::io {

// A block and a config.json, or null for none, and what is to be said of them.
struct NamedCase {
  const char* prefix;
  const char* layout;
  const char* config;
  const char* answer;
};

// At `prefix`, with one of known_models.json's layouts.
inline Block NamedBlock(const std::string& prefix, const std::string& layout) {
  Block block;
  block.prefix = prefix;
  block.layout = &Families().layouts.at(layout);
  block.families = FamiliesAt(prefix, *block.layout);
  return block;
}

// What is known of it with this text in config.json, or with none.
inline BlockActivation KnownOf(const Block& block, const char* config) {
  const TempFolder folder;
  if (config != nullptr) folder.Write("config.json", config);
  return ActivationOf(block, ReadModelConfig(folder / "config.json"));
}

}  // namespace fusedffn::io

#endif  // FUSEDFFN_TESTS_NAMED_BLOCK_H_
