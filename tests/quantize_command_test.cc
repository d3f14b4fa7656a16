// fusedffn quantize, from outside: its copy gives the bytes that the checkpoint gives in int8, holds what
// src/models/quantized_weight.h says, and is there whole or not at all.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/files/array_file.h"
#include "src/files/safetensors.h"
#include "tests/program.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;

std::string TensorBytes(const io::SafetensorsFile& file, std::string_view name) {
  const io::Tensor* tensor = file.Find(name);
  EXPECT_NE(tensor, nullptr) << name;
  if (tensor == nullptr) return "";
  std::string bytes(tensor->bytes(), '\0');
  file.Read(*tensor, 0, bytes.size(), bytes.data());
  return bytes;
}

class QuantizeCommandTest : public testing::Test {
 protected:
  Outcome Quantize(const std::string& weights, const std::string& output,
                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"quantize", "--weights", folder_ / weights, "--output",
                                          folder_ / output};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Start(arguments);
  }

  Outcome Run(const std::string& weights, const std::string& layer, const std::string& dtype,
              const std::string& group = "") const {
    std::vector<std::string> arguments = {"run",
                                          "--weights",
                                          folder_ / weights,
                                          "--layer",
                                          layer,
                                          "--input",
                                          folder_ / "x.npy",
                                          "--output",
                                          folder_ / "y.npy",
                                          "--dtype",
                                          dtype,
                                          "--activation",
                                          "gelu"};
    if (!group.empty()) arguments.insert(arguments.end(), {"--int8-group", group});
    return Start(arguments);
  }

  // y's bytes, in int8.
  std::string BytesOfRun(const std::string& weights, const std::string& layer,
                         const std::string& group = "") const {
    const Outcome outcome = Run(weights, layer, "int8", group);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return ReadBytes(folder_ / "y.npy");
  }

  void WriteInput(size_t dim) const {
    Random random(2);
    io::WriteArray(folder_ / "x.npy", {{5, dim}, random.SymmetricVector(5 * dim, 2.0f)});
  }

  // A quantized block 'm', from a small one.
  void WriteQuantized(const std::string& name) const {
    WriteCheckpoint(folder_ / "small.safetensors", "m", {5, 7, 3}, {});
    const Outcome outcome = Quantize("small.safetensors", name);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  const TempFolder folder_;
};

TEST_F(QuantizeCommandTest, TheCopyGivesTheSameBytes) {
  const struct {
    const char* layer;
    Shape shape;
    StoredAs stored_as;
  } cases[] = {
      {"m", {5, 7, 3}, {}},
      {"a.b.mlp", {129, 1300, 65}, {"BF16", "BF16", "BF16", ""}},
      {"m", {1153, 30, 9}, {"F16", "", "F32", "BF16"}},
      {"h.0.mlp", {1200, 1250, 1200}, {"F32", "F32", "BF16", "F32", "c_fc", "c_proj", true}},
      {"model.layers.0.mlp", {31, 65, 31, true}, GatedAs("BF16", "")},
  };
  for (const auto& [layer, shape, stored_as] : cases) {
    SCOPED_TRACE(layer + std::string(", hidden ") + std::to_string(shape.hidden));
    WriteCheckpoint(folder_ / "w.safetensors", layer, shape, stored_as);
    WriteInput(shape.dim);
    for (const char* group : {"1152", "128"}) {
      const Outcome outcome = Quantize("w.safetensors", "q.safetensors", {"--group", group});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_EQ(outcome.err, "");
      EXPECT_EQ(BytesOfRun("q.safetensors", layer), BytesOfRun("w.safetensors", layer, group));
      EXPECT_TRUE(
          Contains(Start({"inspect", folder_ / "q.safetensors"}).out, "    quantized: give --dtype int8\n"));
    }
    const bool one_group = shape.dim <= 128 && shape.hidden <= 128;
    EXPECT_EQ(BytesOfRun("w.safetensors", layer) == BytesOfRun("w.safetensors", layer, "128"), one_group);
  }
}

TEST_F(QuantizeCommandTest, TheDefaultIs1152) {
  WriteCheckpoint(folder_ / "w.safetensors", "m", {5, 200, 3}, {});
  Quantize("w.safetensors", "q.safetensors");
  Quantize("w.safetensors", "q1152.safetensors", {"--group", "1152"});
  EXPECT_EQ(ReadBytes(folder_ / "q.safetensors"), ReadBytes(folder_ / "q1152.safetensors"));
}

