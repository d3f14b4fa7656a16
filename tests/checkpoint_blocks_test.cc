// Finding a block in a checkpoint, refusing those that do not fit, and loading one into packed weights.
#include "src/io/checkpoint_blocks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/compare.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

// A file of tensors of zeros.
struct Entry {
  const char* name;
  const char* dtype;
  Dims shape;
};

std::string WriteZeros(const TempFolder& folder, const std::vector<Entry>& entries) {
  const std::vector<double> zeros(64);
  std::vector<TensorData> tensors;
  for (const Entry& entry : entries) tensors.push_back({entry.name, entry.dtype, entry.shape, zeros.data()});
  WriteSafetensors(folder / "file.safetensors", tensors);
  return folder / "file.safetensors";
}

TEST(CheckpointBlocksTest, RefusesBlocksThatDoNotFit) {
  const Entry w1 = {"m.fc1.weight", "F32", {4, 2}}, w2 = {"m.fc2.weight", "F32", {2, 4}};
  struct {
    const char* name;
    std::vector<Entry> entries;
    const char* message;
  } const cases[] = {
      {"no tensors", {}, "there is no tensor 'm.fc1.weight'; the file has no PREFIX.fc1.weight at all"},
      {"other names", {{"m.lin1.weight", "F32", {4, 2}}}, "the file has no PREFIX.fc1.weight at all"},
      {"other prefix", {{"n.fc1.weight", "F32", {4, 2}}}, "the file has 1 block, the first of which is 'n'"},
      {"no fc1.weight", {w2}, "there is no tensor 'm.fc1.weight'"},
      {"no fc2.weight", {w1}, "there is no tensor 'm.fc2.weight'"},
      {"fc1.weight of one dimension",
       {{"m.fc1.weight", "F32", {8}}, w2},
       "it must have 2 dimensions of at least 1"},
      {"fc1.weight of three", {{"m.fc1.weight", "F32", {4, 2, 1}}, w2}, "shape [4, 2, 1]; it must have 2"},
      {"scalar fc2.weight", {w1, {"m.fc2.weight", "F32", {}}}, "'m.fc2.weight' has shape []; it must have 2"},
      {"no rows", {{"m.fc1.weight", "F32", {0, 2}}, w2}, "of at least 1"},
      {"no columns", {{"m.fc1.weight", "F32", {4, 0}}, w2}, "of at least 1"},
      {"other hidden",
       {w1, {"m.fc2.weight", "F32", {2, 3}}},
       "do not fit; they must be [hidden, dim] and [out, hid"},
      {"fc2 transposed",
       {w1, {"m.fc2.weight", "F32", {4, 2}}},
       "'m.fc1.weight' [4, 2] and 'm.fc2.weight' [4, 2] do"},
      {"doubles", {{"m.fc1.weight", "F64", {4, 2}}, w2}, "is of dtype 'F64'; accepted are F32, BF16 and F16"},
      {"integers", {w1, {"m.fc2.weight", "I8", {2, 4}}}, "is of dtype 'I8'; accepted are"},
      {"bias of two dimensions",
       {w1, w2, {"m.fc1.bias", "F32", {4, 1}}},
       "it must have 1 dimension of at least 1"},
      {"bias too short",
       {w1, w2, {"m.fc1.bias", "F32", {3}}},
       "'m.fc1.bias' has shape [3]; beside 'm.fc1.weight'"},
      {"bias too long", {w1, w2, {"m.fc2.bias", "F32", {4}}}, "'m.fc2.weight' [2, 4] it must be [2]"},
      {"empty bias", {w1, w2, {"m.fc2.bias", "F32", {0}}}, "it must have 1 dimension of at least 1"},
      {"bias of doubles",
       {w1, w2, {"m.fc2.bias", "F64", {2}}},
       "'m.fc2.bias' is of dtype 'F64'; accepted are"},
  };
  const TempFolder folder;
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.name);
    const std::string path = WriteZeros(folder, bad.entries);
    const Checkpoint file(path);
    EXPECT_TRUE(Contains(ErrorOf(path, [&] { FindBlock(file, "m"); }), bad.message));
    const std::vector<BlockListing> listings = ListBlocks(file);
    for (const BlockListing& listing : listings) EXPECT_NE(listing.problem, "");
  }
}

