// Finding a block in a checkpoint, refusing those that do not fit, and loading one into packed weights.
#include "src/models/checkpoint_blocks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "src/models/block_loader.h"
#include "src/names.h"
#include "tests/compare.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

std::string WriteZeros(const TempFolder& folder, const std::vector<Entry>& entries) {
  WriteZeros(folder / "file.safetensors", entries);
  return folder / "file.safetensors";
}

std::vector<BlockListing> ListBlocks(const Checkpoint& checkpoint) {
  std::vector<BlockListing> listings;
  for (const BlockPlace& place : BlockPlaces(checkpoint)) listings.push_back(ListBlock(checkpoint, place));
  return listings;
}

TEST(CheckpointBlocksTest, RefusesBlocksThatDoNotFit) {
  const Entry w1 = {"m.fc1.weight", "F32", {4, 2}}, w2 = {"m.fc2.weight", "F32", {2, 4}};
  struct {
    const char* name;
    std::vector<Entry> entries;
    const char* message;
  } const cases[] = {
      {"no tensors",
       {},
       "there is no block 'm'; there is none at all: no PREFIX.NAME.weight with the names c_fc and c_proj; "
       "fc1 and "},
      {"other names", {{"m.linear1.weight", "F32", {4, 2}}}, "there is none at all: no PREFIX.NAME.weight"},
      {"half of it", {{"m.lin1.weight", "F32", {4, 2}}}, "there is no tensor 'm.lin2.weight'"},
      {"other prefix",
       {{"n.fc1.weight", "F32", {4, 2}}},
       "there is no block 'm'; there is 1, the first of which is 'n'"},
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
      {"integers", {w1, {"m.fc2.weight", "I16", {2, 4}}}, "is of dtype 'I16'; accepted are"},
      {"integers of another", {w1, {"m.fc2.weight", "I8", {2, 4}}}, "what 'fusedffn quantize' has written"},
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
                                            {"blocks.7.mlp.fc2.weight", "F32", {1, 1}},
                                            {"half.fc2.weight", "F32", {1, 1}},
                                            {"encoder.layer.0.attention.output.dense.weight", "F32", {1, 1}},
                                            {"n.xfc1.weight", "F32", {1, 1}},
                                            {"a.fc1.weight.b", "F32", {1, 1}},
                                            {"a.fc1.bias", "F32", {1}},
                                            {".fc1.weight", "F32", {1, 1}}}));
  const std::vector<BlockListing> listings = ListBlocks(file);
  std::vector<std::string> usable;
  for (const auto& [block, problem, unreadable] : listings) {
    if (problem.empty()) usable.push_back(block.prefix);
  }
  EXPECT_EQ(usable, (std::vector<std::string>{"", "layers.2.mlp", "layers.10.mlp"}));
  ASSERT_EQ(listings.size(), 4u);
  EXPECT_EQ(listings[1].block.prefix, "blocks.7.mlp");
  EXPECT_EQ(listings[1].problem, "there is no tensor 'blocks.7.mlp.fc1.weight'");
  EXPECT_EQ(DTypes(listings[3].block), "BF16+F32");
  EXPECT_EQ(FileBytes(listings[3].block), 2u * 6 + 2 * 3 + 4 * 3);
  EXPECT_EQ(FileBytes(listings[2].block), 2u * 6 + 2 * 6);
}