// Of the parts of one block in two files.
TEST_F(QuantizeCommandTest, RefusesABlockOfBothGroups) {
  WriteQuantized("q.safetensors");
  Quantize("small.safetensors", "q128.safetensors", {"--group", "128"});
  WriteInput(5);
  folder_.Write("model.safetensors.index.json", R"({"weight_map": {
      "m.fc1.weight": "q.safetensors", "m.fc1.weight_scale": "q.safetensors",
      "m.fc2.weight": "q128.safetensors", "m.fc2.weight_scale": "q128.safetensors"}})");
  ExpectComplaint(Run("", "m", "int8"), 1,
                  "'m.fc1.weight' is quantized in groups of 1152, and 'm.fc2.weight' of 128; they must be "
                  "the same");
}

// Zeros, NaN and infinities. The last layer's rows are the columns of y.
TEST_F(QuantizeCommandTest, UnusualRows) {
  constexpr Shape kShape = {5, 1200, 6};
  Random random(1);
  std::vector<float> w1 = random.SymmetricVector(kShape.hidden * kShape.dim, 1.0f);
  std::vector<float> w2 = random.SymmetricVector(kShape.out * kShape.hidden, 1.0f);
  std::fill_n(w1.data(), 3 * kShape.dim, 0.0f);
  std::fill_n(w2.data(), kShape.hidden, 0.0f);
  w2[1 * kShape.hidden + 4] = NAN;
  w2[2 * kShape.hidden + 1199] = HUGE_VALF;
  w2[3 * kShape.hidden + 1151] = -HUGE_VALF;
  std::fill_n(&w2[4 * kShape.hidden], kShape.hidden, 0x1p-140f);
  io::WriteSafetensors(folder_ / "w.safetensors",
                       {{"m.fc1.weight", "F32", {kShape.hidden, kShape.dim}, w1.data()},
                        {"m.fc2.weight", "F32", {kShape.out, kShape.hidden}, w2.data()}});
  WriteInput(kShape.dim);
  const Outcome outcome = Quantize("w.safetensors", "q.safetensors");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out, "    3 of 1212 groups have a NaN or infinity, and give NaN\n"));
  EXPECT_EQ(BytesOfRun("q.safetensors", "m"), BytesOfRun("w.safetensors", "m"));
  const io::Array y = io::ReadArray(folder_ / "y.npy");
  for (size_t i = 0; i < y.values.size(); ++i) {
    const size_t column = i % kShape.out;
    ASSERT_EQ(std::isnan(y.values[i]), column >= 1 && column <= 3) << i;
  }
}

// Weights and scales are QuantizeRows()'s, and all else is as it was.
class QuantizedFileTest : public QuantizeCommandTest,
                          public testing::WithParamInterface<std::pair<const char*, size_t>> {};

