// One file, an index with shards, or a folder with either: which tensors there are, which files are opened
// for them, and what an index may not say.
#include "src/models/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/test_checkpoint.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

const std::vector<float> kZeros(64);

void WriteShard(const std::string& path, const std::vector<std::string>& names) {
  std::vector<TensorData> tensors;
  for (const std::string& name : names) tensors.push_back({name, "F32", {2, 3}, kZeros.data()});
  WriteSafetensors(path, tensors);
}

// What cannot be opened, not even by root.
void MakeSocket(const std::string& path) {
  sockaddr_un address = {AF_UNIX, {}};
  ASSERT_LT(path.copy(address.sun_path, sizeof(address.sun_path)), sizeof(address.sun_path));
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(fd);
}

class CheckpointTest : public testing::Test {
 protected:
  std::string WriteIndex(const std::string& json) {
    return folder_.Write("model.safetensors.index.json", json);
  }

  TempFolder folder_;
};

TEST(UsableDTypeTest, OfTheFormatsNames) {
  const std::pair<const char*, std::optional<DType>> names[] = {{"F32", DType::kF32}, {"BF16", DType::kBF16},
                                                                {"F16", DType::kF16}, {"F2", std::nullopt},
                                                                {"I8", std::nullopt}, {"f32", std::nullopt}};
  for (const auto& [name, dtype] : names) EXPECT_EQ(UsableDType({name, name, {}}), dtype) << name;
}

TEST_F(CheckpointTest, OneFile) {
  const std::string path = folder_ / "any.safetensors";
  WriteShard(path, {"b", "a"});
  const Checkpoint checkpoint(path);
  EXPECT_EQ(checkpoint.path(), path);
  EXPECT_EQ(checkpoint.Names(), (std::vector<std::string_view>{"a", "b"}));
  EXPECT_EQ(checkpoint.Files(), std::vector<std::string>{path});
  EXPECT_EQ(checkpoint.Beside("config.json"), folder_ / "config.json");
  ASSERT_TRUE(checkpoint.Find("a"));
  EXPECT_EQ(checkpoint.Find("a")->shape, (Dims{2, 3}));
  EXPECT_EQ(checkpoint.Find("a").file, checkpoint.Find("b").file);
  EXPECT_FALSE(checkpoint.Find("c"));
}

TEST_F(CheckpointTest, ShardsAreOpenedWhenTheyAreNeeded) {
  const std::string path = WriteIndex(
      R"({"metadata": {"total_size": 1}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors",
          "d": "3.safetensors"}})");
  WriteShard(folder_ / "1.safetensors", {"a", "c"});
  WriteShard(folder_ / "2.safetensors", {"b", "unlisted"});
  folder_.Write("3.safetensors", "not one");
  const Checkpoint checkpoint(path);
  EXPECT_EQ(checkpoint.TensorCount(), 4u);
  EXPECT_EQ(checkpoint.Files().size(), 4u);
  EXPECT_EQ(checkpoint.Find("a").file->path(), folder_ / "1.safetensors");
  EXPECT_EQ(checkpoint.Find("b").file->path(), folder_ / "2.safetensors");
  EXPECT_EQ(checkpoint.Find("c").file, checkpoint.Find("a").file);
  EXPECT_FALSE(checkpoint.Find("unlisted"));
  EXPECT_TRUE(
      Contains(ErrorOf(folder_ / "3.safetensors", [&] { checkpoint.Find("d"); }), "7 bytes are too few"));
}

// Its header may be large, and the tensors that should be in it many. A file that could not be opened may be
// another time.
TEST_F(CheckpointTest, ADamagedShardIsReadOnce) {
  const std::string path = WriteIndex(R"({"weight_map": {"a": "1.safetensors", "b": "1.safetensors"}})");
  const std::string shard = folder_ / "1.safetensors";
  const Checkpoint checkpoint(path);
  const auto error_of = [&](const char* name) { return ErrorOf(shard, [&] { checkpoint.Find(name); }); };
  MakeSocket(shard);
  EXPECT_TRUE(Contains(error_of("a"), "cannot open: "));
  std::filesystem::remove(shard);
  folder_.Write("1.safetensors", "not one");
  EXPECT_TRUE(Contains(error_of("a"), "7 bytes are too few"));
  WriteShard(shard, {"a", "b"});
  EXPECT_TRUE(Contains(error_of("b"), "7 bytes are too few"));
}

TEST_F(CheckpointTest, AFolderStandsForWhatItHolds) {
  EXPECT_TRUE(Contains(ErrorOf(folder_.path(), [&] { Checkpoint{folder_.path()}; }),
                       "a folder with neither model.safetensors.index.json nor model.safetensors"));
  WriteShard(folder_ / "model.safetensors", {"a"});
  EXPECT_TRUE(Checkpoint(folder_.path()).Find("a"));
  const std::string index = WriteIndex(R"({"weight_map": {"b": "model.safetensors"}})");
  EXPECT_TRUE(Contains(ErrorOf(folder_.path(), [&] { Checkpoint{folder_.path()}; }), "name one of the two"));
  std::filesystem::rename(folder_ / "model.safetensors", folder_ / "shard.safetensors");
  WriteIndex(R"({"weight_map": {"a": "shard.safetensors"}})");
  const Checkpoint checkpoint(folder_.path());
  EXPECT_EQ(checkpoint.path(), index);
  EXPECT_TRUE(checkpoint.Find("a"));
}

