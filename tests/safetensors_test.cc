// The safetensors reader refuses everything but well-formed files, and says why; the writer writes those.
#include "src/files/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "src/files/error.h"
#include "tests/random.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

struct BadFile {
  const char* name;
  std::string bytes;
  const char* message;  // a part of it
};

// One tensor, or more, of which only the named fields are given as text.
std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

std::string One(const std::string& dtype, const std::string& shape, const std::string& offsets, size_t data) {
  return SafetensorsBytes("{" + Entry("a", dtype, shape, offsets) + "}", std::string(data, '\0'));
}

std::string Two(const std::string& a_offsets, const std::string& b_offsets, size_t data) {
  return SafetensorsBytes(
      "{" + Entry("a", "\"F32\"", "[1]", a_offsets) + "," + Entry("b", "\"F32\"", "[1]", b_offsets) + "}",
      std::string(data, '\0'));
}

std::string Json(const std::string& json) { return SafetensorsBytes(json); }

void ExpectRefused(const std::vector<BadFile>& files) {
  const TempFolder folder;
  for (const BadFile& bad : files) {
    SCOPED_TRACE(bad.name);
    const std::string path = folder.Write("bad.safetensors", bad.bytes);
    EXPECT_TRUE(Contains(ErrorOf(path, [&] { SafetensorsFile file(path); }), bad.message));
  }
}

// As some writers say that there is none.
TEST(SafetensorsTest, TakesNullForMetadata) {
  const TempFolder folder;
  const std::string path =
      folder.Write("a.safetensors", SafetensorsBytes(R"({"__metadata__":null,"a":{"dtype":"U8","shape":[1],)"
                                                     R"("data_offsets":[0,1]}})",
                                                     "x"));
  const SafetensorsFile file(path);
  EXPECT_TRUE(file.metadata().empty());
  EXPECT_NE(file.Find("a"), nullptr);
}

TEST(SafetensorsTest, RefusesBadLengths) {
  ExpectRefused({
      {"empty file", "", "0 bytes are too few"},
      {"seven bytes", std::string(7, '\0'), "7 bytes are too few"},
      {"no header", Json(""), "must begin with '{'"},
      {"header above the limit", LittleEndian(100'000'001, 8) + "{}", "100000000 are the most"},
      {"header length of 2^64 - 1", LittleEndian(UINT64_MAX, 8) + "{}", "100000000 are the most"},
      {"header of 100 MB in 10 bytes", LittleEndian(100'000'000, 8) + "{}", "should end at 100000008"},
      {"header one byte too long", LittleEndian(3, 8) + "{}", "should end at 11"},
      {"bytes but no tensors", SafetensorsBytes("{}", "x"), "describes 0 bytes of tensors, and 1 follow"},
      {"data cut short", One("\"F32\"", "[2]", "[0,8]", 7), "truncated: the header describes 8 bytes"},
      {"bytes after the tensors", One("\"F32\"", "[2]", "[0,8]", 9), "bytes after the last tensor"},
  });
}

TEST(SafetensorsTest, RefusesBadJson) {
  ExpectRefused({
      {"array", Json("[]"), "must begin with '{'"},
      {"space before", Json(" {}"), "must begin with '{'"},
      {"byte-order mark", Json("\xEF\xBB\xBF{}"), "must begin with '{'"},
      {"zero byte and more", Json(std::string("{}\0{}", 5)), "zero byte"},
      {"zero byte in a name", Json(std::string("{\"a\0\":1}", 8)), "zero byte"},
      {"cut", Json("{\"a\""), "not valid JSON at its byte 5"},
      {"two values", Json("{}{}"), "not valid JSON at its byte 3"},
      {"comma at the end", Json("{\"__metadata__\":{},}"), "not valid JSON"},
      {"comment", Json("{/* no */}"), "not valid JSON"},
      {"single quotes", Json("{'a':1}"), "not valid JSON"},
      {"not UTF-8", Json("{\"a\xFF\":1}"), "not valid JSON"},
      {"half a surrogate", Json("{\"\\ud800\":1}"), "not valid JSON"},
      {"NaN", Json("{\"a\":NaN}"), "not valid JSON"},
  });
}