TEST_P(QuantizedFileTest, HoldsWhatItSays) {
  const auto& [version, group] = GetParam();
  constexpr Shape kShape = {3, 1200, 4};
  Random random(1);
  const TestBlock block = RandomBlock(kShape, &random);
  const std::string odd = "odd";
  const auto matrix = [&](const char* name, const std::vector<float>& values, uint64_t rows) {
    return io::TensorData{name, "F32", {rows, values.size() / rows}, values.data()};
  };
  io::WriteSafetensors(folder_ / "w.safetensors",
                       {matrix("h.0.mlp.c_fc.weight", block.w1, kShape.dim),  // [in, out]
                        {"h.0.mlp.c_fc.bias", "F32", {kShape.hidden}, block.b1.data()},
                        matrix("h.0.mlp.c_proj.weight", block.w2, kShape.hidden),
                        {"other", "U8", {3}, odd.data()},
                        {"step", "I64", {1}, block.w1.data()}},
                       {{"format", "pt"}});
  const Outcome outcome = Quantize("w.safetensors", "q.safetensors", {"--group", std::to_string(group)});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;

  const io::SafetensorsFile was(folder_ / "w.safetensors"), file(folder_ / "q.safetensors");
  EXPECT_EQ(file.metadata(), (io::Metadata{{"format", "pt"},
                                           {"fusedffn.int8.version", version},
                                           {"fusedffn.int8.group", std::to_string(group)}}));
  EXPECT_EQ(file.tensors().size(), 7u);
  for (const char* name : {"h.0.mlp.c_fc.bias", "other", "step"}) {
    EXPECT_EQ(TensorBytes(file, name), TensorBytes(was, name));
    EXPECT_EQ(file.Find(name)->dtype, was.Find(name)->dtype);
  }
  EXPECT_EQ(file.Find("step")->begin % 8, 0u);
  const std::pair<std::string, const std::vector<float>*> layers[] = {{"h.0.mlp.c_fc.weight", &block.w1},
                                                                      {"h.0.mlp.c_proj.weight", &block.w2}};
  for (const auto& [name, values] : layers) {
    const io::Dims shape = was.Find(name)->shape;
    const size_t cols = shape[0], rows = shape[1];
    std::vector<float> turned(rows * cols), scales(rows * Int8Groups(cols, group));
    std::vector<int8_t> q(rows * cols);
    for (size_t i = 0; i < rows * cols; ++i) turned[i] = (*values)[i % cols * rows + i / cols];
    ASSERT_TRUE(
        QuantizeRows(turned.data(), DType::kF32, rows, cols, cols, q.data(), scales.data(), group).ok());
    EXPECT_EQ(file.Find(name)->dtype, "I8");
    EXPECT_EQ(file.Find(name)->shape, shape);
    EXPECT_EQ(file.Find(name + "_scale")->dtype, "F32");
    EXPECT_EQ(file.Find(name + "_scale")->shape, (io::Dims{rows, Int8Groups(cols, group)}));
    EXPECT_EQ(file.Find(name + "_scale")->begin % 4, 0u);
    const std::string stored = TensorBytes(file, name), stored_scales = TensorBytes(file, name + "_scale");
    EXPECT_EQ(std::memcmp(stored_scales.data(), scales.data(), stored_scales.size()), 0);
    for (size_t i = 0; i < rows * cols; ++i) {
      ASSERT_EQ(static_cast<int8_t>(stored[i % cols * rows + i / cols]), q[i]) << name << ", " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, QuantizedFileTest,
                         testing::Values(std::pair("1", size_t{1152}), std::pair("2", size_t{128})));

TEST_F(QuantizeCommandTest, PrintsWhatItDid) {
  WriteCheckpoint(folder_ / "w.safetensors", "model.layers.3.mlp", {4, 8, 4, true}, GatedAs("BF16", "F32"));
  const Outcome outcome = Quantize("w.safetensors", "q.safetensors");
  const std::string before = std::to_string(3 * 32 * 2), after = std::to_string(3 * 32 + 20 * 4);
  EXPECT_TRUE(Contains(outcome.out, "'model.layers.3.mlp'\n    1 block, 3 weights: " + before + " bytes -> " +
                                        after + " bytes with scales\n    relative L2 error of the weights "));
  EXPECT_TRUE(Contains(outcome.out, "    3 other tensors copied, 80 bytes\n"));
  const std::string size = std::to_string(fs::file_size(folder_ / "q.safetensors"));
  EXPECT_TRUE(Contains(std::regex_replace(outcome.out, std::regex("([0-9]),"), "$1"),
                       " 272 bytes of tensors -> a file of " + size + " bytes, in "));
  const double error =
      std::stod(outcome.out.substr(outcome.out.find("weights ", outcome.out.find("L2")) + 8));
  // Steps of 1 / 127 of each row's largest, rounded, on even values: 1 / 127 / sqrt(12) of sqrt(1 / 3) of it.
  EXPECT_GT(error, 0.5 / 254);
  EXPECT_LT(error, 1.5 / 254);
}

TEST_F(QuantizeCommandTest, TakesShards) {
  WriteCheckpoint(folder_ / "w.safetensors", "m", {5, 7, 3}, {"BF16", "BF16", "F16", "F32"});
  WriteInput(5);
  const std::string want = BytesOfRun("w.safetensors", "m");
  SplitIntoShards(folder_ / "w.safetensors", folder_.path());
  for (const char* weights : {"", "model.safetensors.index.json"}) {
    const Outcome outcome = Quantize(weights, "q.safetensors");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(BytesOfRun("q.safetensors", "m"), want);
  }
}

TEST_F(QuantizeCommandTest, TakesSomeBlocks) {
  std::vector<Entry> entries = {{"a.fc1.weight", "F32", {4, 2}}, {"head.weight", "F32", {4}}};
  for (const char* layer : {"h.0", "h.1"}) {
    entries.push_back({layer + std::string(".mlp.c_fc.weight"), "F32", {2, 8}});
    entries.push_back({layer + std::string(".mlp.c_proj.weight"), "F32", {8, 2}});
  }
  WriteZeros(folder_ / "w.safetensors", entries);
  const struct {
    std::vector<std::string> options;
    size_t tensors, quantized;
  } cases[] = {{{}, 10, 4},
               {{"--blocks-only"}, 8, 4},
               {{"--family", "GPT-2"}, 10, 4},
               {{"--family", "h.N.mlp", "--blocks-only"}, 8, 4},
               {{"--layer", "h.1.mlp"}, 8, 2},
               {{"--layer", "h.1.mlp", "--blocks-only"}, 4, 2}};
  for (const auto& [options, tensors, quantized] : cases) {
    SCOPED_TRACE(testing::PrintToString(options));
    const Outcome outcome = Quantize("w.safetensors", "q.safetensors", options);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const io::SafetensorsFile file(folder_ / "q.safetensors");
    EXPECT_EQ(file.tensors().size(), tensors);
    size_t count = 0;
    for (const io::Tensor& tensor : file.tensors()) count += tensor.dtype == "I8";
    EXPECT_EQ(count, quantized);
    const bool all = options.empty() || options[0] == "--blocks-only";
    EXPECT_EQ(outcome.out.find("'a': not usable: there is no tensor 'a.fc2.weight'") != std::string::npos,
              all);
  }
  // The rest of it, in a second step.
  Quantize("w.safetensors", "q.safetensors", {"--layer", "h.1.mlp"});
  const Outcome outcome = Quantize("q.safetensors", "q2.safetensors");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out, "'h.1.mlp': quantized already\n"));
  Quantize("w.safetensors", "q.safetensors");
  const io::SafetensorsFile once(folder_ / "q.safetensors"), twice(folder_ / "q2.safetensors");
  ASSERT_EQ(once.tensors().size(), twice.tensors().size());
  for (const io::Tensor& tensor : once.tensors()) {
    EXPECT_EQ(TensorBytes(once, tensor.name), TensorBytes(twice, tensor.name)) << tensor.name;
  }
}

