// The program from outside: what it computes, what it prints, and that wrong usage and bad files end in one
// line, the right exit code, and every file as it was.
#include "tests/program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "fusedffn/fusedffn.h"
#include "src/files/array_file.h"
#include "src/files/safetensors.h"
#include "tests/activations.h"
#include "tests/compare.h"
#include "tests/reference.h"
#include "tests/targets.h"
#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn {
namespace {

namespace fs = std::filesystem;

using Options = std::map<std::string, std::string>;
constexpr const char* kAbsent = "(absent)";

constexpr Shape kShape = {5, 7, 3};
const char* const kOld = "what the output file held before";

// A folder with a checkpoint, an input, an old output, and much that cannot be used.
class ProgramTest : public testing::Test {
 protected:
  ProgramTest() {
    block_ = WriteCheckpoint(folder_ / "good.safetensors", "m", kShape, {"BF16", "BF16", "BF16", "BF16"});
    Random random(2);
    x_ = {{4, kShape.dim}, RandomTokens(kShape, 4, &random)};
    io::WriteArray(folder_ / "x.npy", x_);
    folder_.Write("old.npy", kOld);
  }

  // Arguments of `run` with some options changed or left out. Names of files are in the test's folder.
  std::vector<std::string> RunArguments(const Options& changes) const {
    Options options = {{"--weights", "good.safetensors"},
                       {"--layer", "m"},
                       {"--activation", "quick_gelu"},
                       {"--input", "x.npy"},
                       {"--output", "new.npy"}};
    for (const auto& [name, value] : changes) options[name] = value;
    std::vector<std::string> arguments = {"run"};
    for (const auto& [name, value] : options) {
      if (value == kAbsent) continue;
      const bool file = name == "--weights" || name == "--input" || name == "--output";
      arguments.push_back(name);
      arguments.push_back(file ? folder_ / value : value);
    }
    return arguments;
  }

  Outcome Run(const Options& changes) const { return Start(RunArguments(changes)); }

  // Compares an output file with the double-precision oracle.
  void ExpectResult(const std::string& name, const TestBlock& block, const io::Array& x) const {
    const io::Array y = io::ReadArray(folder_ / name);
    io::Dims want_shape = x.shape;
    want_shape.back() = block.shape.out;
    ASSERT_EQ(y.shape, want_shape);
    const size_t tokens = x.values.size() / block.shape.dim;
    const std::vector<double> want = ReferenceFfn(block.weights(), x.values.data(), block.shape.dim, tokens);
    EXPECT_LE(RelativeL2(y.values, want), 2e-6);
  }

