// The probes of kernels/probe: which of them there are, not how fast.
#include "kernels/probe/probe.h"

#include <gtest/gtest.h>

#include "tests/targets.h"

namespace fusedffn {
namespace {

TEST(ProbeTest, EveryTargetHasATileWhereItHasAPeak) {
  for (const std::string& target : SupportedTargets()) {
    for (const Precision precision : AllPrecisions()) {
      SCOPED_TRACE(target + ", " + PrecisionName(precision));
      PackOptions options;
      options.target = target.c_str();
      options.precision = precision;
      PackedFfn ffn;
      const bool runs = PackedFfn::Create({1, 1, 1}, Activation::kQuickGelu, options, &ffn).ok();
      const double peak = ProbePeak(target.c_str(), precision, 1, 0);
      const double tile = ProbeTile(target.c_str(), precision, 2, 0);
      EXPECT_EQ(peak > 0, runs);
      EXPECT_EQ(tile > 0, runs);
    }
  }
}

}  // namespace
}  // namespace fusedffn