TEST_F(QuantizeCommandTest, RefusesAndLeavesEveryFileAsItWas) {
  WriteQuantized("q.safetensors");
  fs::create_symlink("small.safetensors", folder_ / "link.safetensors");
  folder_.Write("old.safetensors", "old");
  WriteZeros(folder_ / "none.safetensors", {{"head.weight", "F32", {4}}});
  WriteZeros(
      folder_ / "scaled.safetensors",
      {{"m.fc1.weight", "F32", {4, 2}}, {"m.fc1.weight_scale", "F32", {1}}, {"m.fc2.weight", "F32", {2, 4}}});
  WriteZeros(folder_ / "half.safetensors", {{"h.0.mlp.c_fc.weight", "F32", {2, 8}},
                                            {"h.1.mlp.c_fc.weight", "F32", {2, 8}},
                                            {"h.1.mlp.c_proj.weight", "F32", {8, 2}}});
  WriteZeros(folder_ / "two.safetensors", {{"h.0.mlp.c_fc.weight", "F32", {2, 8}},
                                           {"h.0.mlp.c_proj.weight", "F32", {8, 2}},
                                           {"h.1.mlp.c_fc.weight", "F32", {2, 8}},
                                           {"h.1.mlp.c_proj.weight", "F32", {8, 2}}});
  Quantize("two.safetensors", "part.safetensors", {"--layer", "h.1.mlp"});
  folder_.Write("shard.safetensors.index.json",
                R"({"weight_map": {"m.fc1.weight": "small.safetensors", "m.fc2.weight": "small.safetensors",
                                   "z": "gone.safetensors"}})");
  folder_.Write("block.safetensors.index.json",
                R"({"weight_map": {"m.fc1.weight": "small.safetensors", "m.fc2.weight": "small.safetensors",
                                   "n.fc1.weight": "gone.safetensors", "n.fc2.weight": "gone.safetensors"}})");
  const Files before = folder_.Contents();
  const char* const index = "shard.safetensors.index.json";
  const struct {
    const char* weights;
    const char* output;
    std::vector<std::string> options;
    int exit_code;
    const char* message;
  } cases[] = {
      {"small.safetensors", "small.safetensors", {}, 2, "is the file of --weights; it must be another one"},
      {"small.safetensors", "link.safetensors", {}, 2, "is the file of --weights"},
      {index, "small.safetensors", {}, 2, "is the file of --weights"},
      {"small.safetensors", "q.npy", {}, 2, "--output: must end in .safetensors, not"},
      {"small.safetensors", "none/q.safetensors", {}, 1, "cannot write to its folder"},
      {"small.safetensors", "old.safetensors", {"--layer", "n"}, 1, "there is no block 'n'; there is 1"},
      {"small.safetensors", "old.safetensors", {"--layer", "m", "--family", "GPT-2"}, 2, "excludes"},
      {"small.safetensors",
       "old.safetensors",
       {"--family", "GPT-2"},
       1,
       "there is no block to quantize that is called 'GPT-2'; 'fusedffn inspect "},
      {"none.safetensors", "old.safetensors", {}, 1, "there is no block to quantize; 'fusedffn inspect "},
      {"q.safetensors", "old.safetensors", {}, 1, "there is no block to quantize"},
      {"q.safetensors", "old.safetensors", {"--layer", "m"}, 1, "'m': quantized already"},
      {"half.safetensors",
       "old.safetensors",
       {"--family", "h.N.mlp"},
       1,
       "'h.0.mlp': not usable: there is no"},
      {"small.safetensors", "old.safetensors", {"--group", "64"}, 2, "must be 1152 or 128, not '64'"},
      {"part.safetensors",
       "old.safetensors",
       {"--group", "128"},
       1,
       "__metadata__ has fusedffn.int8.group '1152'; with groups of 128 it would be '128'"},
      {"scaled.safetensors",
       "old.safetensors",
       {},
       1,
       "no block to quantize; 'm': not usable: 'm.fc1.weight_sc"},
      {"scaled.safetensors",
       "old.safetensors",
       {"--ignore-tensors", "fc1.weight_scale"},
       1,
       "'m.fc1.weight' has a scale already, 'm.fc1.weight_"},
      {index, "old.safetensors", {}, 1, "'z' should be in 'gone.safetensors', and there is no such file"},
      {"block.safetensors.index.json", "old.safetensors", {"--blocks-only"}, 1, "'n': not usable: "},
      {"old.safetensors", "new.safetensors", {}, 1, "bytes are too few for a safetensors file"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.message);
    ExpectComplaint(Quantize(bad.weights, bad.output, bad.options), bad.exit_code, bad.message);
    EXPECT_EQ(folder_.Contents(), before);
  }
  ExpectComplaint(Start({"quantize", "--weights", folder_ / "small.safetensors"}), 2, "--output is required");
}