  TempFolder folder_;
  TestBlock block_;
  io::Array x_;
};

struct BadRun {
  const char* name;
  Options changes;
  const char* message;  // a part of it
};

class BadRunTest : public ProgramTest {
 protected:
  // Each once where the output does not exist, and once where it does.
  void ExpectRefused(const std::vector<BadRun>& bad_runs, int exit_code) const {
    const std::map<std::string, std::string> before = folder_.Contents();
    for (const BadRun& bad : bad_runs) {
      for (const char* output : {"new.npy", "old.npy"}) {
        SCOPED_TRACE(std::string(bad.name) + ", to " + output);
        Options changes = bad.changes;
        changes.try_emplace("--output", output);
        ExpectComplaint(Run(changes), exit_code, bad.message);
        EXPECT_EQ(folder_.Contents(), before);
      }
    }
  }
};

TEST_F(BadRunTest, Options) {
  ExpectRefused(
      {
          {"no weights", {{"--weights", kAbsent}}, "--weights is required ('fusedffn run --help' says"},
          {"no layer", {{"--layer", kAbsent}}, "--layer is required"},
          {"no input", {{"--input", kAbsent}}, "--input is required"},
          {"no output", {{"--output", kAbsent}}, "--output is required"},
          {"no activation",
           {{"--activation", kAbsent}},
           "block 'm' is not known: its names are of no known family, and there is no config.json beside it; "
           "give"},
          {"no threads", {{"--threads", "0"}}, "--threads: must be a whole number from 1 to 65536, not '0'"},
          {"minus one thread", {{"--threads", "-1"}}, "must be a whole number from 1 to 65536, not '-1'"},
          {"threads in words", {{"--threads", "two"}}, "must be a whole number from 1 to 65536, not 'two'"},
          {"half a thread", {{"--threads", "1.5"}}, "must be a whole number from 1 to 65536, not '1.5'"},
          {"threads and a letter", {{"--threads", "2x"}}, "must be a whole number from 1 to 65536"},
          {"threads after a space", {{"--threads", " 2"}}, "must be a whole number from 1 to 65536"},
          {"too many threads", {{"--threads", "65537"}}, "must be a whole number from 1 to 65536"},
          {"2^64 threads", {{"--threads", "18446744073709551616"}}, "must be a whole number from 1 to 65536"},
          {"a group of no int8",
           {{"--int8-group", "128"}},
           "--int8-group 128 is of int8, and the weights are kept as f32; leave it out, or give --dtype "
           "int8"},
          {"a group of bf16",
           {{"--int8-group", "1152"}, {"--dtype", "bf16"}},
           "--int8-group 1152 is of int8, and the weights are kept as bf16"},
          {"a group, and f32 by auto",
           {{"--int8-group", "128"}, {"--dtype", "auto:f32"}},
           "--int8-group 128 is of int8, and the weights are kept as "},
          {"never", {{"--repeat", "0"}}, "--repeat: must be a whole number from 1 to 1000000, not '0'"},
          {"minus three times", {{"--repeat", "-3"}}, "--repeat: must be a whole number from 1 to 1000000"},
          {"too often", {{"--repeat", "1000001"}}, "--repeat: must be a whole number from 1 to 1000000"},
          {"unknown target",
           {{"--isa", "avx9"}},
           "--isa: target 'avx9' is unknown, or not compiled in; these run"},
          {"empty target",
           {{"--isa", ""}},
           "--isa: target '' is unknown, or not compiled in; these run here: "},
          {"target and a space", {{"--isa", "avx2 "}}, "'avx2 ' is unknown, or not compiled in"},
          {"two targets", {{"--isa", "avx2,avx3"}}, "is unknown, or not compiled in"},
          {"control characters", {{"--isa", "\x1b[2J\n"}}, "target '?[2J?' is unknown"},
          {"other dtype",
           {{"--dtype", "int4"}},
           "--dtype: must be f32, bf16, bf16-dot, int8, bf16-x3, auto, auto:f32, auto:bf16 or auto:int8, not "
           "'int4'"},
          {"other accuracy", {{"--dtype", "auto:x"}}, "auto:f32, auto:bf16 or auto:int8, not 'auto:x'"},
          {"no accuracy", {{"--dtype", "auto:"}}, "auto:f32, auto:bf16 or auto:int8, not 'auto:'"},
          {"accuracy of a product", {{"--dtype", "auto:bf16-dot"}}, "or auto:int8, not 'auto:bf16-dot'"},
          {"unknown activation",
           {{"--activation", "swish"}},
           "--activation: must be quick_gelu, gelu, gelu_tanh, silu, relu, relu2, identity or hardswish, not "
           "'swish'"},
          {"activation in capitals", {{"--activation", "GELU"}}, "or hardswish, not 'GELU'"},
          {"input of another kind",
           {{"--input", "x.txt"}},
           "--input: must end in .npy or .safetensors, not '"},
          {"input in capitals", {{"--input", "x.NPY"}}, "--input: must end in .npy or .safetensors"},
          {"output of another kind", {{"--output", "y.npz"}}, "--output: must end in .npy or .safetensors"},
          {"unknown option", {{"--device", "gpu"}}, "not expected: "},
          {"option without a value", {{"--threads", "--repeat"}}, "--threads"},
      },
      2);
}

TEST_F(BadRunTest, OutputOntoAnInput) {
  fs::create_symlink("x.npy", folder_ / "link.npy");
  fs::create_hard_link(folder_ / "x.npy", folder_ / "same.npy");
  ExpectRefused(
      {
          {"the input", {{"--output", "x.npy"}}, "is the file of --input; it must be another one"},
          {"by another path", {{"--output", "./x.npy"}}, "is the file of --input"},
          {"by a symbolic link", {{"--output", "link.npy"}}, "is the file of --input"},
          {"by a hard link", {{"--output", "same.npy"}}, "is the file of --input"},
          {"the weights",
           {{"--output", "good.safetensors"}},
           "is the file of --weights; it must be another one"},
      },
      2);
}

TEST_F(BadRunTest, Shards) {
  SplitIntoShards(folder_ / "good.safetensors", folder_.path());
  const char* index = "model.safetensors.index.json";
  ExpectRefused(
      {{"a shard", {{"--weights", index}, {"--output", "1.safetensors"}}, "is the file of --weights"}}, 2);
  fs::remove(folder_ / "1.safetensors");
  ExpectRefused({{"no shard",
                  {{"--weights", index}},
                  "should be in '1.safetensors', and there is no such file beside the index"}},
                1);
  folder_.Write(index, "{");
  ExpectRefused({{"no JSON", {{"--weights", index}}, "not valid JSON at its byte 2"}}, 1);
}

TEST_F(BadRunTest, Weights) {
  const std::string good = ReadBytes(folder_ / "good.safetensors");
  fs::create_directory(folder_ / "folder.safetensors");
  folder_.Write("empty.safetensors", "");
  folder_.Write("cut.safetensors", good.substr(0, good.size() - 1));
  folder_.Write("long.safetensors", good + "x");
  folder_.Write("huge.safetensors", LittleEndian(uint64_t{1} << 60, 8) + "{}");
  WriteCheckpoint(folder_ / "two.safetensors", "n", {5, 8, 3}, {});
  const std::vector<float> zeros(64);
  io::WriteSafetensors(folder_ / "f64.safetensors", {{"m.fc1.weight", "F64", {4, 5}, zeros.data()}});
  io::WriteSafetensors(folder_ / "swapped.safetensors", {{"m.fc1.weight", "F32", {4, 5}, zeros.data()},
                                                         {"m.fc2.weight", "F32", {4, 5}, zeros.data()}});
  ExpectRefused(
      {
          {"none",
           {{"--weights", "none.safetensors"}},
           "none.safetensors: cannot open: No such file or directory"},
          {"folder",
           {{"--weights", "folder.safetensors"}},
           "folder.safetensors: a folder with neither model.safetensors.index.json nor"},
          {"empty", {{"--weights", "empty.safetensors"}}, "0 bytes are too few for a safetensors file"},
          {"another format", {{"--weights", "x.npy"}}, "not a safetensors file"},
          {"cut", {{"--weights", "cut.safetensors"}}, "truncated: the header describes"},
          {"too long", {{"--weights", "long.safetensors"}}, "bytes after the last tensor"},
          {"huge header", {{"--weights", "huge.safetensors"}}, "100000000 are the most"},
          {"doubles",
           {{"--weights", "f64.safetensors"}},
           "is of dtype 'F64'; accepted are F32, BF16 and F16"},
          {"swapped", {{"--weights", "swapped.safetensors"}}, "must be [hidden, dim] and [out, hidden]"},
          {"other prefix",
           {{"--layer", "n"}},
           "there is no block 'n'; there is 1, the first of which is 'm'"},
          {"prefix and a dot", {{"--layer", "m."}}, "there is no block 'm.'; there is 1"},
          {"prefix and more", {{"--layer", "m.fc1"}}, "there is no block 'm.fc1'; there is 1"},
          {"empty prefix", {{"--layer", ""}}, "there is no block ''; there is 1"},
          {"prefix of another file", {{"--weights", "two.safetensors"}}, "the first of which is 'n'"},
      },
      1);
}

TEST_F(BadRunTest, Input) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 5), }\n";
  const auto shaped = [&](const char* name, const io::Dims& shape) {
    io::WriteArray(folder_ / name, {shape, std::vector<float>(*io::ElementCount(shape))});
  };
  fs::create_directory(folder_ / "folder.npy");
  folder_.Write("empty.npy", "");
  folder_.Write("text.npy", "1.0 2.0 3.0 4.0 5.0\n");
  folder_.Write("cut.npy", ReadBytes(folder_ / "x.npy").substr(0, 200));
  folder_.Write("long.npy", ReadBytes(folder_ / "x.npy") + "x");
  folder_.Write("f8.npy",
                NpyBytes(std::regex_replace(header, std::regex("f4"), "f8"), std::string(160, '\0')));
  folder_.Write("order.npy",
                NpyBytes(std::regex_replace(header, std::regex("False"), "True"), std::string(80, '\0')));
  shaped("scalar.npy", {});
  shaped("vector.npy", {5});
  shaped("four.npy", {1, 1, 4, 5});
  shaped("wide.npy", {4, 6});
  shaped("narrow.npy", {5, 4});
  shaped("none.npy", {4, 0});
  shaped("wide.safetensors", {4, 6});
  io::WriteSafetensors(folder_ / "bf16.safetensors", {{"x", "BF16", {8, 5}, x_.values.data()}});
  io::WriteSafetensors(folder_ / "no.safetensors", {});
  ExpectRefused(
      {
          {"none", {{"--input", "nothing.npy"}}, "nothing.npy: cannot open: No such file or directory"},
          {"folder", {{"--input", "folder.npy"}}, "folder.npy: not a regular file"},
          {"empty", {{"--input", "empty.npy"}}, "0 bytes are too few for a .npy file"},
          {"text", {{"--input", "text.npy"}}, "not a .npy file"},
          {"cut", {{"--input", "cut.npy"}}, "72 bytes follow the header, but shape [4, 5] takes 80"},
          {"too long", {{"--input", "long.npy"}}, "81 bytes follow the header, but shape [4, 5] takes 80"},
          {"doubles", {{"--input", "f8.npy"}}, "only '<f4' (little-endian float32) is"},
          {"Fortran order", {{"--input", "order.npy"}}, "only C order is accepted"},
          {"scalar",
           {{"--input", "scalar.npy"}},
           "shape [] is not accepted; this block takes [tokens, 5] or [batch,"},
          {"one dimension", {{"--input", "vector.npy"}}, "shape [5] is not accepted"},
          {"four dimensions", {{"--input", "four.npy"}}, "shape [1, 1, 4, 5] is not accepted"},
          {"too wide",
           {{"--input", "wide.npy"}},
           "shape [4, 6] is not accepted; this block takes [tokens, 5]"},
          {"transposed", {{"--input", "narrow.npy"}}, "shape [5, 4] is not accepted"},
          {"no columns", {{"--input", "none.npy"}}, "shape [4, 0] is not accepted"},
          {"too wide tensor", {{"--input", "wide.safetensors"}}, "shape [4, 6] is not accepted"},
          {"bf16 tensor",
           {{"--input", "bf16.safetensors"}},
           "tensor 'x' is of dtype 'BF16'; an array must be F32"},
          {"no tensor", {{"--input", "no.safetensors"}}, "holds 0 tensors; an array's file must hold one"},
          {"many tensors",
           {{"--input", "good.safetensors"}},
           "holds 4 tensors; an array's file must hold one"},
      },
      1);
}

