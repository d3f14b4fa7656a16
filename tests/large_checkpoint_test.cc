// Checkpoints of a hundred thousand tensors: memory stays within 4 times the header, and nothing is allocated
// for each tensor.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "src/models/checkpoint_blocks.h"
#include "src/models/layer_stack.h"
#include "tests/replaced_malloc.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

std::atomic<size_t> allocations{0}, live_bytes{0}, most_bytes{0};

}  // namespace

bool RefuseAllocation() { return false; }

void OnAllocation(void* memory, size_t) {
  ++allocations;
  const size_t live = live_bytes += malloc_usable_size(memory);
  if (live > most_bytes) most_bytes = live;
}

void OnFree(void* memory) { live_bytes -= malloc_usable_size(memory); }

namespace {

constexpr size_t kTensors = 100'000;
constexpr size_t kFew = kTensors / 20;  // allocations: those of arrays that grow, and of the table of models
constexpr size_t kTimesHeader = 4;

struct Usage {
  size_t allocations, bytes;  // the most at one time
};

template <class Call>
Usage UsageOf(const Call& call) {
  const size_t allocations_before = allocations, bytes_before = live_bytes;
  most_bytes = bytes_before;
  call();
  return {allocations - allocations_before, most_bytes - bytes_before};
}

// `each` of every tensor's number, between commas.
template <class Each>
std::string Listed(const Each& each) {
  std::string text;
  for (size_t i = 0; i < kTensors; ++i) text += (i == 0 ? "" : ",") + each(std::to_string(i));
  return text;
}

// A header of tensors of one byte; their names are a number between two texts.
std::string HeaderOf(const std::string& before, const std::string& after, const std::string& metadata = "") {
  size_t at = 0;
  return "{" + metadata + Listed([&](const std::string& number) {
           const std::string begin = std::to_string(at), end = std::to_string(++at);
           return "\"" + before + number + after + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + begin +
                  "," + end + "]}";
         }) +
         "}";
}

class LargeCheckpointTest : public testing::Test {
 protected:
  // Returns its path.
  std::string Write(const std::string& header) {
    header_bytes_ = header.size();
    return folder_.Write("file.safetensors", SafetensorsBytes(header, std::string(kTensors, 'x')));
  }

  size_t limit() const { return kTimesHeader * header_bytes_; }

  TempFolder folder_;
  size_t header_bytes_ = 0;
};

TEST_F(LargeCheckpointTest, Opens) {
  const std::string path = Write(HeaderOf("", ".k"));
  const Usage usage = UsageOf([&] {
    const io::Checkpoint checkpoint(path);
    EXPECT_EQ(checkpoint.TensorCount(), kTensors);
    EXPECT_EQ(io::BlockPlaces(checkpoint).size(), 0u);
  });
  EXPECT_LT(usage.allocations, kFew);
  EXPECT_LT(usage.bytes, limit());
}

TEST_F(LargeCheckpointTest, OpensWithMetadata) {
  const std::string metadata = Listed([](const std::string& number) {
    return R"("entry.number.)" + number + R"(":"value )" + number + "\"";
  });
  const std::string path = Write(HeaderOf("", ".k", R"("__metadata__":{)" + metadata + "},"));
  const Usage usage = UsageOf([&] {
    const io::SafetensorsFile file(path);
    EXPECT_EQ(file.metadata().size(), kTensors);
    EXPECT_EQ(file.metadata().at("entry.number.77"), "value 77");
  });
  EXPECT_LT(usage.allocations, kFew);
  EXPECT_LT(usage.bytes, limit());
}

// Every tensor a block's, or a part of one, and none of them usable; in one tower, and none.
TEST_F(LargeCheckpointTest, ListsBlocks) {
  const std::pair<const char*, const char*> names[] = {
      {"", ".fc1.weight"}, {"model.layers.", ".mlp.down_proj.weight"}, {"h", ".mlp.c_fc.weight"}};
  for (const auto& [before, after] : names) {
    SCOPED_TRACE(after);
    const std::string path = Write(HeaderOf(before, after));
    const Usage usage = UsageOf([&] {
      const io::Checkpoint checkpoint(path);
      size_t unusable = 0;
      for (const io::BlockPlace& place : io::BlockPlaces(checkpoint)) {
        unusable += io::ListBlock(checkpoint, place).problem != "";
      }
      EXPECT_EQ(unusable, kTensors);
    });
    EXPECT_LT(usage.bytes, limit());
  }
}

TEST_F(LargeCheckpointTest, FindsATower) {
  const std::string path = Write(HeaderOf("", ".fc1.weight"));
  const Usage usage = UsageOf([&] {
    const io::Checkpoint checkpoint(path);
    EXPECT_EQ(io::FindTower(checkpoint, {}).layers.size(), kTensors);
  });
  EXPECT_LT(usage.bytes, limit());
}

TEST_F(LargeCheckpointTest, OpensAnIndex) {
  const std::string json = "{\"weight_map\":{" + Listed([](const std::string& number) {
                             return "\"model.layers." + number + ".norm.weight\":\"model-" + number.back() +
                                    "-of-10.safetensors\"";
                           }) +
                           "}}";
  const std::string path = folder_.Write("model.safetensors.index.json", json);
  const Usage usage = UsageOf([&] {
    const io::Checkpoint checkpoint(path);
    EXPECT_EQ(checkpoint.TensorCount(), kTensors);
    EXPECT_EQ(checkpoint.Files().size(), 11u);
    EXPECT_TRUE(checkpoint.Has("model.layers.77.norm.weight"));
  });
  EXPECT_LT(usage.allocations, kFew);
  EXPECT_LT(usage.bytes, kTimesHeader * json.size());
}

TEST_F(LargeCheckpointTest, Writes) {
  std::vector<std::string> names;
  for (size_t i = 0; i < kTensors; ++i) names.push_back(std::to_string(i) + ".k");
  const io::Dims shape = {1};
  const std::string path = folder_ / "file.safetensors";
  const Usage usage = UsageOf([&] {
    std::vector<io::Tensor> tensors;
    for (const std::string& name : names) tensors.push_back({name, "U8", shape});
    io::SafetensorsWriter(path, tensors, {}).Commit();
  });
  const size_t header_bytes = std::filesystem::file_size(path) - sizeof(uint64_t);
  EXPECT_LT(usage.bytes, kTimesHeader * header_bytes);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + kTensors);
  EXPECT_EQ(io::SafetensorsFile(path).Find("777.k")->begin, 777u);
}

}  // namespace
}  // namespace fusedffn