TEST_F(CheckpointTest, WhatAnIndexPromisesAndTheShardsDoNotKeep) {
  const std::string path = WriteIndex(R"({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})");
  WriteShard(folder_ / "1.safetensors", {"c"});
  const Checkpoint checkpoint(path);
  EXPECT_TRUE(Contains(ErrorOf(folder_ / "1.safetensors", [&] { checkpoint.Find("a"); }),
                       "has no tensor 'a', but " + path));
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { checkpoint.Find("b"); }),
                       "'b' should be in '2.safetensors', and there is no such file beside the index"));
}

TEST_F(CheckpointTest, RefusesBadIndices) {
  const auto map_to = [](const std::string& file) { return R"({"weight_map": {"a": ")" + file + R"("}})"; };
  const std::string name = "must end in .safetensors and be beside the index";
  const std::pair<std::string, std::string> cases[] = {
      {"", "not valid JSON at its byte"},
      {"{", "not valid JSON at its byte"},
      {"{} {}", "not valid JSON at its byte"},
      {R"({"weight_map": {"a": "\ud800"}})", "not valid JSON at its byte"},
      {R"({"size": 1e999})", "not valid JSON: a number is too large"},
      {"[]", "must hold a JSON object"},
      {"3", "must hold a JSON object"},
      {"{}", "not an index: it must have an object weight_map"},
      {R"({"weight_map": []})", "not an index: it must have an object weight_map"},
      {R"({"weight_map": {"a": 1}})", "weight_map: 'a' must be a file's name"},
      {R"({"weight_map": {"a": {"b": "1.safetensors"}}})", "weight_map: 'a' must be a file's name"},
      {R"({"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}})", "has the key 'a' twice"},
      {R"({"weight_map": {}, "weight_map": {}})", "has the key 'weight_map' twice"},
      {std::string(100'000, '['), "nested deeper than 64, the most"},
      {map_to("../x.safetensors"), name},
      {map_to("/etc/x.safetensors"), name},
      {map_to("sub/x.safetensors"), name},
      {map_to(R"(..\\x.safetensors)"), name},
      {map_to(R"(x\u0000.safetensors)"), name},
      {map_to(".."), name},
      {map_to("."), name},
      {map_to(""), name},
      {map_to(".safetensors"), name},
      {map_to("model.bin"), name},
  };
  for (const auto& [json, message] : cases) {
    SCOPED_TRACE(json.substr(0, 80));
    const std::string path = WriteIndex(json);
    EXPECT_TRUE(Contains(ErrorOf(path, [&] { Checkpoint{path}; }), message));
  }
}

TEST_F(CheckpointTest, RefusesAnIndexTooLargeToRead) {
  const std::string path = WriteIndex("{}");
  std::filesystem::resize_file(path, (uint64_t{64} << 20) + 1);
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { Checkpoint{path}; }), "67108864 are the most"));
}

// Each module once, however many tensors it has: a checkpoint may have a million, in modules within modules.
TEST(CheckpointFirstBelowTest, PassesOverModules) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  WriteZeros(path, {{"a", "F32", {1}},
                    {"a.attn", "F32", {1}},
                    {"a.attn-x", "F32", {1}},
                    {"a.attn.a.w", "F32", {1}},
                    {"a.attn.w", "F32", {1}},
                    {"a.attn.x", "F32", {1}},
                    {"a.attn2", "F32", {1}},
                    {"a.b.x", "F32", {1}},
                    {"a.b.y", "F32", {1}},
                    {"ab.c", "F32", {1}}});
  const auto asked = [&](const std::string& prefix, const std::vector<std::string>& ignored,
                         const char* unused) {
    const Checkpoint checkpoint(path, ignored);
    std::string all;
    const std::string_view first =
        checkpoint.FirstBelow(prefix, [&](std::string_view name, std::string_view below) {
          EXPECT_EQ(name, prefix.empty() ? std::string(below) : prefix + "." + std::string(below));
          all += (all.empty() ? "" : " ") + std::string(below);
          if (name == unused) return size_t{0};
          return below.substr(0, 5) == "attn." ? size_t{4} : below.size();
        });
    EXPECT_EQ(first, unused);
    return all;
  };
  EXPECT_EQ(asked("a", {}, ""), "attn attn-x attn.a.w attn2 b.x b.y");
  EXPECT_EQ(asked("a", {}, "a.b.x"), "attn attn-x attn.a.w attn2 b.x");
  EXPECT_EQ(asked("a", {"b", "a.attn"}, ""), "attn-x attn2");
  EXPECT_EQ(asked("a.attn", {"w"}, ""), "a.w x");
  EXPECT_EQ(asked("ab", {}, ""), "c");
  EXPECT_EQ(asked("a.b.x", {}, ""), "");
  EXPECT_EQ(asked("", {"a"}, ""), "ab.c");
}

}  // namespace
}  // namespace fusedffn::io