// What stands below a block's prefix and is not computed with: norms, convolutions, a third layer, adapters,
// scales, experts.
TEST(CheckpointBlocksTest, RefusesBlocksWithMoreTensors) {
  const TempFolder folder;
  const auto problem_with = [&](const std::string& prefix, const std::string& more,
                                const std::vector<std::string>& ignored = {}) {
    const std::string start = prefix.empty() ? "" : prefix + ".";
    const Checkpoint file(WriteZeros(folder, {{start + "fc1.weight", "F32", {4, 2}},
                                              {start + "fc2.weight", "F32", {2, 4}},
                                              {start + "fc2.bias", "F32", {2}},
                                              {start + more, "F32", {1}}}),
                          ignored);
    for (const BlockListing& listing : ListBlocks(file)) {
      if (listing.block.prefix == prefix) return listing.problem;
    }
    return std::string("no block");
  };
  for (const char* more :
       {"ffn_layernorm.weight", "ffn_ln.weight", "norm.bias", "grn.weight", "dwconv.dwconv.weight",
        "fc3.weight", "fc1.lora_A.default.weight", "adapter.down.weight", "fc1.weight_scale", "fc1.scale",
        "gate.weight", "gamma", "experts.0.fc1.weight", "self_attn.q_proj.weight"}) {
    for (const char* prefix : {"blocks.0.mlp", "mlp", "layers.3.experts.1", "blocks.0.mlp_layers"}) {
      EXPECT_TRUE(Contains(problem_with(prefix, more),
                           "'" + std::string(prefix) + "." + more + "' is a tensor of the block"));
    }
  }
  for (const char* more : {"fc3.weight", "fc1.lora_A.weight", "adapter.weight", "ffn_layernorm.weight"}) {
    EXPECT_TRUE(Contains(problem_with("layers.0", more), "is a tensor of the block"));
    EXPECT_TRUE(Contains(problem_with("", more), "is a tensor of the block"));
  }
  for (const char* more : {"bn.num_batches_tracked", "rotary_emb.inv_freq", "total_ops"}) {
    EXPECT_EQ(problem_with("blocks.0.mlp", more), "");
  }
  // Beside the block, not in it.
  for (const char* more :
       {"self_attn.q_proj.weight", "attention.self.query.weight", "crossattention.output.LayerNorm.bias",
        "self_attn_layer_norm.weight", "final_layer_norm.bias", "layernorm_before.weight", "lambda_2"}) {
    for (const char* prefix : {"layers.0", "encoder.layer.11", "decoder.layers.0.deformable_layer"}) {
      EXPECT_EQ(problem_with(prefix, more), "") << prefix << " " << more;
    }
  }
  EXPECT_EQ(problem_with("", "layers.0.mlp.gate_proj.weight"), "");
  for (const char* ignored : {"lora.A", "lora", "blocks.0.mlp.lora.A", "blocks.0.mlp.lora", "blocks.0"}) {
    EXPECT_EQ(problem_with("blocks.0.mlp", "lora.A", {"x", ignored}), "") << ignored;
  }
  for (const char* ignored : {"lora.B", "lor", "blocks.1.mlp.lora.A", "A"}) {
    EXPECT_NE(problem_with("blocks.0.mlp", "lora.A", {ignored}), "") << ignored;
  }
}

// As in old CLIP GGUFs: up and down exchanged, with their biases or without them.
TEST(CheckpointBlocksTest, SeesSwappedLayers) {
  const TempFolder folder;
  const std::string known = "vision_model.encoder.layers.0.mlp";
  const auto entries = [](const std::string& prefix, uint64_t bias1, uint64_t bias2) {
    return std::vector<Entry>{{prefix + ".fc1.weight", "F32", {4, 16}},
                              {prefix + ".fc2.weight", "F32", {16, 4}},
                              {prefix + ".fc1.bias", "F32", {bias1}},
                              {prefix + ".fc2.bias", "F32", {bias2}}};
  };
  const auto error = [&](const std::string& prefix, const std::vector<Entry>& file) {
    const std::string path = WriteZeros(folder, file);
    return ErrorOf(path, [&] { FindBlock(Checkpoint(path), prefix); });
  };
  const std::string fc1 = ".fc1.weight' is [4, 16] and '", fc2 = ".fc2.weight' [16, 4]: they look swapped";
  EXPECT_TRUE(Contains(error(known, entries(known, 16, 4)), known + fc1 + known + fc2));
  EXPECT_TRUE(Contains(error(known, entries(known, 4, 16)), known + fc1 + known + fc2));
  EXPECT_TRUE(Contains(error("m", entries("m", 16, 4)), "m" + fc1 + "m" + fc2));
  // A bottleneck, of which nothing is known.
  EXPECT_EQ(error("m", entries("m", 4, 16)), "");
}

TEST(CheckpointBlocksTest, SeesGatesInTheSameTensor) {
  const TempFolder folder;
  const std::string path =
      WriteZeros(folder, {{"m.fc1.weight", "F32", {8, 2}}, {"m.fc2.weight", "F32", {2, 4}}});
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { FindBlock(Checkpoint(path), "m"); }),
                       "They look like a gated block with two layers in one tensor"));
}

