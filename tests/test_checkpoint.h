// Checkpoints for tests: a random block as a file stores it, and as the oracle wants it.
#ifndef FUSEDFFN_TESTS_TEST_CHECKPOINT_H_
#define FUSEDFFN_TESTS_TEST_CHECKPOINT_H_

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "src/io/safetensors.h"
#include "tests/compare.h"
#include "tests/random.h"
#include "tests/test_block.h"
#include "tests/test_files.h"
#include "tests/widen.h"

namespace fusedffn {

// fp16 of a float between 2^-14 and 2^15 in magnitude, or of 0, with the rest of the fraction cut off.
inline uint16_t NarrowF16(float value) {
  const uint32_t bits = BitsOf(value), sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xFF;
  if (exponent < 113) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | (exponent - 112) << 10 | (bits >> 13 & 0x3FF));
}

// The bytes of `values` in `dtype`; and `values` becomes what those say.
inline std::vector<char> Store(const std::string& dtype, std::vector<float>* values) {
  std::vector<char> bytes(values->size() * (dtype == "F32" ? sizeof(float) : sizeof(uint16_t)));
  char* to = bytes.data();
  for (float& value : *values) {
    if (dtype == "F32") {
      std::memcpy(to, &value, sizeof(value));
      to += sizeof(value);
      continue;
    }
    const uint16_t narrow = dtype == "F16" ? NarrowF16(value) : static_cast<uint16_t>(BitsOf(value) >> 16);
    value = dtype == "F16" ? WidenF16(narrow) : WidenBf16(narrow);
    std::memcpy(to, &narrow, sizeof(narrow));
    to += sizeof(narrow);
  }
  return bytes;
}

// Which of a block's tensors a test's file has, and how.
struct StoredAs {
  const char* weight1 = "F32";
  const char* bias1 = "F32";  // "": absent
  const char* weight2 = "F32";
  const char* bias2 = "F32";
};

// Writes one random block and returns it as stored.
inline TestBlock WriteCheckpoint(const std::string& path, const std::string& prefix, const Shape& shape,
                                 const StoredAs& stored_as, uint64_t seed = 1) {
  Random random(seed);
  TestBlock block = RandomBlock(shape, &random);
  struct {
    const char* name;
    std::string dtype;
    io::Dims shape;
    std::vector<float>* values;
  } const parts[] = {{"fc1.weight", stored_as.weight1, {shape.hidden, shape.dim}, &block.w1},
                     {"fc1.bias", stored_as.bias1, {shape.hidden}, &block.b1},
                     {"fc2.weight", stored_as.weight2, {shape.out, shape.hidden}, &block.w2},
                     {"fc2.bias", stored_as.bias2, {shape.out}, &block.b2}};
  std::vector<std::vector<char>> bytes;
  std::vector<io::TensorData> tensors;
  for (const auto& part : parts) {
    if (part.dtype.empty()) {
      part.values->clear();
      continue;
    }
    bytes.push_back(Store(part.dtype, part.values));
    const std::string name = prefix.empty() ? part.name : prefix + "." + part.name;
    tensors.push_back({name, part.dtype, part.shape, bytes.back().data()});
  }
  io::WriteSafetensors(path, tensors);
  return block;
}

// Puts the tensors of a file by turns into two shards in `folder`, beside an index, and returns the index's
// path.
inline std::string SplitIntoShards(const std::string& path, const std::string& folder) {
  const io::SafetensorsFile file(path);
  std::vector<std::vector<char>> bytes;
  std::vector<io::TensorData> shards[2];
  std::string map;
  for (const io::Tensor& tensor : file.tensors()) {
    const size_t shard = bytes.size() % 2;
    std::vector<char>& data = bytes.emplace_back(tensor.end - tensor.begin);
    file.Read(tensor, 0, data.size(), data.data());
    shards[shard].push_back({tensor.name, tensor.dtype, tensor.shape, data.data()});
    map += (map.empty() ? "\"" : ", \"") + tensor.name + "\": \"" + std::to_string(shard) + ".safetensors\"";
  }
  for (size_t i = 0; i < 2; ++i)
    io::WriteSafetensors(folder + "/" + std::to_string(i) + ".safetensors", shards[i]);
  WriteBytes(folder + "/model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  return folder + "/model.safetensors.index.json";
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_TEST_CHECKPOINT_H_
