// The .npy reader takes little-endian float32 in C order of any shape, and refuses everything else.
#include "src/files/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/random.h"
#include "tests/test_files.h"

namespace fusedffn::io {
namespace {

struct BadFile {
  const char* name;
  std::string bytes;
  const char* message;  // a part of it
};

std::string Header(const std::string& descr, const std::string& order, const std::string& shape) {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

std::string OfDescr(const std::string& descr) { return NpyBytes(Header(descr, "False", "(1,)"), "1234"); }

std::string OfShape(const std::string& shape, size_t data = 0) {
  return NpyBytes(Header("'<f4'", "False", shape), std::string(data, '\0'));
}

void ExpectRefused(const std::vector<BadFile>& files) {
  const TempFolder folder;
  for (const BadFile& bad : files) {
    SCOPED_TRACE(bad.name);
    const std::string path = folder.Write("bad.npy", bad.bytes);
    EXPECT_TRUE(Contains(ErrorOf(path, [&] { ReadNpy(path); }), bad.message));
  }
}

TEST(NpyTest, RefusesBadStarts) {
  const std::string header = Header("'<f4'", "False", "()");
  ExpectRefused({
      {"empty", "", "0 bytes are too few"},
      {"eleven bytes", std::string("\x93NUMPY\x01\x00v\x00{", 11), "11 bytes are too few"},
      {"another format", "PK\x03\x04 is what .npz begins with", "not a .npy file"},
      {"version 0", NpyBytes(header, "1234", 0), "version 0.0 is not accepted; 1.0, 2.0 and 3.0 are"},
      {"version 4", NpyBytes(header, "1234", 4), "version 4.0 is not accepted"},
      {"version 1.1", NpyBytes(header, "1234").replace(7, 1, "\x01"), "version 1.1 is not accepted"},
      {"header cut short", NpyBytes(header).substr(0, 40), "truncated"},
      {"header of 4 GiB", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14),
       "4294967295 bytes; 65535 are"},
      {"header above the limit", NpyBytes(header + std::string(70'000, ' '), "1234", 2),
       "65535 are the most"},
      {"version 2 read as 1", NpyBytes(header, "1234", 2).replace(6, 1, "\x01"),
       "bad .npy header at its byte 0"},
  });
}

TEST(NpyTest, RefusesBadHeaders) {
  ExpectRefused({
      {"empty header", NpyBytes("", "1234"), "byte 0: expected '{'"},
      {"blank header", NpyBytes("    \n"), "expected '{'"},
      {"empty dictionary", NpyBytes("{}    "), "the keys 'descr', 'fortran_order' and 'shape'"},
      {"not closed", NpyBytes("{'descr': '<f4'"), "expected '}'"},
      {"no shape", NpyBytes("{'descr': '<f4', 'fortran_order': False}"),
       "the keys 'descr', 'fortran_order' and"},
      {"no descr", NpyBytes("{'shape': (), 'fortran_order': False}"),
       "the keys 'descr', 'fortran_order' and"},
      {"no order", NpyBytes("{'shape': (), 'descr': '<f4'}"), "the keys 'descr', 'fortran_order' and"},
      {"descr twice", NpyBytes("{'descr': '<f4', 'descr': '<f4'}"), "each once"},
      {"shape twice", NpyBytes("{'shape': (), 'shape': ()}"), "each once"},
      {"order twice", NpyBytes("{'fortran_order': False, 'fortran_order': False}"), "each once"},
      {"unknown key", NpyBytes("{'strides': (4,)}"), "each once"},
      {"key without quotes", NpyBytes("{descr: '<f4'}"), "expected quoted text"},
      {"quote not closed", NpyBytes("{'descr     "), "a closing quote"},
      {"no colon", NpyBytes("{'descr' '<f4'}"), "expected ':'"},
      {"no comma", NpyBytes("{'descr': '<f4' 'shape': ()}"), "expected '}'"},
      {"something after it", NpyBytes(Header("'<f4'", "False", "()") + "x", "1234"),
       "nothing after the dictionary"},
      {"zero byte after it", NpyBytes(Header("'<f4'", "False", "()") + '\0', "1234"), "nothing after the"},
      {"order is a number", NpyBytes(Header("'<f4'", "0", "()"), "1234"), "True or False"},
      {"Fortran order", NpyBytes(Header("'<f4'", "True", "(1, 1)"), "1234"), "only C order is accepted"},
  });
}

TEST(NpyTest, RefusesOtherDTypes) {
  ExpectRefused({
      {"big-endian", OfDescr("'>f4'"),
       "dtype ''>f4'' is not accepted; only '<f4' (little-endian float32) is"},
      {"the machine's own", OfDescr("'=f4'"), "is not accepted; only '<f4'"},
      {"double", OfDescr("'<f8'"), "is not accepted; only '<f4'"},
      {"half", OfDescr("'<f2'"), "is not accepted; only '<f4'"},
      {"integer", OfDescr("'<i4'"), "is not accepted; only '<f4'"},
      {"pickled objects", OfDescr("'|O'"), "is not accepted; only '<f4'"},
      {"text", OfDescr("'<U1'"), "is not accepted; only '<f4'"},
      {"structure", OfDescr("[('a', '<f4')]"), "is not accepted; only '<f4'"},
      {"nothing", OfDescr(""), "is not accepted; only '<f4'"},
  });
}

TEST(NpyTest, RefusesBadShapes) {
  ExpectRefused({
      {"list", OfShape("[1]", 4), "expected '('"},
      {"number", OfShape("1", 4), "expected '('"},
      {"number in brackets", OfShape("(1)", 4), "a tuple for 'shape'"},
      {"negative", OfShape("(-1,)", 4), "integers from 0 to 2^64 - 1"},
      {"fraction", OfShape("(1.0,)", 4), "a comma in 'shape'"},
      {"text", OfShape("('1',)", 4), "integers from 0"},
      {"2^64", OfShape("(18446744073709551616,)", 4), "integers from 0 to 2^64 - 1"},
      {"no comma", OfShape("(1 1)", 4), "a comma in 'shape'"},
      {"two commas", OfShape("(1,,1)", 4), "integers from 0"},
      {"nested", OfShape("((1,),)", 4), "integers from 0"},
      {"not closed", OfShape("(1, ", 4), "integers from 0"},
      {"product wraps to 0", OfShape("(4294967296, 4294967296)"),
       "shape [4294967296, 4294967296] takes over 2^64"},
      {"product wraps, then 0", OfShape("(9223372036854775808, 2, 0)"), "takes over 2^64"},
      {"bytes wrap to 0", OfShape("(4611686018427387904,)"), "takes over 2^64"},
      {"bytes wrap to 4", OfShape("(4611686018427387905,)", 4), "takes over 2^64"},
      {"more than there is", OfShape("(257, 1024)", 4000), "4000 bytes follow the header"},
      {"less than there is", OfShape("(2,)", 9), "9 bytes follow the header, but shape [2] takes 8"},
      {"one byte too few", OfShape("(2,)", 7), "7 bytes follow the header, but shape [2] takes 8"},
      {"nothing for a scalar", OfShape("()"), "0 bytes follow the header, but shape [] takes 4"},
  });
}

TEST(NpyTest, SurvivesDamageAndRefusesTruncationAtEveryByte) {
  const std::string whole =
      NpyBytes(Header("'<f4'", "False", "(1, 3, 7)") + std::string(60, ' '), std::string(84, 'x'));
  const TempFolder folder;
  const std::string path = folder.Write("a.npy", whole);
  EXPECT_EQ(ReadNpy(path).shape, (Dims{1, 3, 7}));
  Random random(1);
  for (size_t at = 0; at < whole.size(); ++at) {
    Poke(path, at, static_cast<char>(random.Bits()));
    ErrorOf(path, [&] { EXPECT_EQ(ReadNpy(path).values.size(), 21u); });
    Poke(path, at, whole[at]);
  }
  for (size_t size = whole.size(); size-- > 0;) {
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(size)), 0);
    ASSERT_NE(ErrorOf(path, [&] { ReadNpy(path); }), "") << size << " bytes";
  }
}

TEST(NpyTest, ReadsEveryVersionAndSpelling) {
  const std::string headers[] = {
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }          \n",
      "{\"shape\":(2,1,),\"descr\":\"<f4\",\"fortran_order\":False}",
      "{ 'fortran_order' : False , 'shape' : ( 2 , 1 ) , 'descr' : '<f4' }\n\n",
  };
  const TempFolder folder;
  for (const std::string& header : headers) {
    for (int version = 1; version <= 3; ++version) {
      SCOPED_TRACE(header + " in version " + std::to_string(version));
      const std::string one = LittleEndian(0x3F800000, 4), two = LittleEndian(0x40000000, 4);
      const Array array = ReadNpy(folder.Write("a.npy", NpyBytes(header, one + two, version)));
      EXPECT_EQ(array.shape, (Dims{2, 1}));
      EXPECT_EQ(array.values, (std::vector<float>{1, 2}));
    }
  }
}

TEST(NpyTest, ReadsWhatItWrites) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  for (const Dims& shape : {Dims{}, Dims{5}, Dims{0, 1024}, Dims{2, 3}, Dims{1, 257, 4}, Dims(40, 1)}) {
    const Array array = {shape, Random(1).SymmetricVector(*ElementCount(shape), 1.0f)};
    WriteNpy(path, array);
    const Array again = ReadNpy(path);
    EXPECT_EQ(again.shape, shape);
    EXPECT_EQ(again.values, array.values);
  }
}

// Byte for byte what numpy.save() of version 2.4 writes for these.
TEST(NpyTest, WritesWhatNumPyWrites) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  const std::pair<Dims, std::string> cases[] = {{{2, 1}, "(2, 1)"}, {{2}, "(2,)"}};
  for (const auto& [shape, text] : cases) {
    WriteNpy(path, {shape, {1.0f, 2.0f}});
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + text + ", }";
    header.resize(117, ' ');
    EXPECT_EQ(ReadBytes(path), NpyBytes(header + "\n", LittleEndian(0x400000003F800000, 8)));
  }
}

}  // namespace
}  // namespace fusedffn::io
