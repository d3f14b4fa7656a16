// Checkpoints for tests: a random block as a file stores it, and as the oracle wants it.
#ifndef FUSEDFFN_TESTS_TEST_CHECKPOINT_H_
#define FUSEDFFN_TESTS_TEST_CHECKPOINT_H_

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "src/files/safetensors.h"
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
    const uint16_t narrow = dtype == "F16" ? NarrowF16(value) : UpperHalf(value);
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
  std::string fc1 = "fc1", fc2 = "fc2";
  bool transposed = false;
  // Of a gated block, whose fc1 is the gate.
  std::string up = "up_proj";
  const char* weight3 = "F32";
  const char* bias3 = "F32";
};

// As most models name the layers of a gated block. Without biases: "" for `bias`.
inline StoredAs GatedAs(const char* weight, const char* bias) {
  return {weight, bias, weight, bias, "gate_proj", "down_proj", false, "up_proj", weight, bias};
}

// [rows, cols] -> [cols, rows]
inline std::vector<char> Transposed(const std::vector<char>& bytes, size_t rows, size_t cols) {
  const size_t element = bytes.size() / rows / cols;
  std::vector<char> transposed(bytes.size());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t col = 0; col < cols; ++col) {
      std::memcpy(transposed.data() + (col * rows + row) * element,
                  bytes.data() + (row * cols + col) * element, element);
    }
  }
  return transposed;
}

// Writes one random block and returns it as stored.
inline TestBlock WriteCheckpoint(const std::string& path, const std::string& prefix, const Shape& shape,
                                 const StoredAs& stored_as, uint64_t seed = 1) {
  Random random(seed);
  TestBlock block = RandomBlock(shape, &random);
  struct Part {
    std::string name;
    std::string dtype;
    io::Dims shape;
    std::vector<float>* values;
  };
  std::vector<Part> parts = {
      {stored_as.fc1 + ".weight", stored_as.weight1, {shape.hidden, shape.dim}, &block.w1},
      {stored_as.fc1 + ".bias", stored_as.bias1, {shape.hidden}, &block.b1},
      {stored_as.fc2 + ".weight", stored_as.weight2, {shape.out, shape.hidden}, &block.w2},
      {stored_as.fc2 + ".bias", stored_as.bias2, {shape.out}, &block.b2}};
  if (shape.gated) {
    parts.push_back({stored_as.up + ".weight", stored_as.weight3, {shape.hidden, shape.dim}, &block.up_w});
    parts.push_back({stored_as.up + ".bias", stored_as.bias3, {shape.hidden}, &block.up_b});
  }
  std::vector<std::vector<char>> bytes;
  std::vector<io::TensorData> tensors;
  for (const Part& part : parts) {
    if (part.dtype.empty()) {
      part.values->clear();
      continue;
    }
    bytes.push_back(Store(part.dtype, part.values));
    io::Dims stored = part.shape;
    if (stored_as.transposed && stored.size() == 2) {
      bytes.back() = Transposed(bytes.back(), stored[0], stored[1]);
      std::swap(stored[0], stored[1]);
    }
    const std::string name = prefix.empty() ? part.name : prefix + "." + part.name;
    tensors.push_back({name, part.dtype, stored, bytes.back().data()});
  }
  io::WriteSafetensors(path, tensors);
  return block;
}

// A norm, as stored.
struct TestNorm {
  std::vector<float> weight, bias;
};

inline TestNorm WriteNorm(const std::string& path, const std::string& name, size_t dim,
                          const std::string& dtype, uint64_t seed, bool has_bias = true) {
  Random random(seed);
  TestNorm norm = {random.SymmetricVector(dim, 2), random.SymmetricVector(dim, 1)};
  const std::vector<char> weight = Store(dtype, &norm.weight), bias = Store(dtype, &norm.bias);
  std::vector<io::TensorData> tensors = {{name + ".weight", dtype, {dim}, weight.data()}};
  if (has_bias) tensors.push_back({name + ".bias", dtype, {dim}, bias.data()});
  io::WriteSafetensors(path, tensors);
  return norm;
}

// A file of tensors of zeros, of up to 1024 bytes each.
struct Entry {
  std::string name;
  std::string dtype;
  io::Dims shape;
};

inline void WriteZeros(const std::string& path, const std::vector<Entry>& entries) {
  const std::vector<double> zeros(128);
  std::vector<io::TensorData> tensors;
  for (const Entry& entry : entries) tensors.push_back({entry.name, entry.dtype, entry.shape, zeros.data()});
  io::WriteSafetensors(path, tensors);
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
    std::vector<char>& data = bytes.emplace_back(tensor.bytes());
    file.Read(tensor, 0, data.size(), data.data());
    const std::string name(tensor.name);
    shards[shard].push_back({name, std::string(tensor.dtype), tensor.shape, data.data()});
    map += (map.empty() ? "\"" : ", \"") + name + "\": \"" + std::to_string(shard) + ".safetensors\"";
  }
  for (size_t i = 0; i < 2; ++i)
    io::WriteSafetensors(folder + "/" + std::to_string(i) + ".safetensors", shards[i]);
  WriteBytes(folder + "/model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  return folder + "/model.safetensors.index.json";
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_TEST_CHECKPOINT_H_