// A limit on file sizes fails like a full disk: at the header, and in the middle.
TEST_F(QuantizeCommandTest, FullDisk) {
  WriteCheckpoint(folder_ / "w.safetensors", "m", {64, 256, 64}, {});
  folder_.Write("old.safetensors", "old");
  const Files before = folder_.Contents();
  for (const char* blocks : {"0", "8"}) {
    const std::string script =
        "{ (ulimit -f " + std::string(blocks) + R"(; exec "$0" "$@") 2>&1; echo "exit $?"; } | cat >&2)";
    for (const char* output : {"new.safetensors", "old.safetensors"}) {
      std::vector<std::string> in_shell = {"/bin/sh", "-c", script};
      in_shell.insert(in_shell.end(), kProgram.begin(), kProgram.end());
      const Outcome outcome =
          Start({"quantize", "--weights", folder_ / "w.safetensors", "--output", folder_ / output}, in_shell);
      EXPECT_EQ(outcome.err, "fusedffn: " + (folder_ / output) + ": cannot write: File too large\nexit 1\n");
      EXPECT_EQ(folder_.Contents(), before);
    }
  }
}

TEST_F(QuantizeCommandTest, RunsInInt8Only) {
  WriteQuantized("q.safetensors");
  WriteInput(5);
  const Files before = folder_.Contents();
  for (const char* dtype : {"f32", "bf16"}) {
    ExpectComplaint(Run("q.safetensors", "m", dtype), 1,
                    "q.safetensors: block 'm' has quantized weights (I8), which need the dtype int8, not " +
                        std::string(dtype));
    EXPECT_EQ(folder_.Contents(), before);
  }
}