TEST_F(BadRunTest, Output) {
  fs::create_directory(folder_ / "folder.npy");
  ExpectRefused(
      {
          {"folder", {{"--output", "folder.npy"}}, "folder.npy: exists and is not a regular file"},
          {"in no folder", {{"--output", "none/y.npy"}}, "cannot write to its folder"},
          {"in a file", {{"--output", "x.npy/y.npy"}}, "cannot write to its folder"},
          {"too long a name", {{"--output", std::string(300, 'y') + ".npy"}}, "File name too long"},
      },
      1);
}

TEST_F(ProgramTest, BadCommands) {
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    const char* message;
  } cases[] = {
      {{},
       2,
       "a subcommand is required: run, tower, quantize, inspect or info ('fusedffn --help' says what is "
       "accepted)"},
      {{"train"}, 2, "not expected: train"},
      {{"--threads", "2"}, 2, "not expected: "},
      {{"run"}, 2, "is required ('fusedffn run --help' says"},
      {{"run", "inspect"}, 2, "fusedffn: "},
      {{"inspect"}, 2, "PATH is required ('fusedffn inspect --help' says"},
      {{"inspect", folder_ / "good.safetensors", "more"}, 2, "not expected: more"},
      {{"inspect", folder_ / "good.safetensors", "--tokens", "0"},
       2,
       "--tokens: must be a whole number from 1"},
      {{"inspect", folder_ / "good.safetensors", "--tokens", "18446744073709551615"},
       2,
       "figures above 2^64 - 1, the most that is accepted"},
      {{"inspect", folder_ / "none"}, 1, "none: cannot open: No such file or directory"},
      {{"inspect", folder_.path()}, 1, "a folder with neither"},
      {{"inspect", folder_ / "x.npy"}, 1, "not a safetensors file"},
      {{"inspect", "/dev/zero"}, 1, "/dev/zero: not a regular file"},
      {{"info", "--dim", "0"}, 2, "--dim: must be a whole number from 1 to 18446744073709551615, not '0'"},
      {{"info", "--hidden", "-1"}, 2, "--hidden: must be a whole number from 1"},
      {{"info", "--out", "1e3"}, 2, "--out: must be a whole number from 1"},
      {{"info", "--batch", "x"}, 2, "--batch: must be a whole number from 1"},
      {{"info", "--seq", ""}, 2, "--seq: must be a whole number from 1"},
      {{"info", "--layers", "18446744073709551616"}, 2, "--layers: must be a whole number from 1"},
      {{"info", "--layers", "18446744073709551615"}, 2, "figures above 2^64 - 1, the most that is accepted"},
      {{"info", "--seq", "18446744073709551615", "--batch", "2"}, 2, "figures above 2^64 - 1"},
      {{"info", "--dtype", "int8"}, 2, "--dtype: must be f32, bf16 or f16, not 'int8'"},
      {{"info", "more"}, 2, "not expected: more ('fusedffn info --help' says what is accepted)"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.message);
    ExpectComplaint(Start(bad.arguments), bad.exit_code, bad.message);
  }
}

TEST_F(BadRunTest, DotWhereThereIsNone) {
  const std::string baseline = SupportedTargets().back();
  const std::string message = baseline + " has no bf16 dot-product instruction";
  ExpectRefused({{baseline.c_str(), {{"--dtype", "bf16-dot"}, {"--isa", baseline}}, message.c_str()}}, 2);
}

TEST_F(BadRunTest, ThreePiecesWhereThereIsNoAmx) {
  const std::string baseline = SupportedTargets().back();
  ExpectRefused({{baseline.c_str(), {{"--dtype", "bf16-x3"}, {"--isa", baseline}}, "kBF16x3 needs AMX: "}},
                2);
}

TEST_F(BadRunTest, TargetAboveTheHardware) {
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    if (targets[i].supported) continue;
    const std::string message = std::string(targets[i].name) +
                                "' is not supported by this CPU; these run here: " + SupportedTargets()[0];
    ExpectRefused({{targets[i].name, {{"--isa", targets[i].name}}, message.c_str()}}, 2);
  }
}

// A limit on file sizes fails like a full disk. Messages go round it, through a pipe.
TEST_F(ProgramTest, FullDisk) {
  const char* const script = R"({ (ulimit -f 0; exec "$0" "$@") 2>&1; echo "exit $?"; } | cat >&2)";
  const auto before = folder_.Contents();
  for (const char* output : {"new.npy", "old.npy", "new.safetensors"}) {
    std::vector<std::string> in_shell = {"/bin/sh", "-c", script};
    in_shell.insert(in_shell.end(), kProgram.begin(), kProgram.end());
    const std::string want = "fusedffn: " + (folder_ / output) + ": cannot write: File too large\nexit 1\n";
    EXPECT_EQ(Start(RunArguments({{"--output", output}}), in_shell).err, want);
    EXPECT_EQ(folder_.Contents(), before);
  }
}