TEST(SafetensorsTest, RefusesOtherValuesThanTheFormatHas) {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  ExpectRefused({
      {"deep nesting", Json(deep), "a tensor must be an object"},
      {"tensor is a number", Json("{\"a\":1}"), "tensor 'a': a tensor must be an object"},
      {"tensor is null", Json("{\"a\":null}"), "a tensor must be an object"},
      {"tensor is empty", Json("{\"a\":{}}"),
       "a tensor must be an object with dtype, shape and data_offsets"},
      {"no dtype", Json("{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}"),
       "with dtype, shape and data_offsets"},
      {"no shape", Json("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}"), "with dtype, shape and"},
      {"no data_offsets", Json("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}"), "with dtype, shape and"},
      {"unknown key", Json("{\"a\":{\"strides\":[1]}}"), "the unknown key 'strides'; accepted are dtype"},
      {"dtype is a number", One("32", "[]", "[0,4]", 4), "tensor 'a': dtype must be text"},
      {"shape is a number", One("\"F32\"", "4", "[0,4]", 4), "shape must be an array of integers"},
      {"shape is text", One("\"F32\"", "\"4\"", "[0,4]", 4), "shape must be an array of integers"},
      {"negative size", One("\"F32\"", "[-1]", "[0,4]", 4), "shape must be an array of integers"},
      {"fraction", One("\"F32\"", "[1.5]", "[0,4]", 4), "shape must be an array of integers"},
      {"exponent", One("\"F32\"", "[1e3]", "[0,4000]", 4000), "shape must be an array of integers"},
      {"2^64", One("\"F32\"", "[18446744073709551616]", "[0,4]", 4), "shape must be an array of integers"},
      {"truth value", One("\"F32\"", "[true]", "[0,4]", 4), "shape must be an array of integers"},
      {"shape in a shape", One("\"F32\"", "[[1]]", "[0,4]", 4), "shape must be an array of integers"},
      {"offsets are an object", One("\"F32\"", "[1]", "{}", 4), "data_offsets must be an array of two"},
      {"one offset", One("\"F32\"", "[1]", "[0]", 4), "data_offsets must be an array of two"},
      {"three offsets", One("\"F32\"", "[1]", "[0,4,8]", 4), "data_offsets must be an array of two"},
      {"negative offset", One("\"F32\"", "[1]", "[-4,0]", 4), "data_offsets must be an array of two"},
      {"offset with a fraction", One("\"F32\"", "[1]", "[0,4.0]", 4), "data_offsets must be an array of two"},
      {"metadata is text", Json("{\"__metadata__\":\"pt\"}"), "__metadata__ must be an object"},
      {"metadata is a list", Json("{\"__metadata__\":[]}"), "__metadata__ must be an object"},
      {"tensor is null", Json("{\"a\":null}"), "a tensor must be an object"},
      {"metadata null twice", Json("{\"__metadata__\":null,\"__metadata__\":null}"), "__metadata__ twice"},
      {"number in metadata", Json("{\"__metadata__\":{\"a\":1}}"), "__metadata__ may hold text only"},
      {"object in metadata", Json("{\"__metadata__\":{\"a\":{}}}"), "__metadata__ may hold text only"},
  });
}