TEST_F(QuantizeCommandTest, RunsInItsOwnGroupsOnly) {
  WriteQuantized("q.safetensors");
  WriteInput(5);
  const std::string want = BytesOfRun("q.safetensors", "m");
  EXPECT_EQ(BytesOfRun("q.safetensors", "m", "1152"), want);
  const Files before = folder_.Contents();
  for (const char* dtype : {"int8", "auto"}) {
    ExpectComplaint(
        Run("q.safetensors", "m", dtype, "128"), 2,
        "--int8-group 128, but the weights of block 'm' are quantized already, in groups of 1152; "
        "leave it out");
    EXPECT_EQ(folder_.Contents(), before);
  }
}

TEST_F(QuantizeCommandTest, AutoTakesInt8) {
  WriteQuantized("q.safetensors");
  WriteInput(5);
  const std::string want = BytesOfRun("q.safetensors", "m");
  for (const char* dtype : {"auto", "auto:f32", "auto:bf16", "auto:int8"}) {
    fs::remove(folder_ / "y.npy");
    const Outcome outcome = Run("q.safetensors", "m", dtype);
    const std::string line =
        "dtype " + std::string(dtype) + " -> int8: the checkpoint's weights are quantized\n";
    EXPECT_EQ(outcome.out.substr(0, line.size()), line);
    EXPECT_EQ(ReadBytes(folder_ / "y.npy"), want);
  }
}

TEST_F(QuantizeCommandTest, RunsATower) {
  constexpr Shape kShape = {31, 165, 31};
  WriteCheckpoint(folder_ / "w.safetensors", "vision_model.transformer.layers.0.mlp", kShape, {});
  WriteInput(kShape.dim);
  Quantize("w.safetensors", "q.safetensors");
  Quantize("w.safetensors", "q128.safetensors", {"--group", "128"});
  const auto tower = [&](const char* weights, const char* dtype, const std::string& group = "") {
    std::vector<std::string> arguments = {
        "tower",    "--weights",           folder_ / weights, "--input",         folder_ / "x.npy",
        "--family", "DeepSeek-OCR CLIP-L", "--output",        folder_ / "y.npy", "--dtype",
        dtype};
    if (!group.empty()) arguments.insert(arguments.end(), {"--int8-group", group});
    return Start(arguments);
  };
  EXPECT_EQ(tower("w.safetensors", "int8").exit_code, 0);
  const std::string want = ReadBytes(folder_ / "y.npy");
  EXPECT_EQ(tower("w.safetensors", "int8", "128").exit_code, 0);
  const std::string want128 = ReadBytes(folder_ / "y.npy");
  const Outcome outcome = tower("q.safetensors", "int8");
  EXPECT_EQ(ReadBytes(folder_ / "y.npy"), want);
  EXPECT_TRUE(Contains(outcome.out, "31 -> 165 -> 31, F32+I8, quick_gelu"));
  const Outcome automatic = tower("q.safetensors", "auto");
  EXPECT_EQ(ReadBytes(folder_ / "y.npy"), want);
  EXPECT_EQ(automatic.out.rfind("dtype auto -> int8: the checkpoint's weights are quantized\n", 0), 0u);
  tower("q128.safetensors", "int8");
  EXPECT_EQ(ReadBytes(folder_ / "y.npy"), want128);
  ExpectComplaint(tower("q128.safetensors", "int8", "1152"), 2,
                  "--int8-group 1152, but the weights of block 'vision_model.transformer.layers.0.mlp' are "
                  "quantized already, in groups of 128; leave it out");
  EXPECT_NE(want128, want);
  ExpectComplaint(tower("q.safetensors", "bf16"), 1, "need the dtype int8, not bf16");
}

// Steps that no quantizing makes: a file that has been changed since.
TEST_F(QuantizeCommandTest, RefusesStepsThatItCannotHaveMade) {
  WriteInput(5);
  std::vector<int8_t> q(7 * 5), zeros(3 * 7);
  q[3 * 5 + 2] = -128;
  const std::vector<float> scales(7, 1.0f);
  io::WriteSafetensors(folder_ / "w.safetensors",
                       {{"m.fc1.weight", "I8", {7, 5}, q.data()},
                        {"m.fc1.weight_scale", "F32", {7, 1}, scales.data()},
                        {"m.fc2.weight", "I8", {3, 7}, zeros.data()},
                        {"m.fc2.weight_scale", "F32", {3, 1}, scales.data()}},
                       {{"fusedffn.int8.version", "1"}, {"fusedffn.int8.group", "1152"}});
  ExpectComplaint(Run("w.safetensors", "m", "int8"), 1,
                  "w.safetensors: block 'm': fc1: row 3, column 2: q is -128; with a scale of 1 it must be "
                  "-127 to 127");
}