TEST_F(ProgramTest, FullStandardOutput) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"inspect", folder_ / "good.safetensors"}}) {
    ExpectComplaint(Start(arguments, kProgram, "/dev/full"), 1, "cannot write to standard output");
  }
}

// What is printed of an output file that is there does not make it a failure.
TEST_F(ProgramTest, WhatCannotBePrintedDoesNotLoseTheOutput) {
  Start(RunArguments({}));
  const std::string want = ReadBytes(folder_ / "new.npy");
  std::filesystem::remove(folder_ / "new.npy");
  const auto full = Start(RunArguments({}), kProgram, "/dev/full");
  EXPECT_EQ(full.exit_code, 0);
  EXPECT_NE(full.err.find("warning: the output file is written, but not all was printed"), std::string::npos);
  EXPECT_EQ(ReadBytes(folder_ / "new.npy"), want);
}

TEST_F(ProgramTest, ClosedAndFullStandardError) {
  for (const char* redirected : {"exec \"$0\" \"$@\" 2>&-", "exec \"$0\" \"$@\" 2>/dev/full"}) {
    std::vector<std::string> in_shell = {"/bin/sh", "-c", redirected};
    in_shell.insert(in_shell.end(), kProgram.begin(), kProgram.end());
    EXPECT_EQ(Start(RunArguments({{"--activation", "gelu"}}), in_shell).exit_code, 0) << "a warning";
    EXPECT_EQ(Start(RunArguments({{"--layer", "nowhere"}}), in_shell).exit_code, 1);
    EXPECT_EQ(Start({"nonsense"}, in_shell).exit_code, 2);
  }
}

