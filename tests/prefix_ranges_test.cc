// Ranges of prefixes: every number of the layers, experts in each, holes, and names that only look like
// numbers.
#include "tools/fusedffn/prefix_ranges.h"

#include <gtest/gtest.h>

namespace fusedffn::program {
namespace {

using Texts = std::vector<std::string>;

TEST(PrefixRangesTest, WithoutNumbers) {
  EXPECT_EQ(WithoutNumbers("layers.10.mlp.experts.3"), "layers.#.mlp.experts.#");
  EXPECT_EQ(WithoutNumbers("10"), "#");
  EXPECT_NE(WithoutNumbers("#.1"), WithoutNumbers("1.1"));
  for (const char* same :
       {"", "mlp", "layer1.mlp", "layers.01.mlp", "layers.1234567890.mlp", "a..b", ".", "a."}) {
    EXPECT_EQ(WithoutNumbers(same), same);
  }
}

TEST(PrefixRangesTest, Collapses) {
  EXPECT_EQ(CollapsePrefixes({""}), Texts{""});
  EXPECT_EQ(CollapsePrefixes({"m"}), Texts{"m"});
  EXPECT_EQ(CollapsePrefixes({"layers.5.mlp"}), Texts{"layers.5.mlp"});
  EXPECT_EQ(CollapsePrefixes({"l.0", "l.1", "l.2"}), Texts{"l.{0..2}"});
  EXPECT_EQ(CollapsePrefixes({"l.0", "l.1", "l.3", "l.5", "l.6"}), Texts{"l.{0..1,3,5..6}"});
  EXPECT_EQ(CollapsePrefixes({"l.1.e.0", "l.1.e.1", "l.2.e.0", "l.2.e.1"}), Texts{"l.{1..2}.e.{0..1}"});
  EXPECT_EQ(CollapsePrefixes({"a.0.0", "a.0.1", "a.1.0"}), (Texts{"a.1.0", "a.0.{0..1}"}));
  EXPECT_EQ(CollapsePrefixes({"#.0.##.a#", "#.1.##.a#"}), Texts{"#.{0..1}.##.a#"});
}

// As many numbers as a name may have: the rest stays text.
TEST(PrefixRangesTest, ManyNumbers) {
  std::string prefix = "a";
  for (int i = 0; i < 100'000; ++i) prefix += ".1";
  EXPECT_EQ(CollapsePrefixes({prefix}), Texts{prefix});
}

}  // namespace
}  // namespace fusedffn::program