TEST(CheckpointBlocksTest, ListsGatedBlocks) {
  const TempFolder folder;
  const std::string path = WriteZeros(folder, {{"m.gate_proj.weight", "F32", {4, 2}},
                                               {"m.up_proj.weight", "F32", {4, 2}},
                                               {"m.down_proj.weight", "F32", {2, 4}},
                                               {"n.gate_proj.weight", "F32", {3, 2}},
                                               {"n.up_proj.weight", "F32", {4, 2}},
                                               {"n.down_proj.weight", "F32", {2, 4}},
                                               {"o.up_proj.weight", "F32", {4, 2}}});
  const Checkpoint checkpoint(path);
  const std::vector<BlockListing> listings = ListBlocks(checkpoint);
  ASSERT_EQ(listings.size(), 3u);
  EXPECT_EQ(listings[0].problem, "");
  EXPECT_EQ(FileBytes(listings[0].block), 3u * 8 * 4);
  EXPECT_EQ(listings[1].problem,
            "'n.gate_proj.weight' [3, 2] and 'n.up_proj.weight' [4, 2] do not fit; they must have one shape");
  EXPECT_EQ(listings[2].problem, "there is no tensor 'o.gate_proj.weight'");
  EXPECT_EQ(ShapeText(FindBlock(checkpoint, "m").shape), "2 -> 4 gated -> 2");
}

TEST(CheckpointBlocksTest, ListsWhatTheOtherShardsHold) {
  const TempFolder folder;
  WriteZeros(folder, {{"a.fc1.weight", "F32", {4, 2}}, {"a.fc2.weight", "F32", {2, 4}}});
  const std::string index = folder.Write(
      "index.json",
      R"({"weight_map": {"a.fc1.weight": "file.safetensors", "a.fc2.weight": "file.safetensors", "b.fc1.weight": "no.safetensors"}})");
  const Checkpoint checkpoint(index);
  const std::vector<BlockListing> listings = ListBlocks(checkpoint);
  ASSERT_EQ(listings.size(), 2u);
  EXPECT_EQ(listings[0].problem, "");
  EXPECT_TRUE(Contains(listings[1].problem, "'b.fc1.weight' should be in 'no.safetensors'"));
}

// The bits that come out of weights loaded from a file, and of the same weights packed from memory.
void ExpectLoadsAsStored(const Shape& shape, const StoredAs& stored_as, PackOptions options = {}) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  const TestBlock block = WriteCheckpoint(path, "a.mlp", shape, stored_as);
  const Checkpoint file(path);
  const PackedFfn loaded = LoadBlock(FindBlock(file, "a.mlp"), block.activation, options);
  PackedFfn packed;
  options.threads = 1;
  ASSERT_TRUE(Pack(block.weights(), options, &packed).ok());
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

// The same weights as [in, out], of 2 and of 4 bytes; in one strip, in several with a rest, a column at a
// time.
TEST(CheckpointBlocksTest, LoadsTransposedWeights) {
  for (const char* dtype : {"F32", "BF16", "F16"}) {
    StoredAs stored_as = {dtype, dtype, dtype, dtype, "c_fc", "c_proj", true};
    ExpectLoadsAsStored({33, 70, 17}, stored_as);
  }
  ExpectLoadsAsStored({1000, 3000, 3}, {"F32", "F32", "F32", "F32", "c_fc", "c_proj", true});
  ExpectLoadsAsStored({33, 70, 1}, {"F32", "F32", "F32", "F32", "c_fc", "c_proj", true});
}

// Each layer with a dtype of its own, some with biases; in either convention's names; in several chunks.
TEST(CheckpointBlocksTest, LoadsGatedBlocks) {
  const StoredAs cases[] = {
      GatedAs("F32", "F32"),
      GatedAs("BF16", ""),
      {"BF16", "F16", "F16", "BF16", "gate_proj", "down_proj", false, "up_proj", "F32", "F32"},
      {"F16", "F16", "F32", "", "gate_proj", "down_proj", false, "up_proj", "BF16", ""},
      {"F16", "", "F32", "", "w1", "w2", false, "w3", "BF16", "BF16"},
  };
  for (const StoredAs& stored_as : cases) {
    SCOPED_TRACE(stored_as.fc1 + " " + stored_as.weight1 + ", " + stored_as.up + " " + stored_as.weight3);
    ExpectLoadsAsStored({33, 70, 17, true}, stored_as);
  }
  ExpectLoadsAsStored({1000, 700, 3, true}, GatedAs("F32", "F32"));
}

