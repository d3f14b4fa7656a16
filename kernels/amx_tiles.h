// Compiled once. AMX's eight tile registers: what a tile unit is to the kernels of amx_tile-inl.h.
//
// Each register holds up to 16 rows of 64 bytes. A product reads rows of A, four bytes a step of k, and of B,
// for each step, a row of 16 columns.
#ifndef FUSEDFFN_KERNELS_AMX_TILES_H_
#define FUSEDFFN_KERNELS_AMX_TILES_H_

#include <cstddef>
#include <cstdint>

namespace fusedffn {
inline namespace v0_2 {

inline constexpr size_t kTileRegisters = 8;
inline constexpr size_t kMaxRowsOfTile = 16;
inline constexpr size_t kMaxBytesOfTileRow = 64;

// What ldtilecfg reads.
struct alignas(64) TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// The instructions, by their names, since compilers know them with a flag only. Registers are by number,
// strides in bytes. tests/emulated_tiles.h has the same functions in plain C++.
struct AmxTiles {
  // Zeroes all registers.
  static void Configure(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
  static void Release() { asm volatile("tilerelease"); }

  template <size_t kReg>
  [[gnu::always_inline]] static void Load(const void* from, size_t stride) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(kReg), "r"(from), "r"(stride) : "memory");
  }
  // The same, of what this core will not need again soon: it is kept out of the caches' way.
  template <size_t kReg>
  [[gnu::always_inline]] static void LoadOnce(const void* from, size_t stride) {
    asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0" : : "i"(kReg), "r"(from), "r"(stride) : "memory");
  }
  template <size_t kReg>
  [[gnu::always_inline]] static void Store(void* to, size_t stride) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(kReg), "r"(to), "r"(stride) : "memory");
  }
  template <size_t kReg>
  [[gnu::always_inline]] static void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kReg));
  }
  // C += A * B, a step being two of k in bf16. For all steps of the registers the products of the first ones
  // of all pairs are summed, those of the second ones as well, and then both are added to C.
  template <size_t kC, size_t kA, size_t kB>
  [[gnu::always_inline]] static void MultiplyBF16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
  // The same of four of k, unsigned in A and signed in B; exact but for overflow, which wraps around.
  template <size_t kC, size_t kA, size_t kB>
  [[gnu::always_inline]] static void MultiplyU8S8() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
  }
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_KERNELS_AMX_TILES_H_