// Names that end like a block's, in several numbers of digits, and some that only look similar.
TEST(CheckpointBlocksTest, ListsBlocksInNaturalOrder) {
  const TempFolder folder;
  const Checkpoint file(WriteZeros(folder, {{"layers.10.mlp.fc1.weight", "BF16", {3, 2}},
                                            {"layers.10.mlp.fc2.weight", "BF16", {1, 3}},
                                            {"layers.10.mlp.fc1.bias", "F32", {3}},
                                            {"layers.2.mlp.fc1.weight", "F16", {3, 2}},
                                            {"layers.2.mlp.fc2.weight", "F16", {2, 3}},
                                            {"fc1.weight", "F32", {1, 1}},
                                            {"fc2.weight", "F32", {1, 1}},
                                            {"half.fc2.weight", "F32", {1, 1}},
                                            {"xfc1.weight", "F32", {1, 1}},
                                            {"a.fc1.weight.b", "F32", {1, 1}},
                                            {"a.fc1.bias", "F32", {1}},
                                            {".fc1.weight", "F32", {1, 1}}}));
  const std::vector<BlockListing> listings = ListBlocks(file);
  std::vector<std::string> usable;
  for (const auto& [block, problem] : listings) {
    if (problem.empty()) usable.push_back(block.prefix);
  }
  EXPECT_EQ(usable, (std::vector<std::string>{"", "layers.2.mlp", "layers.10.mlp"}));
  ASSERT_EQ(listings.size(), 4u);
  EXPECT_EQ(listings[1].block.prefix, "half");
  EXPECT_EQ(listings[1].problem, "there is no tensor 'half.fc1.weight'");
  EXPECT_EQ(DTypes(listings[3].block), "BF16+F32");
  EXPECT_EQ(FileBytes(listings[3].block), 2u * 6 + 2 * 3 + 4 * 3);
  EXPECT_EQ(FileBytes(listings[2].block), 2u * 6 + 2 * 6);
}

// The bits that come out of weights loaded from a file, and of the same weights packed from memory.
void ExpectLoadsAsStored(const Shape& shape, const StoredAs& stored_as) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  const TestBlock block = WriteCheckpoint(path, "a.mlp", shape, stored_as);
  const Checkpoint file(path);
  const PackedFfn loaded = LoadBlock(file, FindBlock(file, "a.mlp"), Activation::kQuickGelu, {});
  PackedFfn packed;
  ASSERT_TRUE(Pack(block.weights(), {}, &packed).ok());
  Random random(2);
  const size_t tokens = 3;
  const std::vector<float> x = RandomTokens(shape, tokens, &random);
  const std::vector<float> got = RunDense(loaded, x.data(), tokens),
                           want = RunDense(packed, x.data(), tokens);
  EXPECT_TRUE(SameBits(got.data(), shape.out, want.data(), shape.out, tokens, shape.out));
}

TEST(CheckpointBlocksTest, LoadsEveryDTypeWithAndWithoutBias) {
  const StoredAs cases[] = {{"F32", "F32", "F32", "F32"}, {"BF16", "BF16", "BF16", "BF16"},
                            {"F16", "F16", "F16", "F16"}, {"BF16", "F32", "F16", "F32"},
                            {"F32", "", "F32", ""},       {"BF16", "", "BF16", "BF16"},
                            {"F16", "F16", "F16", ""}};
  for (const StoredAs& stored_as : cases) {
    SCOPED_TRACE(std::string(stored_as.weight1) + "," + stored_as.bias1 + "," + stored_as.weight2 + "," +
                 stored_as.bias2);
    ExpectLoadsAsStored({33, 70, 17}, stored_as);
  }
}

// Chunks of rows are about 1 MiB: several and a rest; rows longer than a chunk.
TEST(CheckpointBlocksTest, LoadsInChunks) {
  ExpectLoadsAsStored({1000, 1500, 3}, {"F32", "F32", "F32", "F32"});
  ExpectLoadsAsStored({600'000, 2, 1}, {"BF16", "BF16", "BF16", "BF16"});
}

TEST(CheckpointBlocksTest, LoadRefusesAnUnknownTarget) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  WriteCheckpoint(path, "m", {2, 3, 2}, {});
  const Checkpoint file(path);
  const Block block = FindBlock(file, "m");
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { LoadBlock(file, block, Activation::kQuickGelu, {"AVX9"}); }),
                       "block 'm': target 'AVX9'"));
}

TEST(CheckpointBlocksTest, LoadSeesThatTheFileHasShrunk) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  WriteCheckpoint(path, "m", {64, 64, 64}, {});
  const Checkpoint file(path);
  const Block block = FindBlock(file, "m");
  std::filesystem::resize_file(path, 20'000);
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { LoadBlock(file, block, Activation::kQuickGelu, {}); }),
                       "ends at byte 20000"));
}

}  // namespace
}  // namespace fusedffn::io