TEST(CheckpointBlocksTest, LoadsGatedBlocksInEveryPrecision) {
  for (const Precision precision : AllPrecisions()) {
    SCOPED_TRACE(PrecisionName(precision));
    PackOptions options;
    options.precision = precision;
    PackedFfn smallest;  // not every target has every precision
    if (!PackedFfn::Create({1, 1, 1}, Activation::kSilu, options, &smallest).ok()) continue;
    ExpectLoadsAsStored({33, 70, 17, true}, GatedAs("BF16", ""), options);
    ExpectLoadsAsStored({1200, 90, 40, true}, GatedAs("F32", "F32"), options);
  }
}

// And told of every byte, by one thread at a time.
TEST(CheckpointBlocksTest, LoadsTheSameOnAnyThreads) {
  const Shape shape = {1000, 700, 300, true};
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  const TestBlock block = WriteCheckpoint(path, "a.mlp", shape, GatedAs("F32", "BF16"));
  const Checkpoint file(path);
  const Block stored = FindBlock(file, "a.mlp");
  Random random(2);
  const std::vector<float> x = RandomTokens(shape, 2, &random);
  PackOptions options;
  for (const Precision precision : {Precision::kF32, Precision::kBF16, Precision::kInt8}) {
    options.precision = precision;
    const auto run_loaded_on = [&](int threads) {
      options.threads = threads;
      std::atomic<int> telling{0};
      uint64_t bytes_read = 0;
      const PackedFfn ffn = LoadBlock(stored, block.activation, options, [&](uint64_t bytes) {
        EXPECT_EQ(telling++, 0);
        bytes_read += bytes;
        --telling;
      });
      EXPECT_EQ(bytes_read, FileBytes(stored));
      return RunDense(ffn, x.data(), 2);
    };
    const std::vector<float> want = run_loaded_on(1);
    for (const int threads : {0, 2, 7}) EXPECT_EQ(run_loaded_on(threads), want) << threads << " threads";
  }
}

TEST(CheckpointBlocksTest, LoadRefusesAnUnknownTarget) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  WriteCheckpoint(path, "m", {2, 3, 2}, {});
  const Checkpoint file(path);
  const Block block = FindBlock(file, "m");
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { LoadBlock(block, Activation::kQuickGelu, {"AVX9"}); }),
                       "block 'm': target 'AVX9'"));
}

TEST(CheckpointBlocksTest, LoadSeesThatTheFileHasShrunk) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  WriteCheckpoint(path, "m", {64, 64, 64}, {});
  const Checkpoint file(path);
  const Block block = FindBlock(file, "m");
  std::filesystem::resize_file(path, 20'000);
  EXPECT_TRUE(
      Contains(ErrorOf(path, [&] { LoadBlock(block, Activation::kQuickGelu, {}); }), "ends at byte 20000"));
}

// Wherever it ends, in weights of several pieces or in a bias: which thread sees it first does not count.
TEST(CheckpointBlocksTest, LoadFailsTheSameOnAnyThreads) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  WriteCheckpoint(path, "m", {1000, 1500, 300}, {});
  const Checkpoint file(path);
  const Block block = FindBlock(file, "m");
  const auto error_on = [&](int threads) {
    PackOptions options;
    options.threads = threads;
    return ErrorOf(path, [&] { LoadBlock(block, Activation::kQuickGelu, options); });
  };
  for (uint64_t bytes = std::filesystem::file_size(path) - 1; bytes > 400'000; bytes -= 400'000) {
    std::filesystem::resize_file(path, bytes);
    const std::string want = error_on(1);
    EXPECT_TRUE(Contains(want, "too early: truncated"));
    for (const int threads : {2, 7}) EXPECT_EQ(error_on(threads), want);
  }
}

}  // namespace
}  // namespace fusedffn::io
