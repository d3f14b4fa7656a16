// fusedffn tower, from outside: the bits of its blocks one by one, the figures of info, and its refusals.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/files/array_file.h"
#include "src/files/safetensors.h"
#include "tests/compare.h"
#include "tests/error_bounds.h"
#include "tests/program.h"
#include "tests/reference.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

constexpr Shape kShape = {31, 65, 31}, kGatedShape = {31, 65, 31, true};
constexpr size_t kLayers = 3, kTokens = 18;

// Every layer is a shard, and so is its norm; only one that is not gated has a bias.
class TowerCommandTest : public testing::Test {
 protected:
  TowerCommandTest()
      : TowerCommandTest("model.vision_model.transformer.layers.", kShape, {}, "layer_norm2") {}

  TowerCommandTest(const std::string& layers, const Shape& shape, const StoredAs& stored_as,
                   const std::string& norm)
      : layers_(layers) {
    std::string map;
    const auto list = [&](const std::string& file) {
      const io::SafetensorsFile shard(folder_ / file);
      for (const io::Tensor& tensor : shard.tensors()) {
        map += (map.empty() ? "\"" : ", \"") + std::string(tensor.name) + "\": \"" + file + "\"";
      }
    };
    for (size_t layer = 0; layer < kLayers; ++layer) {
      const std::string file = std::to_string(layer) + ".safetensors", norm_file = "norm" + file;
      blocks_.push_back(WriteCheckpoint(folder_ / file, PrefixOf(layer), shape, stored_as, layer + 1));
      norms_.push_back(WriteNorm(folder_ / norm_file, layers_ + std::to_string(layer) + "." + norm,
                                 kShape.dim, "BF16", layer + 1, !shape.gated));
      list(file);
      list(norm_file);
    }
    folder_.Write("model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
    Random random(9);
    io::WriteArray(folder_ / "x.npy", {{2, kTokens / 2, kShape.dim}, RandomTokens(kShape, kTokens, &random)});
  }

  std::string PrefixOf(size_t layer) const { return layers_ + std::to_string(layer) + ".mlp"; }

  std::vector<std::string> Arguments(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"tower", "--weights", folder_.path(), "--input", folder_ / "x.npy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  Outcome Tower(const std::vector<std::string>& more) const { return Start(Arguments(more)); }

  // The bytes that `run` gives for layers [first, last], one after the other.
  std::string ByRun(size_t first, size_t last, const std::string& dtype) const {
    std::string input = "x.npy";
    for (size_t layer = first; layer <= last; ++layer) {
      const std::string output = "run" + std::to_string(layer) + ".npy";
      const Outcome outcome =
          Start({"run", "--weights", folder_.path(), "--layer", PrefixOf(layer), "--input", folder_ / input,
                 "--output", folder_ / output, "--dtype", dtype});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      input = output;
    }
    return ReadBytes(folder_ / input);
  }

  const std::string layers_;
  const TempFolder folder_;
  std::vector<TestBlock> blocks_;
  std::vector<TestNorm> norms_;
};

class GatedTowerCommandTest : public TowerCommandTest {
 protected:
  GatedTowerCommandTest() : GatedTowerCommandTest("post_attention_layernorm") {
    folder_.Write("config.json", R"({"model_type": "qwen2"})");
  }
  explicit GatedTowerCommandTest(const std::string& norm)
      : TowerCommandTest("model.layers.", kGatedShape, GatedAs("BF16", ""), norm) {}

  // Layers x + block(RMSNorm(x)) against the oracle, each on exactly the input that it was given.
  void ExpectMlpHalf(double eps, double weight_offset) const {
    std::string input = folder_ / "x.npy";
    for (size_t layer = 0; layer < kLayers; ++layer) {
      const std::string output = folder_ / ("y" + std::to_string(layer) + ".npy");
      const std::string number = std::to_string(layer);
      const Outcome outcome = Start({"tower", "--weights", folder_.path(), "--input", input, "--output",
                                     output, "--layers", number + ".." + number, "--norm", "--residual"});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_EQ(outcome.err, "");
      const Norm norm = {NormKind::kRmsNorm, norms_[layer].weight.data(), nullptr, DType::kF32, eps,
                         weight_offset};
      const std::vector<float> x = io::ReadArray(input).values, y = io::ReadArray(output).values;
      const auto bounds = BoundTransformerRows(blocks_[layer].weights(), norm, x.data(), kTokens);
      EXPECT_TRUE(MeasureErrors(bounds, y.data(), kTokens).Pass()) << "layer " << layer;
      input = output;
    }
  }
};

TEST_F(TowerCommandTest, GivesTheBitsOfItsBlocks) {
  const struct {
    std::vector<std::string> options;
    size_t first, last;
    const char* dtype;
  } cases[] = {{{}, 0, 2, "f32"},
               {{"--repeat", "3", "--threads", "1"}, 0, 2, "f32"},
               {{"--layers", "2"}, 0, 1, "f32"},
               {{"--layers", "1..2", "--family", "DeepSeek-OCR CLIP-L"}, 1, 2, "f32"},
               {{"--dtype", "int8"}, 0, 2, "int8"}};
  for (const auto& [options, first, last, dtype] : cases) {
    SCOPED_TRACE(testing::PrintToString(options));
    std::vector<std::string> all = {"--output", folder_ / "y.npy"};
    all.insert(all.end(), options.begin(), options.end());
    const Outcome outcome = Tower(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(ReadBytes(folder_ / "y.npy"), ByRun(first, last, dtype));
  }
}

TEST_F(GatedTowerCommandTest, GivesTheBitsOfItsBlocks) {
  for (const char* dtype : {"f32", "bf16", "int8"}) {
    const Outcome outcome = Tower({"--output", folder_ / "y.npy", "--dtype", dtype});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(ReadBytes(folder_ / "y.npy"), ByRun(0, kLayers - 1, dtype)) << dtype;
  }
}

// Each layer against the oracle, on exactly the input that it was given.
TEST_F(GatedTowerCommandTest, EveryLayerIsTheOracles) {
  std::vector<float> x = io::ReadArray(folder_ / "x.npy").values;
  for (size_t layer = 0; layer < kLayers; ++layer) {
    const Outcome outcome = Tower({"--output", folder_ / "y.npy", "--layers", std::to_string(layer + 1)});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::vector<double> want = ReferenceFfn(blocks_[layer].weights(), x.data(), kShape.dim, kTokens);
    x = io::ReadArray(folder_ / "y.npy").values;
    EXPECT_LE(RelativeL2(x, want), 2e-6) << "layer " << layer;
  }
}

// Each layer against the oracle, on exactly the input that it was given; then all of them in one go.
TEST_F(TowerCommandTest, IsTheMlpHalfOfATransformersLayers) {
  const std::vector<std::string> whole = {"--norm", "--residual", "--output", folder_ / "whole.npy"};
  const Outcome all = Tower(whole);
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_EQ(all.err, "");
  EXPECT_TRUE(
      Contains(all.out, "\n    behind LayerNorm 'layer_norm2', eps 1e-05\n    x added to each block"));
  std::string input = folder_ / "x.npy";
  for (size_t layer = 0; layer < kLayers; ++layer) {
    const std::string output = folder_ / ("y" + std::to_string(layer) + ".npy");
    const std::string number = std::to_string(layer);
    const Outcome outcome = Start({"tower", "--weights", folder_.path(), "--input", input, "--output", output,
                                   "--layers", number + ".." + number, "--layer-norm", "--residual"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const Norm norm = {NormKind::kLayerNorm, norms_[layer].weight.data(), norms_[layer].bias.data()};
    const std::vector<float> x = io::ReadArray(input).values, y = io::ReadArray(output).values;
    const auto bounds = BoundTransformerRows(blocks_[layer].weights(), norm, x.data(), kTokens);
    EXPECT_TRUE(MeasureErrors(bounds, y.data(), kTokens).Pass()) << "layer " << layer;
    input = output;
  }
  EXPECT_EQ(ReadBytes(folder_ / "whole.npy"), ReadBytes(input));
}

// One of the two, and an eps that is not the model's.
TEST_F(TowerCommandTest, TakesNormOrResidualAlone) {
  const std::vector<float> x = io::ReadArray(folder_ / "x.npy").values;
  const struct {
    std::vector<std::string> options;
    double eps;  // of the norm; negative: none
    bool residual;
  } cases[] = {{{"--residual"}, -1, true},
               {{"--layer-norm"}, 1e-5, false},
               {{"--norm", "--eps", "1e-5"}, 1e-5, false},
               {{"--layer-norm", "--eps", "0.5"}, 0.5, false}};
  for (const auto& [options, eps, residual] : cases) {
    SCOPED_TRACE(testing::PrintToString(options));
    std::vector<std::string> all = {"--output", folder_ / "y.npy", "--layers", "1"};
    all.insert(all.end(), options.begin(), options.end());
    const Outcome outcome = Tower(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, eps == 0.5 ? "fusedffn: warning: --eps 0.5, but the model has 1e-05\n" : "");
    const Norm norm = {NormKind::kLayerNorm, norms_[0].weight.data(), norms_[0].bias.data(), DType::kF32,
                       eps};
    std::vector<double> want;
    for (size_t t = 0; t < kTokens; ++t) {
      const float* row = &x[t * kShape.dim];
      const std::vector<double> normal =
          eps < 0 ? std::vector<double>(row, row + kShape.dim) : ReferenceNorm(norm, row, kShape.dim);
      std::vector<double> y = ReferenceFfn(blocks_[0].weights(), normal.data(), kShape.dim, 1);
      for (size_t n = 0; residual && n < kShape.dim; ++n) y[n] += double{row[n]};
      want.insert(want.end(), y.begin(), y.end());
    }
    EXPECT_LE(RelativeL2(io::ReadArray(folder_ / "y.npy").values, want), 2e-6);
  }
}

TEST_F(GatedTowerCommandTest, AppliesTheRmsNormOfTheModel) {
  const struct {
    const char* config;
    const char* told;
    double eps, weight_offset;
  } cases[] = {{R"({"model_type": "qwen2"})", "'post_attention_layernorm', eps 1e-06\n", 1e-6, 0},
               {R"({"model_type": "llama", "rms_norm_eps": 0.25})", "layernorm', eps 0.25\n", 0.25, 0},
               {R"({"model_type": "gemma", "hidden_act": "silu", "rms_norm_eps": 0.125})",
                "'post_attention_layernorm' (1 + weight), eps 0.125\n", 0.125, 1}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.config);
    folder_.Write("config.json", c.config);
    const Outcome outcome = Tower({"--norm", "--residual", "--output", folder_ / "whole.npy"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(Contains(outcome.out, std::string("    behind RMSNorm ")));
    EXPECT_TRUE(Contains(outcome.out, c.told)) << outcome.out;
    ExpectMlpHalf(c.eps, c.weight_offset);
    EXPECT_EQ(ReadBytes(folder_ / "whole.npy"), ReadBytes(folder_ / "y2.npy"));
    const Outcome alias = Tower({"--layer-norm", "--residual", "--output", folder_ / "alias.npy"});
    EXPECT_EQ(alias.exit_code, 0) << alias.err;
    EXPECT_EQ(ReadBytes(folder_ / "whole.npy"), ReadBytes(folder_ / "alias.npy"));
  }
}

TEST_F(GatedTowerCommandTest, GuessesNoNorm) {
  folder_.Write("config.json", R"({"model_type": "olmo2", "hidden_act": "silu", "rms_norm_eps": 1e-6})");
  ExpectComplaint(Tower({"--norm"}), 1, "a config.json beside the checkpoint must say, with a model_type");
  folder_.Write("config.json", R"({"model_type": "qwen2", "rms_norm_eps": [1e-6]})");
  ExpectComplaint(Tower({"--norm"}), 2, "the eps of the norm in front of block 'model.layers.0.mlp'");
  const Outcome given = Tower({"--norm", "--eps", "1e-6"});
  EXPECT_EQ(given.exit_code, 0) << given.err;
  EXPECT_EQ(given.err, "");
  const Outcome outcome = Tower({"--residual"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

// Which config.json says, for the residual, or for the blocks themselves.
TEST_F(GatedTowerCommandTest, LeavesNoTermOfTheConfigurationOut) {
  folder_.Write("config.json", R"({"model_type": "llama", "residual_multiplier": 0.22})");
  ExpectComplaint(Tower({"--norm", "--residual"}), 1,
                  "block 'model.layers.0.mlp': config.json has residual_multiplier");
  EXPECT_EQ(Tower({"--norm"}).exit_code, 0);
  folder_.Write("config.json", R"({"model_type": "llama", "activation_sparsity_pattern": [0, 0, 0.5]})");
  ExpectComplaint(Tower({"--norm"}), 1,
                  "block 'model.layers.2.mlp': config.json has activation_sparsity_pattern");
  EXPECT_EQ(Tower({"--layers", "2"}).exit_code, 0);
}

class TwoNormsTowerCommandTest : public GatedTowerCommandTest {
 protected:
  TwoNormsTowerCommandTest() : GatedTowerCommandTest("pre_feedforward_layernorm") {
    folder_.Write("config.json", R"({"model_type": "gemma2", "hidden_activation": "silu"})");
  }
};

// x + norm(block(norm(x))) is not to be had; the block behind its norm is.
TEST_F(TwoNormsTowerCommandTest, LeavesTheSecondOneOutWithAWordOnly) {
  ExpectComplaint(Tower({"--norm", "--residual"}), 1,
                  "the layers of Gemma 2 and 3 are x + norm(block(norm(x))): 'post_feedforward_layernorm'");
  const Outcome outcome = Tower({"--norm", "--layers", "1", "--output", folder_ / "y.npy"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out,
                       "    behind RMSNorm 'pre_feedforward_layernorm' (1 + weight), eps 1e-06\n"
                       "    'post_feedforward_layernorm', behind each block of the model, is left out\n"));
  const std::vector<float> x = io::ReadArray(folder_ / "x.npy").values;
  const Norm norm = {NormKind::kRmsNorm, norms_[0].weight.data(), nullptr, DType::kF32, 1e-6, 1};
  std::vector<double> want;
  for (size_t t = 0; t < kTokens; ++t) {
    const std::vector<double> normal = ReferenceNorm(norm, &x[t * kShape.dim], kShape.dim);
    const std::vector<double> y = ReferenceFfn(blocks_[0].weights(), normal.data(), kShape.dim, 1);
    want.insert(want.end(), y.begin(), y.end());
  }
  EXPECT_LE(RelativeL2(io::ReadArray(folder_ / "y.npy").values, want), 2e-6);
}

// The number in `text` where `pattern` has its group.
uint64_t NumberIn(const std::string& text, const std::string& pattern) {
  std::smatch match;
  EXPECT_TRUE(std::regex_search(text, match, std::regex(pattern))) << pattern << " in " << text;
  return match.empty() ? 0 : std::stoull(std::regex_replace(match[1].str(), std::regex(","), ""));
}

// What info says of a row for all layers.
uint64_t OfAllLayers(const Outcome& info, const std::string& row) {
  return NumberIn(info.out, "\n  " + row + " +[0-9,]+ +[0-9.]+ [A-Z]*B? *[A-Z]* +([0-9,]+)");
}

TEST_F(TowerCommandTest, AgreesWithInfo) {
  const Outcome info = Start({"info", "--dim", "31", "--hidden", "65", "--batch", "2", "--seq", "9",
                              "--layers", "3", "--dtype", "f32"});
  const Outcome tower = Tower({"--verbose"});
  EXPECT_EQ(tower.exit_code, 0) << tower.err;
  EXPECT_EQ(NumberIn(tower.out, "ms, ([0-9,]+) FLOP"),
            NumberIn(info.out, "fc1 \\+ fc2 .*FLOP +([0-9,]+) +[0-9.]+ [KMG]FLOP\n"));
  EXPECT_EQ(NumberIn(tower.out, "([0-9,]+) bytes of the checkpoint"),
            sizeof(float) * (OfAllLayers(info, "weights") + OfAllLayers(info, "biases")));
  EXPECT_EQ(NumberIn(tower.out, "([0-9,]+) bytes packed"),
            kLayers * NumberIn(info.out, "packed weights and biases, fp32, a block +([0-9,]+)"));
}

TEST_F(GatedTowerCommandTest, AgreesWithInfo) {
  const Outcome info = Start(
      {"info", "--dim", "31", "--hidden", "65", "--batch", "2", "--seq", "9", "--layers", "3", "--gated"});
  const Outcome tower = Tower({});
  EXPECT_EQ(tower.exit_code, 0) << tower.err;
  EXPECT_TRUE(Contains(tower.out, " 3 layers of 31 -> 65 gated -> 31, BF16, silu\n"));
  EXPECT_EQ(NumberIn(tower.out, "ms, ([0-9,]+) FLOP"), OfAllLayers(info, "fc1 \\+ up \\+ fc2"));
  EXPECT_EQ(NumberIn(tower.out, "([0-9,]+) bytes of the checkpoint"), 2 * OfAllLayers(info, "weights"));
}

TEST_F(TowerCommandTest, PrintsWhatItRan) {
  const Outcome outcome = Tower({"--verbose", "--threads", "1", "--layers", "1..2"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::regex lines(
      R"('model\.vision_model\.transformer\.layers\.\{1\.\.2\}\.mlp'
    DeepSeek-OCR CLIP-L: 2 layers of 31 -> 65 -> 31, F32, quick_gelu
    of 3 layers in the checkpoint
    [0-9,]+ bytes of the checkpoint, [0-9,]+ bytes packed, loaded in [0-9.]+ s
\[2, 9, 31\], [A-Z0-9_]+, f32, 1 thread
    'model\.vision_model\.transformer\.layers\.1\.mlp': [0-9.]+ ms
    'model\.vision_model\.transformer\.layers\.2\.mlp': [0-9.]+ ms
    a layer: min [0-9.]+ ms, median [0-9.]+ ms, max [0-9.]+ ms
    total: best [0-9.]+ ms, median [0-9.]+ ms, [0-9,]+ FLOP, [0-9.]+ GFLOP/s, [0-9.]+ % of peak, [0-9.]+ % of its tile
    peak memory [0-9,]+ bytes
)");
  EXPECT_TRUE(std::regex_match(outcome.out, lines)) << outcome.out;
}

TEST_F(TowerCommandTest, AutoTakesTheFastestPrecisionOfAllLayers) {
  const auto expect = [&](const char* dtype, const PrecisionChoice& choice) {
    SCOPED_TRACE(dtype);
    const Outcome outcome = Tower({"--dtype", dtype});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string line = AutomaticLine(dtype, choice, kTokens);
    EXPECT_EQ(outcome.out.substr(0, line.size()), line);
    EXPECT_TRUE(Contains(outcome.out, std::string(", ") + PrecisionName(choice.precision) + ", "));
  };
  for (const auto& [dtype, accuracy] : kAutomaticDTypes) {
    expect(dtype, FastestPrecision(accuracy, DType::kF32, nullptr, kTokens));
  }
  const auto rewrite = [&](size_t layer) {
    WriteCheckpoint(folder_ / (std::to_string(layer) + ".safetensors"), PrefixOf(layer), kShape,
                    {"BF16", "BF16", "BF16", "BF16"}, layer + 1);
  };
  rewrite(0), rewrite(1);  // and one is F32
  expect("auto", FastestPrecision(Accuracy::kF32Like, DType::kF32, nullptr, kTokens));
  rewrite(2);
  expect("auto", FastestPrecision(Accuracy::kF32Like, DType::kBF16, nullptr, kTokens));
}

TEST_F(TowerCommandTest, NoTokens) {
  io::WriteArray(folder_ / "x.npy", {{0, kShape.dim}, {}});
  const Outcome outcome = Tower({"--output", folder_ / "y.npy"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out, " 0 FLOP, 0.0 GFLOP/s, 0.0 % of peak, 0.0 % of its tile\n"));
  EXPECT_EQ(ReadBytes(folder_ / "y.npy"), ReadBytes(folder_ / "x.npy"));
}

// Weights are read a strip at a time: at its largest the process holds little more than they take packed.
TEST_F(TowerCommandTest, HoldsOnePackedCopy) {
  constexpr Shape kLarge = {512, 4096, 512};
  WriteCheckpoint(folder_ / "large.safetensors", PrefixOf(0), kLarge, {});
  Random random(9);
  io::WriteArray(folder_ / "x.npy", {{1, kLarge.dim}, RandomTokens(kLarge, 1, &random)});
  const auto peak = [&](const std::string& weights, const std::string& input) {
    const Outcome outcome = Start({"tower", "--weights", folder_ / weights, "--family", "DeepSeek-OCR CLIP-L",
                                   "--input", folder_ / input, "--threads", "1"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return NumberIn(outcome.out, "peak memory ([0-9,]+) bytes");
  };
  io::WriteArray(folder_ / "small.npy", {{1, kShape.dim}, std::vector<float>(kShape.dim)});
  const uint64_t packed = 2 * kLarge.dim * kLarge.hidden * sizeof(float);
  EXPECT_LT(peak("large.safetensors", "x.npy"), peak("0.safetensors", "small.npy") + packed * 3 / 2);
}

// With a terminal for stderr.
TEST_F(TowerCommandTest, DrawsProgressOnATerminalOnly) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) GTEST_SKIP() << "no terminals here";
  const std::string script = "exec \"$0\" \"$@\" 2> " + std::string(ptsname(terminal));
  std::vector<std::string> in_shell = {"/bin/sh", "-c", script};
  in_shell.insert(in_shell.end(), kProgram.begin(), kProgram.end());
  const Outcome outcome = Start(Arguments({}), in_shell);
  EXPECT_EQ(outcome.exit_code, 0);
  std::string drawn(4096, '\0');
  drawn.resize(static_cast<size_t>(std::max<ssize_t>(read(terminal, drawn.data(), drawn.size()), 0)));
  close(terminal);
  EXPECT_TRUE(Contains(drawn, "loading [------------------------------] 0 B of 49.51 KB, "));
  EXPECT_TRUE(Contains(drawn, "[##############################] 49.51 KB of 49.51 KB, "));
  EXPECT_EQ(drawn.substr(drawn.size() - 4), "\r\x1b[K");  // nothing of it is left
}

TEST_F(TowerCommandTest, RefusesWhatItCannotRun) {
  io::WriteArray(folder_ / "wide.npy", {{4, 32}, std::vector<float>(128)});
  const std::map<std::string, std::string> before = folder_.Contents();
  const struct {
    std::vector<std::string> options;
    int exit_code;
    const char* message;
  } cases[] = {
      {{"--layers", "0"}, 2, "--layers: must be N, the first N layers, or A..B, with A not above B, and not"},
      {{"--layers", "2..1"}, 2, "--layers: must be N"},
      {{"--layers", "1.."}, 2, "not '1..'"},
      {{"--layers", "..1"}, 2, "not '..1'"},
      {{"--layers", ".."}, 2, "not '..'"},
      {{"--layers", "1.2"}, 2, "not '1.2'"},
      {{"--layers", "0..1..2"}, 2, "not '0..1..2'"},
      {{"--layers", "-1..2"}, 2, "not '-1..2'"},
      {{"--layers", "4"}, 1, "there are no 4 layers; there are 3 layers, from 0 to 2"},
      {{"--family", "BERT"}, 1, "there is no family 'BERT'; there is 'model.vision_model.transformer.la"},
      {{"--input", folder_ / "wide.npy"}, 2, "--input"},  // twice
      {{"--output", folder_ / "x.npy"}, 2, "is the file of --input"},
      {{"--output", folder_ / "1.safetensors"}, 2, "is the file of --weights"},
      {{"--output", folder_ / "none/y.npy"}, 1, "cannot write to its folder"},
      {{"--threads", "0"}, 2, "--threads: must be a whole number"},
      {{"--dtype", "int4"}, 2, "--dtype: must be f32"},
      {{"--dtype", "auto:x"}, 2, "auto:f32, auto:bf16 or auto:int8, not 'auto:x'"},
      {{"--layer-norm", "--eps", "-1e-5"},
       2,
       "--eps: must be a finite number of at least 0, and not '-1e-5'"},
      {{"--layer-norm", "--eps", "nan"}, 2, "--eps: must be a finite number"},
      {{"--layer-norm", "--eps", "inf"}, 2, "--eps: must be a finite number"},
      {{"--layer-norm", "--eps", "1e-5x"}, 2, "--eps: must be a finite number"},
      {{"--eps", "1e-5"}, 2, "--eps requires --norm"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.message);
    ExpectComplaint(Tower(bad.options), bad.exit_code, bad.message);
    EXPECT_EQ(folder_.Contents(), before);
  }
  ExpectComplaint(Start({"tower", "--weights", folder_.path(), "--input", folder_ / "wide.npy"}), 1,
                  "shape [4, 32] is not accepted; this block takes [tokens, 31]");
}

}  // namespace
}  // namespace fusedffn