TEST(SafetensorsTest, RefusesRepeatedKeys) {
  const std::string a = Entry("a", "\"F32\"", "[1]", "[0,4]"), empty = Entry("a", "\"F32\"", "[0]", "[4,4]");
  ExpectRefused({
      {"tensor", SafetensorsBytes("{" + a + "," + empty + "}", "1234"), "has the tensor 'a' twice"},
      {"escaped", SafetensorsBytes("{" + a + ",\"\\u0061\"" + empty.substr(3) + "}", "1234"), "'a' twice"},
      {"dtype", Json("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}"), "tensor 'a' has dtype twice"},
      {"shape", Json("{\"a\":{\"shape\":[],\"shape\":[]}}"), "tensor 'a' has shape twice"},
      {"data_offsets", Json("{\"a\":{\"data_offsets\":[0,0],\"data_offsets\":[0,0]}}"), "data_offsets twice"},
      {"metadata", Json("{\"__metadata__\":{},\"__metadata__\":{}}"), "__metadata__ twice"},
      {"in metadata", Json("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), "the key 'k' twice"},
  });
}

TEST(SafetensorsTest, RefusesBadOffsets) {
  ExpectRefused({
      {"hole at the start", One("\"F32\"", "[1]", "[4,8]", 8), "must begin at 0"},
      {"hole between", Two("[0,4]", "[8,12]", 12),
       "tensor 'b' has data_offsets [8, 12]; the next must begin at 4"},
      {"overlap", Two("[0,4]", "[2,6]", 6), "must begin at 4"},
      {"the same bytes twice", Two("[0,4]", "[0,4]", 4), "must begin at 4"},
      {"end before begin", One("\"F32\"", "[0]", "[4,0]", 0), "not end before it"},
      {"reversed in the middle", Two("[0,4]", "[4,0]", 4), "tensor 'b' has data_offsets [4, 0]"},
      {"end far outside", One("\"F32\"", "[1]", "[0,18446744073709551615]", 4),
       "span 18446744073709551615 bytes"},
  });
}

TEST(SafetensorsTest, RefusesSizesThatDoNotFollowFromTheShape) {
  ExpectRefused({
      {"too small", One("\"F32\"", "[2]", "[0,4]", 4), "span 4 bytes, but F32 of shape [2] takes 8"},
      {"too large", One("\"BF16\"", "[1,2]", "[0,8]", 8), "span 8 bytes, but BF16 of shape [1, 2] takes 4"},
      {"scalar of nothing", One("\"F32\"", "[]", "[0,0]", 0), "takes 4"},
      {"product wraps to 0", One("\"F32\"", "[4294967296,4294967296]", "[0,0]", 0), "more than 2^64 - 1"},
      {"product wraps, then 0", One("\"F32\"", "[9223372036854775808,2,0]", "[0,0]", 0),
       "more than 2^64 - 1"},
      {"bytes wrap to 0", One("\"F32\"", "[4611686018427387904]", "[0,0]", 0),
       "whole number of bytes below 2^61"},
      {"bytes wrap to 4", One("\"F64\"", "[2305843009213693953]", "[0,8]", 8),
       "whole number of bytes below 2^61"},
      {"half a byte", One("\"F4\"", "[3]", "[0,2]", 2), "not a whole number of bytes"},
      {"six bits", One("\"F6_E2M3\"", "[2]", "[0,2]", 2), "not a whole number of bytes"},
      {"unknown dtype, product wraps", One("\"X9\"", "[4294967296,4294967296]", "[0,0]", 0),
       "more than 2^64"},
  });
}

TEST(SafetensorsTest, RefusesWhatIsNotAFile) {
  const TempFolder folder;
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(Contains(ErrorOf(pipe, [&] { SafetensorsFile file(pipe); }), "not a regular file"));
  EXPECT_TRUE(
      Contains(ErrorOf(folder.path(), [&] { SafetensorsFile file(folder.path()); }), "not a regular file"));
  const std::string none = folder / "none";
  EXPECT_EQ(ErrorOf(none, [&] { SafetensorsFile file(none); }), "cannot open: No such file or directory");
}

// Names out of a hostile file must not reach the terminal as they are.
TEST(SafetensorsTest, MessagesAreOneCleanLine) {
  const TempFolder folder;
  const std::string path =
      folder.Write("new\nline", Json("{\"\\u001b[2J\\n\\u00e9" + std::string(500, 'x') + "\":1}"));
  const std::string message = ErrorOf(path, [&] { SafetensorsFile file(path); });
  EXPECT_TRUE(Contains(message, "tensor '\\x1b[2J\\x0a\\xc3\\xa9xxx"));
  EXPECT_LT(message.size(), 300u);
}

constexpr int kTensors = 10;

// Two kilobytes with every feature in it.
std::string RealisticBytes() {
  std::string json = "{\"__metadata__\":{\"format\":\"pt\"}";
  for (int i = 0; i < kTensors; ++i) {
    json += "," + Entry("layers." + std::to_string(i) + ".mlp.fc1.weight", "\"BF16\"", "[4,16]",
                        "[" + std::to_string(128 * i) + "," + std::to_string(128 * (i + 1)) + "]");
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return SafetensorsBytes(json, std::string(kTensors * 128, '\x3f'));
}

TEST(SafetensorsTest, RefusesTruncationAtEveryByte) {
  const std::string whole = RealisticBytes();
  ASSERT_GE(whole.size(), 2048u);
  const TempFolder folder;
  const std::string path = folder.Write("file", whole);
  EXPECT_EQ(SafetensorsFile(path).tensors().size(), size_t{kTensors});
  for (size_t size = whole.size(); size-- > 0;) {
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(size)), 0);
    ASSERT_NE(ErrorOf(path, [&] { SafetensorsFile file(path); }), "") << size << " bytes";
  }
}

// Any damage is either an Error or a file that can be read to its end: nothing else, and no crash.
TEST(SafetensorsTest, SurvivesDamageAtEveryByte) {
  const std::string whole = RealisticBytes();
  const TempFolder folder;
  const std::string path = folder.Write("file", whole);
  Random random(1);
  std::vector<char> data(4096);
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    Poke(path, at, static_cast<char>(random.Bits()));
    const std::string error = ErrorOf(path, [&] {
      const SafetensorsFile file(path);
      for (const Tensor& tensor : file.tensors()) {
        ASSERT_LE(tensor.bytes(), data.size());
        file.Read(tensor, 0, tensor.bytes(), data.data());
      }
    });
    refused += error != "";
    Poke(path, at, whole[at]);
  }
  EXPECT_GT(refused, whole.size() / 4);
}

