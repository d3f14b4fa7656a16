// The precisions of gemm_peer.h: element types, the weights and the input in them, and the passes around the
// two matrix products. All layers are of one block, so that each of these is there once.
#ifndef FUSEDFFN_BENCH_PEERS_GEMM_PRECISION_H_
#define FUSEDFFN_BENCH_PEERS_GEMM_PRECISION_H_

#include <cstdint>

#include "bench/bf16.h"
#include "bench/peers/activation_pass.h"
#include "bench/peers/static_int8.h"

namespace fusedffn::bench {

class F32 {
 public:
  using Input = float;
  using Weight = float;
  using Sum = float;
  static constexpr const char* kName = "f32";

  explicit F32(const Block& block) : block_(block) {}

  const float* w1() const { return block_.w1.data(); }
  const float* w2() const { return block_.w2.data(); }

  void PrepareInput(const float* x, size_t /*count*/) { x_ = x; }
  const float* input() const { return x_; }

  void PrepareHidden(size_t /*count*/) {}
  // In place.
  const float* Activate(float* sums, size_t tokens, int threads) {
    AddBiasQuickGelu(sums, tokens, block_.shape.hidden, block_.b1.data(), threads, sums);
    return sums;
  }

 private:
  const Block& block_;
  const float* x_ = nullptr;
};

class Bf16 {
 public:
  using Input = uint16_t;
  using Weight = uint16_t;
  using Sum = float;
  static constexpr const char* kName = "bf16";

  explicit Bf16(const Block& block)
      : block_(block),
        w1_(ToBf16(block.w1.data(), block.w1.size())),
        w2_(ToBf16(block.w2.data(), block.w2.size())) {}

  const uint16_t* w1() const { return w1_.data(); }
  const uint16_t* w2() const { return w2_.data(); }

  void PrepareInput(const float* x, size_t count) { x_ = ToBf16(x, count); }
  const uint16_t* input() const { return x_.data(); }

  void PrepareHidden(size_t count) { hidden_ = Buffer<uint16_t>(count); }
  const uint16_t* Activate(const float* sums, size_t tokens, int threads) {
    AddBiasQuickGelu(sums, tokens, block_.shape.hidden, block_.b1.data(), threads, hidden_.data());
    return hidden_.data();
  }

 private:
  const Block& block_;
  Buffer<uint16_t> w1_, w2_, x_, hidden_;
};

class Int8 {
 public:
  using Input = uint8_t;
  using Weight = int8_t;
  using Sum = int32_t;
  static constexpr const char* kName = "int8";

  explicit Int8(const Block& block)
      : shape_(block.shape),
        formats_(Calibrate(block)),
        w1_(block.w1, shape_.hidden, shape_.dim),
        w2_(block.w2, shape_.out, shape_.hidden),
        fc1_(w1_, block.b1, formats_.x),
        fc2_(w2_, block.b2, formats_.hidden) {}

  const int8_t* w1() const { return w1_.values.data(); }
  const int8_t* w2() const { return w2_.values.data(); }

  void PrepareInput(const float* x, size_t count) { x_ = Quantize(formats_.x, x, count); }
  const uint8_t* input() const { return x_.data(); }

  void PrepareHidden(size_t count) { hidden_ = Buffer<uint8_t>(count); }
  const uint8_t* Activate(const int32_t* sums, size_t tokens, int threads) {
    DequantizeQuickGelu(sums, tokens, shape_.hidden, fc1_, formats_.hidden, threads, hidden_.data());
    return hidden_.data();
  }

  void Finish(const int32_t* sums, size_t tokens, int threads, float* y) const {
    Dequantize(sums, tokens, shape_.out, fc2_, threads, y);
  }

 private:
  Shape shape_;
  U8Formats formats_;
  S8Weights w1_, w2_;
  Dequantizer fc1_, fc2_;
  Buffer<uint8_t> x_, hidden_;
};

}  // namespace fusedffn::bench

#endif  // FUSEDFFN_BENCH_PEERS_GEMM_PRECISION_H_