// Files that others have made, or spoiled.
TEST_F(QuantizeCommandTest, RefusesWhatItCannotHaveWritten) {
  WriteInput(5);
  const io::Metadata good = {{"fusedffn.int8.version", "1"}, {"fusedffn.int8.group", "1152"}};
  const io::Metadata small = {{"fusedffn.int8.version", "2"}, {"fusedffn.int8.group", "128"}};
  const std::vector<float> zeros(64);
  const struct {
    io::Metadata metadata;
    std::vector<Entry> entries;  // beside the weight
    const char* message;
  } cases[] = {
      {{},
       {{"m.fc1.weight_scale", "F32", {7, 1}}},
       "'m.fc1.weight' is of dtype 'I8', and accepted is only "
       "what 'fusedffn quantize' has written: its file's "
       "__metadata__ must have fusedffn.int8.version '1' or '2', and has none"},
      {{{"fusedffn.int8.version", "1"}, {"fusedffn.int8.group", "128"}},
       {{"m.fc1.weight_scale", "F32", {7, 1}}},
       "must have fusedffn.int8.group '1152' in version '1', and has '128'"},
      {{{"fusedffn.int8.version", "2"}, {"fusedffn.int8.group", "1152"}},
       {{"m.fc1.weight_scale", "F32", {7, 1}}},
       "must have fusedffn.int8.group '128' in version '2', and has '1152'"},
      {{{"fusedffn.int8.version", "1"}},
       {{"m.fc1.weight_scale", "F32", {7, 1}}},
       "must have fusedffn.int8.group '1152' in version '1', and has none"},
      {{{"fusedffn.int8.version", "3"}, {"fusedffn.int8.group", "128"}},
       {{"m.fc1.weight_scale", "F32", {7, 1}}},
       "must have fusedffn.int8.version '1' or '2', and has '3'"},
      {small,
       {{"m.fc1.weight_scale", "F32", {7, 2}}},
       "it must be F32 [7, 1], a scale for each output and 128 inputs"},
      {good, {}, "'m.fc1.weight' is of dtype 'I8', and there is no tensor 'm.fc1.weight_scale' beside it"},
      {good,
       {{"m.fc1.weight_scale", "F32", {7, 2}}},
       "'m.fc1.weight_scale' has dtype 'F32' and shape [7, 2]; beside 'm.fc1.weight' [7, 5] it must be F32 "
       "[7, 1], a scale for "
       "each output and 1152 inputs"},
      {good, {{"m.fc1.weight_scale", "F32", {5, 1}}}, "has dtype 'F32' and shape [5, 1]; beside"},
      {good, {{"m.fc1.weight_scale", "F32", {7}}}, "has dtype 'F32' and shape [7]; beside"},
      {good, {{"m.fc1.weight_scale", "BF16", {7, 1}}}, "has dtype 'BF16' and shape [7, 1]; beside"},
      {good,
       {{"m.fc1.weight_scale", "F32", {7, 1}}, {"m.fc1.bias", "I8", {7}}},
       "'m.fc1.bias' is of dtype 'I8'; accepted are F32, BF16 and F16"},
  };
  for (const auto& [metadata, entries, message] : cases) {
    SCOPED_TRACE(message);
    std::vector<io::TensorData> tensors = {{"m.fc2.weight", "F32", {3, 7}, zeros.data()},
                                           {"m.fc1.weight", "I8", {7, 5}, zeros.data()}};
    for (const Entry& entry : entries)
      tensors.push_back({entry.name, entry.dtype, entry.shape, zeros.data()});
    io::WriteSafetensors(folder_ / "w.safetensors", tensors, metadata);
    ExpectComplaint(Run("w.safetensors", "m", "int8"), 1, message);
    const Outcome inspected = Start({"inspect", folder_ / "w.safetensors"});
    EXPECT_TRUE(Contains(inspected.out, "'m'\n    not usable: "));
    EXPECT_TRUE(Contains(inspected.out, message));
  }
}

}  // namespace
}  // namespace fusedffn