TEST(SafetensorsTest, FileThatShrinksWhileItIsRead) {
  const TempFolder folder;
  const std::string path = folder.Write("file", One("\"F32\"", "[1024]", "[0,4096]", 4096));
  const SafetensorsFile file(path);
  ASSERT_EQ(truncate(path.c_str(), 1000), 0);
  std::vector<char> data(4096);
  EXPECT_TRUE(Contains(ErrorOf(path, [&] { file.Read(file.tensors()[0], 0, data.size(), data.data()); }),
                       "ends at byte 1000"));
}

// 8 elements take as many bytes as one has bits.
TEST(SafetensorsTest, ReadsEveryDType) {
  const TempFolder folder;
  const auto write = [&](const std::string& dtype, size_t bytes) {
    return folder.Write("file", One('"' + dtype + '"', "[2,4]", "[0," + std::to_string(bytes) + "]", bytes));
  };
  const std::pair<const char*, size_t> dtypes[] = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6},     {"U8", 8},      {"I8", 8},
      {"F8_E5M2", 8}, {"I16", 16},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F8_E8M0", 8}, {"U16", 16},
      {"F16", 16},    {"F8_E4M3", 8}, {"I32", 32},        {"BF16", 16},       {"C64", 64},    {"U32", 32},
      {"F32", 32},    {"F64", 64},    {"I64", 64},        {"U64", 64}};
  for (const auto& [dtype, bits] : dtypes) {
    SCOPED_TRACE(dtype);
    EXPECT_EQ(SafetensorsFile(write(dtype, bits)).tensors()[0].dtype, dtype);
    const std::string larger = write(dtype, bits + 1);
    EXPECT_TRUE(Contains(ErrorOf(larger, [&] { SafetensorsFile file(larger); }), "data_offsets span"));
  }
}

TEST(SafetensorsTest, ListsAnUnknownDType) {
  const TempFolder folder;
  const SafetensorsFile file(folder.Write("file", One("\"F2\"", "[7]", "[0,3]", 3)));
  ASSERT_EQ(file.tensors().size(), 1u);
  EXPECT_EQ(file.tensors()[0].dtype, "F2");
}