TEST_F(ProgramTest, RunsEveryDTypeWithAndWithoutBias) {
  const StoredAs cases[] = {{"F32", "F32", "F32", "F32"}, {"BF16", "BF16", "BF16", "BF16"},
                            {"F16", "F16", "F16", "F16"}, {"BF16", "", "BF16", ""},
                            {"F32", "F32", "F32", ""},    {"F16", "", "F32", "BF16"}};
  const Shape shape = {129, 260, 65};
  Random random(3);
  const io::Array x = {{2, 9, shape.dim}, RandomTokens(shape, 18, &random)};
  io::WriteArray(folder_ / "x.npy", x);
  for (const StoredAs& stored_as : cases) {
    SCOPED_TRACE(std::string(stored_as.weight1) + "," + stored_as.bias1 + "," + stored_as.weight2 + "," +
                 stored_as.bias2);
    const TestBlock block = WriteCheckpoint(folder_ / "w.safetensors", "a.b.mlp", shape, stored_as);
    const Outcome outcome = Run({{"--weights", "w.safetensors"}, {"--layer", "a.b.mlp"}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    ExpectResult("new.npy", block, x);
  }
}

// By the index, and by the folder that it is in.
TEST_F(ProgramTest, RunsABlockInTwoShards) {
  SplitIntoShards(folder_ / "good.safetensors", folder_.path());
  for (const char* weights : {"model.safetensors.index.json", ""}) {
    const Outcome outcome = Run({{"--weights", weights}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    ExpectResult("new.npy", block_, x_);
    const Outcome inspected = Start({"inspect", folder_ / weights});
    EXPECT_TRUE(Contains(inspected.out, "1 usable block, 132 bytes, among 4 tensors\n")) << inspected.err;
  }
}

TEST_F(ProgramTest, RunsInBF16) {
  const Outcome outcome = Run({{"--dtype", "bf16"}, {"--threads", "1"}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out, ", bf16, 1 thread, "));
}

TEST_F(ProgramTest, AutoTakesTheFastestPrecision) {
  const auto expect = [&](const std::string& isa, DType weights, const char* dtype, Accuracy accuracy) {
    SCOPED_TRACE(testing::Message() << dtype << ", weights " << static_cast<int>(weights) << ", " << isa);
    const PrecisionChoice choice = FastestPrecision(accuracy, weights, isa.c_str(), 4);
    const Outcome outcome = Run({{"--weights", "w.safetensors"}, {"--isa", isa}, {"--dtype", dtype}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string line = AutomaticLine(dtype, choice, 4);
    EXPECT_EQ(outcome.out.substr(0, line.size()), line);
    EXPECT_TRUE(Contains(outcome.out.substr(line.size()),
                         std::string(", ") + PrecisionName(choice.precision) + ", "));
  };
  const struct {
    StoredAs stored_as;
    DType weights;
  } checkpoints[] = {{{"F32", "F32", "F32", "F32"}, DType::kF32},
                     {{"BF16", "F32", "BF16", "F32"}, DType::kBF16},
                     {{"F16", "F16", "F16", "F16"}, DType::kF16},
                     {{"BF16", "BF16", "F32", "BF16"}, DType::kF32}};
  for (const auto& [stored_as, weights] : checkpoints) {
    WriteCheckpoint(folder_ / "w.safetensors", "m", kShape, stored_as);
    for (const auto& [dtype, accuracy] : kAutomaticDTypes) {
      expect(SupportedTargets().front(), weights, dtype, accuracy);
    }
    expect(SupportedTargets().back(), weights, "auto:int8", Accuracy::kInt8Like);
  }
}

// What the names of a block and config.json say, and what was given.
TEST_F(ProgramTest, ChoosesTheActivation) {
  const char* const deepseek = "model.vision_model.transformer.layers.0.mlp";
  const char* const siglip = "vision_model.encoder.layers.0.mlp";
  const char* const config =
      R"({"model_type": "siglip", "vision_config": {"model_type": "siglip_vision_model"}})";
  const struct {
    const char* layer;
    const char* config;
    const char* given;
    Activation activation;
    std::string warning;
  } cases[] = {
      {deepseek, "{}", kAbsent, Activation::kQuickGelu, ""},
      {deepseek, "no JSON", kAbsent, Activation::kQuickGelu, ""},
      {siglip, config, kAbsent, Activation::kGeluTanh, ""},
      {siglip, config, "gelu_tanh", Activation::kGeluTanh, ""},
      {siglip, "no JSON", "gelu", Activation::kGelu, ""},
      {siglip, config, "gelu", Activation::kGelu,
       "fusedffn: warning: --activation gelu, but the block has gelu_tanh: config.json's model_type says "
       "so\n"},
      {deepseek, "{}", "silu", Activation::kSilu,
       "fusedffn: warning: --activation silu, but the block has quick_gelu: its names say so\n"},
  };
  for (const auto& choice : cases) {
    SCOPED_TRACE(std::string(choice.layer) + " " + choice.config + " " + choice.given);
    TestBlock block = WriteCheckpoint(folder_ / "w.safetensors", choice.layer, kShape, {});
    block.activation = choice.activation;
    folder_.Write("config.json", choice.config);
    const Outcome outcome =
        Run({{"--weights", "w.safetensors"}, {"--layer", choice.layer}, {"--activation", choice.given}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, choice.warning);
    EXPECT_TRUE(Contains(outcome.out, std::string("-> 3, ") + ActivationName(choice.activation) + ", "));
    ExpectResult("new.npy", block, x_);
  }
}

TEST_F(BadRunTest, ActivationNotKnown) {
  WriteCheckpoint(folder_ / "good.safetensors", "visual.transformer.resblocks.0.mlp", kShape,
                  {"F32", "F32", "F32", "F32", "c_fc", "c_proj"});
  const Options options = {{"--layer", "visual.transformer.resblocks.0.mlp"}, {"--activation", kAbsent}};
  const std::string names =
      "'visual.transformer.resblocks.0.mlp' is not known: its names are those of OpenAI CLIP image tower "
      "(quick_gelu) or "
      "open_clip image tower (gelu), and ";
  ExpectRefused(
      {{"no config", options, (names + "there is no config.json beside it; give --activation").c_str()}}, 2);
  folder_.Write("config.json", R"({"hidden_act": "gelu"})");
  ExpectRefused({{"another's", options, (names + "config.json does not say; give --activation").c_str()}}, 2);
  folder_.Write("config.json", "{");
  ExpectRefused({{"bad config", options, "config.json: not valid JSON at its byte 2; give --activation"}}, 2);
  folder_.Write("config.json", R"({"vision_config": {"hidden_act": "mish"}})");
  ExpectRefused(
      {{"other activation", options, "config.json has vision_config.hidden_act 'mish', which is not known"}},
      2);
}

// Whatever the options say.
TEST_F(BadRunTest, TermsOfTheConfiguration) {
  folder_.Write("config.json", R"({"swiglu_limit": 7.0})");
  const char* const message =
      "config.json has swiglu_limit '7.0', which is not computed here; accepted are 0 and null";
  ExpectRefused({{"given", {}, message}}, 1);
  EXPECT_TRUE(Contains(Start({"inspect", folder_ / "good.safetensors"}).out,
                       "'m'\n    not usable: " + std::string(message)));
}

TEST_F(BadRunTest, GatedBlocks) {
  const auto entries = [](uint64_t up_rows) {
    return std::vector<Entry>{{"model.layers.0.mlp.gate_proj.weight", "F32", {7, 5}},
                              {"model.layers.0.mlp.up_proj.weight", "F32", {up_rows, 5}},
                              {"model.layers.0.mlp.down_proj.weight", "F32", {5, 7}}};
  };
  const Options options = {{"--layer", "model.layers.0.mlp"}, {"--activation", kAbsent}};
  WriteZeros(folder_ / "good.safetensors", entries(7));
  ExpectRefused({{"no config", options, "(gelu_tanh), and there is no config.json beside it; give --act"}},
                2);
  WriteZeros(folder_ / "good.safetensors", entries(8));
  ExpectRefused({{"other hidden", options, "up_proj.weight' [8, 5] and 'model.layers.0.mlp.down_proj"}}, 1);
  WriteZeros(folder_ / "good.safetensors", {entries(7)[0], entries(7)[2]});
  ExpectRefused({{"no up", options, "there is no tensor 'model.layers.0.mlp.up_proj.weight'"}}, 1);
}

// Of DeepSeek-OCR's decoder: its dense layer, a routed expert and the shared ones; of Qwen2, Mixtral and
// Meta's Llama. In one file and in shards; without biases, as they have it, and with biases.
TEST_F(ProgramTest, RunsGatedBlocks) {
  const Shape shape = {129, 260, 65, true};
  Random random(3);
  const io::Array x = {{2, 9, shape.dim}, RandomTokens(shape, 18, &random)};
  io::WriteArray(folder_ / "x.npy", x);
  StoredAs llama = {"F32", "", "F32", "", "w1", "w2", false, "w3", "F32", ""};
  const struct {
    const char* layer;
    const char* config;
    const char* given;
    StoredAs stored_as;
  } cases[] = {
      {"model.layers.0.mlp", R"({"language_config": {"hidden_act": "silu"}})", kAbsent, GatedAs("BF16", "")},
      {"model.layers.1.mlp.experts.63", R"({"model_type": "deepseek_v2"})", kAbsent, GatedAs("BF16", "")},
      {"model.layers.1.mlp.shared_experts", R"({"model_type": "deepseek_v2"})", kAbsent, GatedAs("F16", "")},
      {"model.layers.0.mlp", R"({"model_type": "qwen2"})", kAbsent, GatedAs("BF16", "F32")},
      {"model.layers.3.block_sparse_moe.experts.7", R"({"model_type": "mixtral"})", kAbsent, llama},
      {"layers.0.feed_forward", "{}", "silu", llama},
      {"", "{}", "silu", GatedAs("F32", "F32")},
  };
  for (const auto& gated : cases) {
    SCOPED_TRACE(std::string(gated.layer) + " " + gated.config);
    const TestBlock block = WriteCheckpoint(folder_ / "w.safetensors", gated.layer, shape, gated.stored_as);
    folder_.Write("config.json", gated.config);
    const std::string index = SplitIntoShards(folder_ / "w.safetensors", folder_.path());
    for (const char* weights : {"w.safetensors", "model.safetensors.index.json"}) {
      const Outcome outcome =
          Run({{"--weights", weights}, {"--layer", gated.layer}, {"--activation", gated.given}});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_EQ(outcome.err, "");
      EXPECT_TRUE(Contains(outcome.out, "[2, 9, 129] -> 260 gated -> 65, silu, "));
      ExpectResult("new.npy", block, x);
    }
  }
}

// The library's own bits for the block in memory.
TEST_F(ProgramTest, RunsGatedBlocksInEveryPrecision) {
  const Shape shape = {50, 70, 30, true};
  Random random(3);
  const io::Array x = {{9, shape.dim}, RandomTokens(shape, 9, &random)};
  io::WriteArray(folder_ / "x.npy", x);
  const TestBlock block = WriteCheckpoint(folder_ / "w.safetensors", "m", shape, GatedAs("F32", "F32"));
  for (const Precision precision : AllPrecisions()) {
    SCOPED_TRACE(PrecisionName(precision));
    PackOptions options;
    options.precision = precision;
    PackedFfn ffn;
    if (!Pack(block.weights(), options, &ffn).ok()) continue;  // not every target has every precision
    const Outcome outcome = Run(
        {{"--weights", "w.safetensors"}, {"--activation", "silu"}, {"--dtype", PrecisionName(precision)}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::vector<float> want = RunDense(ffn, x.values.data(), 9);
    const io::Array y = io::ReadArray(folder_ / "new.npy");
    ASSERT_EQ(y.values.size(), want.size());
    EXPECT_TRUE(SameBits(y.values.data(), shape.out, want.data(), shape.out, 9, shape.out));
  }
}

TEST_F(ProgramTest, RunsConv1DBlocks) {
  const TestBlock block = WriteCheckpoint(folder_ / "gpt2.safetensors", "h.0.mlp", {5, 7, 5},
                                          {"F32", "F32", "F32", "F32", "c_fc", "c_proj", true});
  const Outcome outcome = Run({{"--weights", "gpt2.safetensors"}, {"--layer", "h.0.mlp"}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectResult("new.npy", block, x_);
}

TEST_F(ProgramTest, RunsEveryActivation) {
  TestBlock block = block_;
  for (const Activation activation : AllActivations()) {
    SCOPED_TRACE(ActivationName(activation));
    block.activation = activation;
    const Outcome outcome = Run({{"--activation", ActivationName(activation)}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    ExpectResult("new.npy", block, x_);
  }
}

TEST_F(ProgramTest, RunsOnEveryTarget) {
  for (const std::string& target : SupportedTargets()) {
    SCOPED_TRACE(target);
    const Outcome outcome = Run({{"--isa", LowerCase(target)}, {"--threads", "1"}, {"--repeat", "3"}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    const std::regex summary("\\[4, 5\\] -> 7 -> 3, quick_gelu, " + target +
                             ", f32, 1 thread, best [0-9.]+ ms, median [0-9.]+ ms, [0-9.]+ GFLOP/s, [0-9.]+ "
                             "% of peak, [0-9.]+ % of its tile\n");
    EXPECT_TRUE(std::regex_match(outcome.out, summary)) << outcome.out;
    ExpectResult("new.npy", block_, x_);
  }
}

TEST_F(ProgramTest, SameBitsForAnyNumberOfThreads) {
  std::vector<std::string> outputs;
  for (const char* threads : {"1", "2", "3", "8", "65536"}) {
    const Outcome outcome = Run({{"--threads", threads}, {"--output", "old.npy"}});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(Contains(outcome.out, std::string(threads) + " thread"));
    outputs.push_back(ReadBytes(folder_ / "old.npy"));
  }
  for (const std::string& output : outputs) EXPECT_EQ(output, outputs[0]);
  ExpectResult("old.npy", block_, x_);
}

TEST_F(ProgramTest, BothFormatsAndEveryRank) {
  for (const io::Dims& shape : {io::Dims{4, 5}, io::Dims{1, 4, 5}, io::Dims{2, 2, 5}}) {
    for (const char* input : {"in.npy", "in.safetensors"}) {
      for (const char* output : {"out.npy", "out.safetensors"}) {
        SCOPED_TRACE(io::DimsText(shape) + " " + input + " " + output);
        const io::Array x = {shape, x_.values};
        io::WriteArray(folder_ / input, x);
        const Outcome outcome = Run({{"--input", input}, {"--output", output}});
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        EXPECT_TRUE(Contains(outcome.out, io::DimsText(shape) + " -> 7 -> 3, "));
        ExpectResult(output, block_, x);
      }
    }
  }
}

TEST_F(ProgramTest, NoTokens) {
  for (const io::Dims& shape : {io::Dims{0, 5}, io::Dims{3, 0, 5}, io::Dims{0, 257, 5}}) {
    io::WriteArray(folder_ / "x.npy", {shape, {}});
    const Outcome outcome = Run({});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(Contains(outcome.out, " 0.0 GFLOP/s, 0.0 % of peak, 0.0 % of its tile\n"));
    ExpectResult("new.npy", block_, {shape, {}});
  }
}

TEST_F(ProgramTest, PlainNames) {
  const TestBlock block = WriteCheckpoint(folder_ / "plain.safetensors", "", kShape, {});
  const Outcome outcome = Run({{"--weights", "plain.safetensors"}, {"--layer", ""}});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ExpectResult("new.npy", block, x_);
}

// A block of 5 to 1 to 1 with two denormal weights, and without biases.
TEST_F(ProgramTest, FlushesDenormals) {
  const float weights[] = {1, 1e-40f, 0, 0, -1e-45f, 1};
  const std::string data(reinterpret_cast<const char*>(weights), sizeof(weights));
  WriteBytes(folder_ / "d.safetensors",
             SafetensorsBytes(R"({"m.fc1.weight":{"dtype":"F32","shape":[1,5],"data_offsets":[0,20]},)"
                              R"("m.fc2.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[20,24]}})",
                              data));
  std::vector<std::string> arguments =
      RunArguments({{"--weights", "d.safetensors"}, {"--layer", "m"}, {"--activation", "relu"}});
  EXPECT_EQ(
      Start(arguments).err,
      "fusedffn: warning: 2 weights are denormal, which some CPUs are slow with; --flush-denormals makes "
      "zeros of them\n");
  arguments.push_back("--flush-denormals");
  EXPECT_EQ(Start(arguments).err, "");
}

// NaN and infinities are data. They stay in their rows.
TEST_F(ProgramTest, NotFiniteInputs) {
  EXPECT_EQ(Run({}).exit_code, 0);
  const io::Array clean = io::ReadArray(folder_ / "new.npy");
  io::Array x = x_;
  x.values[0] = NAN;
  x.values[3 * kShape.dim] = INFINITY;
  io::WriteArray(folder_ / "x.npy", x);
  EXPECT_EQ(Run({}).exit_code, 0);
  const io::Array y = io::ReadArray(folder_ / "new.npy");
  for (size_t i = 0; i < kShape.out; ++i) {
    EXPECT_TRUE(std::isnan(y.values[i]));
    EXPECT_FALSE(std::isfinite(y.values[3 * kShape.out + i]));
  }
  EXPECT_TRUE(SameBits(y.values.data() + kShape.out, kShape.out, clean.values.data() + kShape.out, kShape.out,
                       2, kShape.out));
}

TEST_F(ProgramTest, Inspect) {
  const Outcome outcome = Start({"inspect", folder_ / "good.safetensors"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "'m'\n"
            "    of no known family: 5 -> 7 -> 3, BF16, biases\n"
            "    1 block, 132 bytes\n"
            "    activation not known, give --activation: its names are of no known family, and there is no "
            "config.json beside it\n"
            "1 usable block, 132 bytes, among 4 tensors\n");
}

// All that a checkpoint like DeepSeek-OCR's has, in few lines.
TEST_F(ProgramTest, InspectPutsLikeBlocksTogether) {
  std::vector<Entry> entries;
  const auto add = [&](const std::string& name, uint64_t rows, uint64_t cols) {
    entries.push_back({name + ".weight", "BF16", {rows, cols}});
  };
  const auto add_gated = [&](const std::string& prefix, uint64_t hidden) {
    add(prefix + ".gate_proj", hidden, 3);
    add(prefix + ".up_proj", hidden, 3);
    add(prefix + ".down_proj", 3, hidden);
  };
  for (const char* layer : {"0", "1", "2", "10"}) {
    add("model.vision_model.transformer.layers." + std::string(layer) + ".mlp.fc1", 8, 2);
    add("model.vision_model.transformer.layers." + std::string(layer) + ".mlp.fc2", 2, 8);
    add("h." + std::string(layer) + ".mlp.c_fc", 2, 8);
    add("h." + std::string(layer) + ".mlp.c_proj", 8, 2);
  }
  add_gated("model.layers.0.mlp", 12);
  for (const char* layer : {"1", "2"}) {
    const std::string mlp = "model.layers." + std::string(layer) + ".mlp";
    for (const char* expert : {"0", "1", "2"}) add_gated(mlp + ".experts." + expert, 2);
    add_gated(mlp + ".shared_experts", 4);
  }
  entries.push_back({"lm_head.weight", "BF16", {4, 2}});
  WriteZeros(folder_ / "model.safetensors", entries);
  folder_.Write("config.json", R"({"model_type": "gpt2", "language_config": {"hidden_act": "silu"}})");
  const Outcome outcome = Start({"inspect", folder_.path(), "--tokens", "1000000"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, R"('h.{0..2,10}.mlp'
    GPT-2: 2 -> 8 -> 2, BF16, no biases, transposed
    4 blocks, 256 bytes, 256.0 MFLOP
    gelu_tanh: config.json's model_type says so
'model.layers.0.mlp'
    Llama, Mistral, Qwen or DeepSeek, Qwen2-VL text, Gemma or Gemma 2 and 3: 3 -> 12 gated -> 3, BF16, no biases
    1 block, 216 bytes, 216.0 MFLOP
    silu: config.json says so
'model.layers.{1..2}.mlp.experts.{0..2}'
    experts of DeepSeek or Qwen: 3 -> 2 gated -> 3, BF16, no biases
    6 blocks, 216 bytes, 216.0 MFLOP
    silu: config.json says so
'model.layers.{1..2}.mlp.shared_experts'
    experts of DeepSeek or Qwen: 3 -> 4 gated -> 3, BF16, no biases
    2 blocks, 144 bytes, 144.0 MFLOP
    silu: config.json says so
'model.vision_model.transformer.layers.{0..2,10}.mlp'
    DeepSeek-OCR CLIP-L: 2 -> 8 -> 2, BF16, no biases
    4 blocks, 256 bytes, 256.0 MFLOP
    quick_gelu: its names say so
17 usable blocks, 1,088 bytes, 1.09 GFLOP, for 1,000,000 tokens each, among 44 tensors
)");
}

// The layers that have one.
// By every command; and the block that is meant is computed when the user says so.
TEST_F(BadRunTest, TensorsThatWouldBeLeftOut) {
  const TestBlock block = WriteCheckpoint(folder_ / "half.safetensors", "h.0.mlp", {5, 7, 5}, {});
  const io::SafetensorsFile half(folder_ / "half.safetensors");
  std::vector<std::vector<char>> bytes;
  std::vector<io::TensorData> tensors;
  for (const io::Tensor& tensor : half.tensors()) {
    half.Read(tensor, 0, tensor.bytes(), bytes.emplace_back(tensor.bytes()).data());
    tensors.push_back({std::string(tensor.name), "F32", tensor.shape, bytes.back().data()});
  }
  const float one = 1;
  tensors.push_back({"h.0.mlp.norm.weight", "F32", {1}, &one});
  io::WriteSafetensors(folder_ / "good.safetensors", tensors);
  const std::string message =
      "'h.0.mlp.norm.weight' is a tensor of the block 'h.0.mlp' that is not computed with";
  const std::string path = folder_ / "good.safetensors";
  ExpectRefused({{"run", {{"--layer", "h.0.mlp"}}, message.c_str()}}, 1);
  ExpectComplaint(Start({"tower", "--weights", path, "--family", "h.N.mlp", "--input", folder_ / "x.npy"}), 1,
                  message);
  ExpectComplaint(
      Start({"quantize", "--weights", path, "--layer", "h.0.mlp", "--output", folder_ / "q.safetensors"}), 1,
      message);
  EXPECT_TRUE(Contains(Start({"inspect", path}).out, "'h.0.mlp'\n    not usable: " + message));

  const std::vector<std::string> ignore = {"--ignore-tensors", "x", "--ignore-tensors", "norm"};
  std::vector<std::string> run = RunArguments({{"--layer", "h.0.mlp"}});
  run.insert(run.end(), ignore.begin(), ignore.end());
  EXPECT_EQ(Start(run).exit_code, 0);
  ExpectResult("new.npy", block, x_);
  std::vector<std::string> inspect = {"inspect", path};
  inspect.insert(inspect.end(), ignore.begin(), ignore.end());
  EXPECT_TRUE(Contains(Start(inspect).out, "5 -> 7 -> 5, F32, biases"));
  EXPECT_EQ(Start({"quantize", "--weights", path, "--layer", "h.0.mlp", "--output", folder_ / "q.safetensors",
                   "--ignore-tensors", "h.0.mlp.norm.weight"})
                .exit_code,
            0);
  EXPECT_EQ(Start({"tower", "--weights", path, "--family", "h.N.mlp", "--input", folder_ / "x.npy",
                   "--activation", "relu", "--ignore-tensors", "norm.weight"})
                .exit_code,
            0);
}

TEST_F(ProgramTest, InspectTellsOfBiases) {
  const auto biases = [&](const StoredAs& stored_as, bool gated) {
    WriteCheckpoint(folder_ / "w.safetensors", "m", {5, 7, 3, gated}, stored_as);
    const std::string out = Start({"inspect", folder_ / "w.safetensors"}).out;
    const size_t begin = out.find("F32, ") + 5;
    return out.substr(begin, out.find('\n', begin) - begin);
  };
  EXPECT_EQ(biases({"F32", "F32", "F32", ""}, false), "bias of fc1");
  EXPECT_EQ(biases({"F32", "", "F32", "F32"}, false), "bias of fc2");
  EXPECT_EQ(biases(GatedAs("F32", "F32"), true), "biases");
  EXPECT_EQ(biases(GatedAs("F32", ""), true), "no biases");
  StoredAs without_down = GatedAs("F32", "F32");
  without_down.bias2 = "";
  EXPECT_EQ(biases(without_down, true), "bias of gate_proj and up_proj");
}

TEST_F(ProgramTest, InspectNamesWhatCannotBeUsed) {
  WriteZeros(folder_ / "w.safetensors", {{"a.fc1.weight", "F32", {4, 5}}});
  const Outcome outcome = Start({"inspect", folder_ / "w.safetensors"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(
      outcome.out,
      "'a'\n    not usable: there is no tensor 'a.fc2.weight'\n0 usable blocks, 0 bytes, among 1 tensors\n");
  WriteZeros(folder_ / "w.safetensors", {{"a.weight", "F32", {4, 5}}});
  EXPECT_TRUE(
      Contains(Start({"inspect", folder_ / "w.safetensors"}).out,
               "no blocks: no PREFIX.NAME.weight with the names c_fc and c_proj; fc1 and fc2; gate_proj, "));
  const Outcome none = Start({"inspect", folder_ / "none.safetensors"});
  EXPECT_EQ(none.exit_code, 1);
}

TEST_F(ProgramTest, Info) {
  const Outcome outcome = Start({"info"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* part :
       {"CPU          ", "targets      ", "the default", "caches       L1 ", " by default: affinity allows ",
        "FMA peak     ", " GFLOP/s on 1 thread, ", " GB/s from memory on 1 thread",
        "8,388,608      16.78 MB         201,326,592        403 MB", "5,120", "2,155,872,256    2.16 GFLOP",
        "5,263,360    5.26 MFLOP", "4,311,744,512    4.31 GFLOP     103,481,868,288   103.5 GFLOP",
        "526,336        526 KB", "2,105,344       2.11 MB", "2,631,680       2.63 MB",
        "fc1 2.15 + fc2 2.15 = 4.30 GFLOP a block, 103.2 for 24 layers; fc1 output 2.10 MB, peak 2.6 MB",
        "packed weights and biases, fp32, a block", "scratch of a call on "}) {
    EXPECT_TRUE(Contains(outcome.out, part));
  }
  EXPECT_TRUE(Contains(outcome.out, "tile in L1   "));
  size_t count = 0;
  const Target* targets = Targets(&count);
  for (size_t i = 0; i < count; ++i) {
    const std::string name = targets[i].name;
    EXPECT_TRUE(std::regex_search(
        outcome.out, std::regex(name + (targets[i].supported ? " +tile " : " +not supported by this "))));
  }
}

// The allocations printed are the library's own answers.
TEST_F(ProgramTest, InfoOfOtherDimensions) {
  const Outcome outcome = Start({"info", "--dim", "31", "--hidden", "65", "--out", "7", "--batch", "2",
                                 "--seq", "9", "--layers", "3", "--dtype", "f32"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out, "batch 2 x seq 9 = 18 tokens, f32"));
  EXPECT_TRUE(Contains(outcome.out, " 3 layers"));
  EXPECT_TRUE(Contains(outcome.out, " 2,470 "));  // weights

  PackedFfn ffn;
  ASSERT_TRUE(PackedFfn::Create({31, 65, 7}, Activation::kQuickGelu, {}, &ffn).ok());
  const std::string figures = std::regex_replace(outcome.out, std::regex(","), "");
  const size_t workspace = WorkspaceBytes(ffn, 18, DefaultThreads());
  for (const size_t bytes : {ffn.packed_bytes(), workspace}) {
    EXPECT_TRUE(Contains(figures, " " + std::to_string(bytes) + " "));
  }
}

TEST_F(ProgramTest, InfoOfAGatedBlock) {
  const Outcome outcome = Start({"info", "--dim", "31", "--hidden", "65", "--seq", "9", "--gated"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* part : {"dim 31, hidden 65, out 31, gated, batch 1", "fc1 + up FLOP", "fc1 + up + fc2"}) {
    EXPECT_TRUE(Contains(outcome.out, part));
  }
  EXPECT_TRUE(Contains(outcome.out, " 6,045 "));  // weights
  PackedFfn ffn;
  ASSERT_TRUE(PackedFfn::Create({31, 65, 31, true}, Activation::kQuickGelu, {}, &ffn).ok());
  EXPECT_TRUE(Contains(std::regex_replace(outcome.out, std::regex(","), ""),
                       " " + std::to_string(ffn.packed_bytes()) + " "));
}

TEST_F(ProgramTest, InfoOfABlockThatNobodyCanHold) {
  const Outcome outcome = Start({"info", "--dim", "2000000000", "--hidden", "8"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Contains(outcome.out, "not known: shape.dim is 2000000000"));
}

TEST_F(ProgramTest, HelpAndVersion) {
  const std::pair<std::vector<std::string>, std::vector<const char*>> cases[] = {
      {{"--help"}, {"run", "tower", "quantize", "inspect", "info", "Example:", "Exit code: 0"}},
      {{"run", "--help"},
       {"--weights PATH", "--layer PREFIX", "--input FILE", "--output FILE", "--activation NAME",
        "--threads N", "--isa NAME", "--repeat N", "Examples:", "it must be given", ".npy", ".safetensors"}},
      {{"tower", "--help"},
       {"--weights PATH", "--family NAME", "--layers N|A..B", "--input FILE", "--output FILE", "--verbose",
        "Examples:"}},
      {{"quantize", "--help"},
       {"--weights PATH", "--output FILE", "--layer PREFIX", "--family NAME", "--blocks-only", "Examples:"}},
      {{"inspect", "--help"}, {"PATH", "--tokens N", "PREFIX.fc1.weight [hidden, dim]", "Examples:"}},
      {{"info", "--help"},
       {"--dim", "--hidden", "--out", "--batch", "--seq", "--layers", "--gated", "--dtype", "bf16",
        "Example:"}},
      {{"--version"}, {"fusedffn "}},
  };
  for (const auto& [arguments, parts] : cases) {
    const Outcome outcome = Start(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    for (const char* part : parts) EXPECT_TRUE(Contains(outcome.out, part));
  }
}

}  // namespace
}  // namespace fusedffn
