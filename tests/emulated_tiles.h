// AMX's tile registers in plain C++, with the instructions' exact semantics, for CPUs without them: Intel's
// Software Developer's Manual, volume 2, LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS and TDPBUSD. What the
// instructions would refuse by an exception is counted and does nothing.
#ifndef FUSEDFFN_TESTS_EMULATED_TILES_H_
#define FUSEDFFN_TESTS_EMULATED_TILES_H_

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/amx_tiles.h"
#include "src/system/float_environment.h"
#include "tests/widen.h"

namespace fusedffn {

// The registers of one thread.
struct TileState {
  bool configured = false;
  size_t rows[kTileRegisters] = {}, row_bytes[kTileRegisters] = {};
  uint8_t data[kTileRegisters][kMaxRowsOfTile][kMaxBytesOfTileRow] = {};
};

// A tile unit, see kernels/amx_tiles.h.
class EmulatedTiles {
 public:
  // Instructions that were refused, on all threads.
  static std::atomic<size_t>& Faults() {
    static std::atomic<size_t> faults{0};
    return faults;
  }

  static void Configure(const TileConfig& config) {
    TileState next;
    bool valid = config.palette == 1 && config.start_row == 0;
    for (const uint8_t byte : config.reserved) valid = valid && byte == 0;
    for (size_t i = 0; i < 16; ++i) {
      const size_t rows = config.rows[i], bytes = config.row_bytes[i];
      valid = valid && rows <= kMaxRowsOfTile && bytes <= kMaxBytesOfTileRow && (rows == 0) == (bytes == 0);
      if (i >= kTileRegisters) {
        valid = valid && rows == 0;
      } else if (valid) {
        next.rows[i] = rows, next.row_bytes[i] = bytes;
      }
    }
    next.configured = true;
    if (Check(valid)) State() = next;
  }

  static void Release() { State() = TileState(); }

  template <size_t kReg>
  static void Load(const void* from, size_t stride) {
    TileState& state = State();
    if (!Check(IsUsable(kReg))) return;
    std::memset(state.data[kReg], 0, sizeof(state.data[kReg]));
    for (size_t row = 0; row < state.rows[kReg]; ++row) {
      std::memcpy(state.data[kReg][row], static_cast<const uint8_t*>(from) + row * stride,
                  state.row_bytes[kReg]);
    }
  }

  template <size_t kReg>
  static void LoadOnce(const void* from, size_t stride) {
    Load<kReg>(from, stride);
  }

  template <size_t kReg>
  static void Store(void* to, size_t stride) {
    const TileState& state = State();
    if (!Check(IsUsable(kReg))) return;
    for (size_t row = 0; row < state.rows[kReg]; ++row) {
      std::memcpy(static_cast<uint8_t*>(to) + row * stride, state.data[kReg][row], state.row_bytes[kReg]);
    }
  }

  template <size_t kReg>
  static void Zero() {
    if (Check(IsUsable(kReg))) std::memset(State().data[kReg], 0, sizeof(State().data[kReg]));
  }

  // To nearest, with denormals as zero, whatever MXCSR says.
  template <size_t kC, size_t kA, size_t kB>
  static void MultiplyBF16() {
    if (!Check(Fit(kC, kA, kB))) return;
    const FloatEnvironment environment(true);
    ForEachSum<float>(kC, kA, [](const uint8_t* a, size_t column, size_t steps, float* sum) {
      float sums[2] = {};
      for (size_t k = 0; k < steps; ++k) {
        for (const size_t i : {0, 1}) {
          sums[i] = std::fma(Widened(a + 4 * k + 2 * i), Widened(State().data[kB][k] + 4 * column + 2 * i),
                             sums[i]);
        }
      }
      *sum += sums[0] + sums[1];
    });
  }

  template <size_t kC, size_t kA, size_t kB>
  static void MultiplyU8S8() {
    if (!Check(Fit(kC, kA, kB))) return;
    ForEachSum<uint32_t>(kC, kA, [](const uint8_t* a, size_t column, size_t steps, uint32_t* sum) {
      for (size_t i = 0; i < 4 * steps; ++i) {
        const auto b = static_cast<int8_t>(State().data[kB][i / 4][4 * column + i % 4]);
        *sum += static_cast<uint32_t>(int32_t{a[i]} * b);
      }
    });
  }

 private:
  static TileState& State() {
    static thread_local TileState state;
    return state;
  }

  static bool Check(bool valid) {
    if (!valid) ++Faults();
    return valid;
  }

  static bool IsUsable(size_t reg) { return State().configured && State().rows[reg] != 0; }

  // Sizes of a product's registers, which must be three.
  static bool Fit(size_t c, size_t a, size_t b) {
    const TileState& state = State();
    const auto& rows = state.rows;
    const auto& bytes = state.row_bytes;
    return c != a && a != b && b != c && IsUsable(a) && IsUsable(b) && IsUsable(c) && bytes[a] % 4 == 0 &&
           bytes[b] % 4 == 0 && rows[c] == rows[a] && bytes[c] == bytes[b] && bytes[a] / 4 == rows[b];
  }

  // add(row of A, column, steps of k, &sum) for each sum of C, of type T.
  template <class T, class F>
  static void ForEachSum(size_t c, size_t a, const F& add) {
    TileState& state = State();
    for (size_t row = 0; row < state.rows[c]; ++row) {
      for (size_t column = 0; column < state.row_bytes[c] / 4; ++column) {
        uint8_t* const at = state.data[c][row] + 4 * column;
        T sum;
        std::memcpy(&sum, at, sizeof(sum));
        add(state.data[a][row], column, state.row_bytes[a] / 4, &sum);
        std::memcpy(at, &sum, sizeof(sum));
      }
    }
  }

  static float Widened(const uint8_t* bf16) {
    uint16_t stored;
    std::memcpy(&stored, bf16, sizeof(stored));
    return WidenBf16(stored);
  }
};

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_EMULATED_TILES_H_