TEST(SafetensorsTest, ReadsScalarsEmptyTensorsAndAnyOrder) {
  const TempFolder folder;
  const std::string json = "{" + Entry("z", "\"F32\"", "[]", "[8,12]") + "," +
                           Entry("empty", "\"F32\"", "[3,0]", "[8,8]") + "," +
                           "\"a\":{\"data_offsets\":[0,8],\"shape\":[ 2 ],\"dtype\":\"F32\"}}  \n";
  const SafetensorsFile file(folder.Write("file", SafetensorsBytes(json, "aaaabbbbcccc")));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.Find("b"), nullptr);
  EXPECT_EQ(file.Find("empty")->shape, (Dims{3, 0}));
  EXPECT_TRUE(file.Find("z")->shape.empty());
  char text[4] = {};
  file.Read(*file.Find("z"), 0, 4, text);
  EXPECT_EQ(std::string(text, 4), "cccc");
  file.Read(*file.Find("a"), 3, 2, text);
  EXPECT_EQ(std::string(text, 2), "ab");
}

TEST(SafetensorsTest, ReadsAnEmptyFile) {
  const TempFolder folder;
  EXPECT_TRUE(SafetensorsFile(folder.Write("file", Json("{}"))).tensors().empty());
}

TEST(SafetensorsTest, ReadsWhatItWrites) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  const std::string half = "12345678", bytes = "xyz", single = "ABCD";
  const Metadata metadata = {{"format", "pt"}, {"quote\"", "\n"}};
  WriteSafetensors(path,
                   {{"w", "BF16", {2, 2}, half.data()},
                    {"\"odd\" é", "U8", {3}, bytes.data()},
                    {"s", "F32", {}, single.data()},
                    {"none", "F32", {0, 5}, nullptr}},
                   metadata);
  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.Find("w")->shape, (Dims{2, 2}));
  char text[8] = {};
  file.Read(*file.Find("w"), 0, 8, text);
  EXPECT_EQ(std::string(text, 8), half);
  file.Read(*file.Find("\"odd\" é"), 0, 3, text);
  EXPECT_EQ(std::string(text, 3), bytes);
  file.Read(*file.Find("s"), 0, 4, text);
  EXPECT_EQ(std::string(text, 4), single);
  EXPECT_EQ(ReadBytes(path)[0] % 8, 0) << "the tensors must start at a multiple of 8 bytes";
}

TEST(SafetensorsTest, WritesInPiecesOfAnyOrder) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  {
    const Dims two = {2}, three = {3};
    SafetensorsWriter writer(path, {{"b", "F32", two}, {"a", "U8", three}}, {{"format", "pt"}});
    const Tensor &b = writer.tensors()[0], &a = writer.tensors()[1];
    EXPECT_EQ(b.end, 8u);
    EXPECT_EQ(a.begin, 8u);
    writer.Write(a, 1, 2, "yz");
    writer.Write(b, 4, 4, "5678");
    writer.Write(a, 0, 1, "x");
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.Write(b, 0, 4, "1234");
    writer.Commit();
    EXPECT_EQ(std::filesystem::file_size(path), writer.file_bytes());
  }
  const std::map<std::string, std::string> written = folder.Contents();
  const std::string half = "12345678", bytes = "xyz";
  WriteSafetensors(path, {{"b", "F32", {2}, half.data()}, {"a", "U8", {3}, bytes.data()}},
                   {{"format", "pt"}});
  EXPECT_EQ(folder.Contents(), written);
}

TEST(SafetensorsTest, WritesNothingIfATensorIsWrong) {
  const TempFolder folder;
  const std::string path = folder / "file.safetensors";
  const std::vector<std::vector<TensorData>> bad = {
      {{"a", "F31", {1}, "1234"}},
      {{"a", "F4", {1}, "1"}},
      {{"a", "F32", {uint64_t{1} << 62}, "1234"}},
      {{"a", "F32", {1}, "1234"}, {"a", "F32", {1}, "1234"}},
      {{"__metadata__", "F32", {1}, "1234"}},
  };
  for (const std::vector<TensorData>& tensors : bad) {
    EXPECT_TRUE(Contains(ErrorOf(path, [&] { WriteSafetensors(path, tensors); }), "cannot hold a tensor"));
    EXPECT_TRUE(folder.Contents().empty());
  }
}

}  // namespace
}  // namespace fusedffn::io
