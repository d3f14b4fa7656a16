// What WorkspaceBytes() says of calls that cannot run, the same for blocks and linears.
#ifndef FUSEDFFN_TESTS_WORKSPACE_H_
#define FUSEDFFN_TESTS_WORKSPACE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fusedffn/fusedffn.h"
#include "tests/test_block.h"

namespace fusedffn {

template <class Packed>
void ExpectNoWorkspaceForWhatCannotRun(const Packed& packed) {
  EXPECT_EQ(WorkspaceBytes(Packed(), 4, 1), 0u);
  for (const int threads : {-1, -2, INT_MIN, INT_MAX}) EXPECT_EQ(WorkspaceBytes(packed, 4, threads), 0u);
  const size_t columns = std::max(InOf(packed), OutOf(packed)), most = PTRDIFF_MAX / 2 / columns;
  for (const int threads : {0, 1, 2, 100}) {
    EXPECT_GT(WorkspaceBytes(packed, 4, threads), 0u);
    EXPECT_GT(WorkspaceBytes(packed, most, threads), 0u);  // of 2 bytes each
    for (const size_t tokens : {most + 1, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX}) {
      EXPECT_EQ(WorkspaceBytes(packed, tokens, threads), 0u) << tokens;
      EXPECT_EQ(std::string(Describe(packed, tokens, {threads}).text),
                "tokens is " + std::to_string(tokens) + "; so many rows of " + std::to_string(columns) +
                    " columns do not fit in memory\n");
    }
  }
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_WORKSPACE_H_
