// Arrays by the ending of their file's name.
#include "src/files/array_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "src/files/safetensors.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

TEST(ArrayFileTest, KnowsItsNames) {
  for (const char* name : {"x.npy", "a/b.safetensors", ".npy.npy"})
    EXPECT_TRUE(IsArrayFileName(name)) << name;
  for (const char* name : {"", "x", "npy", ".npy", ".safetensors", "x.npz", "x.NPY", "x.npy ", "x.npy/"}) {
    EXPECT_FALSE(IsArrayFileName(name)) << name;
  }
}

TEST(ArrayFileTest, ReadsWhatItWrites) {
  const TempFolder folder;
  const std::vector<float> values = {0.0f, -0.0f, 1e-45f, -3.5f, INFINITY, -INFINITY};
  for (const char* name : {"y.npy", "y.safetensors"}) {
    SCOPED_TRACE(name);
    WriteArray(folder / name, {{1, 2, 3}, values});
    const Array array = ReadArray(folder / name);
    EXPECT_EQ(array.shape, (Dims{1, 2, 3}));
    EXPECT_EQ(array.values, values);
    EXPECT_TRUE(std::signbit(array.values[1]));
    WriteArray(folder / name, {{0, 3}, {}});
    EXPECT_EQ(ReadArray(folder / name).shape, (Dims{0, 3}));
  }
  EXPECT_EQ(folder.Contents().size(), 2u);
  EXPECT_NE(SafetensorsFile(folder / "y.safetensors").Find("y"), nullptr);
}

TEST(ArrayFileTest, RefusesFilesWithoutOneArray) {
  const TempFolder folder;
  const std::string path = folder / "x.safetensors";
  const float value = 1;
  const std::pair<std::vector<TensorData>, const char*> cases[] = {
      {{}, "holds 0 tensors; an array's file must hold one"},
      {{{"a", "F32", {1}, &value}, {"b", "F32", {1}, &value}}, "holds 2 tensors"},
      {{{"a", "BF16", {2}, &value}}, "tensor 'a' is of dtype 'BF16'; an array must be F32"},
      {{{"a", "I32", {1}, &value}}, "an array must be F32"},
  };
  for (const auto& [tensors, message] : cases) {
    WriteSafetensors(path, tensors);
    EXPECT_TRUE(Contains(ErrorOf(path, [&] { ReadArray(path); }), message));
  }
}

}  // namespace
}  // namespace fusedffn::io
