// fusedffn: a transformer's feed-forward block on CPUs, y = fc2(activation(fc1(x))), or gated as in Llama,
// Qwen2 and DeepSeek: y = fc2(activation(fc1(x)) * up(x)).
//
// The whole public interface for C++; fusedffn/fusedffn_c.h has the same for C. In short (a longer example is
// in README.md):
//
//   fusedffn::Weights w;                                 // once, at load
//   w.shape = {1024, 4096, 1024};
//   w.fc1.weight = w1, w.fc1.bias = b1, w.fc2.weight = w2, w.fc2.bias = b2;
//   fusedffn::PackedFfn ffn;
//   fusedffn::Status status = fusedffn::Pack(w, {}, &ffn);
//   if (status.ok()) status = fusedffn::Run(ffn, x, 1024, tokens, y, 1024);   // any time, from any thread
//   if (!status.ok()) std::puts(status.message());
//
// Conventions, true of every function here:
//  - Matrices are row-major. Strides are counted in elements, from the start of one row to the next.
//  - Pointers need the natural alignment of their element type, no more, and those to weights and biases
//    none. Nothing outside the described rows and columns is read or written; gaps between rows may hold
//    anything.
//  - Nothing prints, aborts or throws. Errors come back as a Status that says what was wrong and what is
//    accepted, and then no output has been touched.
//  - Enumerators keep their numbers; new ones are added at the end.
//  - Everything is computed in the default floating-point environment (to nearest, denormals kept but for
//    RunOptions::flush_denormals, exceptions masked), whatever that of the caller or of an executor's
//    threads; a call leaves it as it was, with its flags.
//  - A child after fork() may call, whatever other threads did at that moment, and starts threads of its own.
#ifndef FUSEDFFN_FUSEDFFN_H_
#define FUSEDFFN_FUSEDFFN_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "fusedffn/version.h"

#define FUSEDFFN_API [[gnu::visibility("default")]]

namespace fusedffn {
// Changes with the minor version.
inline namespace v0_2 {

// "0.2.0": of the library that is linked; the numbers in fusedffn/version.h are of these headers. Until 1.0
// every minor version may change the interface (CHANGELOG.md says how to migrate) and has a shared library's
// name of its own. Within one, sources that compile go on to compile. Objects must be compiled with the
// header of the library that they are linked to; everything is in an inline namespace of the minor version,
// so that two versions of the static library may be in one program. fusedffn/fusedffn_c.h, for C, is stable
// in binary form.
FUSEDFFN_API const char* Version() noexcept;

enum class StatusCode {
  kOk = 0,
  kInvalidArgument = 1,    // an argument is null, zero, too large, overlapping, ...
  kUnsupportedTarget = 2,  // the named instruction set is unknown, not compiled in, or not on this CPU
  kIncomplete = 3,         // a handle is empty, or not every row of its weights has been packed
  kOutOfMemory = 4,
  kBadFile = 5,  // of fusedffn/io.h: a file cannot be read, or does not have what is asked for
};

// The outcome of a call. Holds its message in place: creating one never allocates.
class [[nodiscard]] FUSEDFFN_API Status {
 public:
  Status() = default;  // success
  // printf-style. A message longer than the buffer is cut.
  [[gnu::format(printf, 3, 4)]] Status(StatusCode code, const char* format, ...) noexcept;

  bool ok() const noexcept { return code_ == StatusCode::kOk; }
  StatusCode code() const noexcept { return code_; }
  const char* message() const noexcept { return message_; }  // "" on success; one line, no newline

 private:
  StatusCode code_ = StatusCode::kOk;
  char message_[252] = "";
};

// Element types of weights, biases, x and y in memory: 32 or 16 bits in the CPU's byte order. bf16 and fp16
// are widened exactly to fp32 when read, and rounded to nearest, ties to even, when written.
enum class DType { kF32 = 0, kBF16 = 1, kF16 = 2 };

// How packed weights are kept and multiplied. Biases and the activation are fp32 in all of them, and sums in
// all but kInt8.
enum class Precision {
  // Weights as fp32: 4 bytes a parameter.
  kF32 = 0,
  // Weights as bf16: 2 bytes a parameter; they are widened exactly while they are multiplied. With weights
  // that are bf16 already, the same bits as kF32; others are rounded to bf16 when packed.
  kBF16 = 1,
  // As kBF16, and x and the hidden values are rounded to bf16 as well: for the CPU's bf16 dot-product
  // instruction, on targets that have it, or AMX's. Denormals count as zero.
  kBF16Dot = 2,
  // Weights as 8-bit integers: 1 byte a parameter, quantized when packed; x and the hidden values are
  // quantized on the way. Off by 1 to 2 % of y, and more where few of a token's values are far larger than
  // the others: README, "int8", says when not to use it.
  kInt8 = 3,
  // Weights as kBF16, and fp32's accuracy by AMX's bf16 instructions: x and the hidden values are cut into
  // three bf16 each, whose sum they are. Needs AMX, which multiplies three times as much as for kBF16Dot.
  // Weights must not be infinite, and denormal ones count as zero.
  kBF16x3 = 4,
};
inline constexpr size_t kPrecisionCount = 5;

// "f32", "bf16", "bf16-dot", "int8", "bf16-x3"; "" for any other number.
FUSEDFFN_API const char* PrecisionName(Precision precision) noexcept;

// ULP: the largest distance from the formula in double precision, measured over all 2^32 floats on x86
// targets with and without FMA; results below 2^-126 are within 2 * 2^-149. NaN gives NaN, and +inf gives
// +inf.
enum class Activation {
  // -inf and -0 give -0.
  kQuickGelu = 0,  // x * sigmoid(1.702 x); 2.54 ULP; x itself from 16 up
  kGelu = 1,       // x / 2 * erfc(-x / sqrt(2)), the exact one; 3.60 ULP; x itself from 5.5 up
  kGeluTanh = 2,   // x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); 2.57 ULP; x itself from 6 up
  kSilu = 3,       // x * sigmoid(x); 2.44 ULP; x itself from 20 up

  kRelu = 4,      // max(x, 0), exact; -inf gives 0, -0 gives -0
  kRelu2 = 5,     // max(x, 0)^2; 0.5 ULP; -inf and -0 give 0; +inf from 2^64 up
  kIdentity = 6,  // x

  kHardSwish = 7,  // x * min(max(x + 3, 0), 6) / 6; 2.49 ULP; x itself from 3 up; -0 from -3 down
};
inline constexpr size_t kActivationCount = 8;

// "quick_gelu", "gelu", "gelu_tanh", "silu", "relu", "relu2", "identity", "hardswish"; "" for any other
// number.
FUSEDFFN_API const char* ActivationName(Activation activation) noexcept;

// fc1: [tokens, dim] -> [tokens, hidden]; fc2: [tokens, hidden] -> [tokens, out]. Each 1 to 2^30, and a layer
// at most 2^40 parameters.
struct Shape {
  size_t dim = 0;
  size_t hidden = 0;
  size_t out = 0;
  bool gated = false;  // y = fc2(activation(fc1(x)) * up(x)), with `up` like fc1
};

// One nn.Linear: y[n] = bias[n] + sum over k of weight[n][k] x[k].
struct Linear {
  const void* weight = nullptr;  // [rows = output features, cols = input features]
  const void* bias = nullptr;    // [rows], or null for none
  DType dtype = DType::kF32;     // of weight and bias
  size_t stride = 0;             // of weight, in elements; 0 stands for cols
};

// A gated block's three are called gate_proj, down_proj and up_proj (w1, w2 and w3) in most checkpoints, and
// its activation is mostly kSilu.
struct Weights {
  Shape shape;
  Linear fc1;                                      // [hidden, dim]; the gate
  Linear fc2;                                      // [out, hidden]; down
  Activation activation = Activation::kQuickGelu;  // CLIP's; most other models have another
  Linear up = {};                                  // [hidden, dim] if shape.gated, else it must stay empty
};

// kInt8's weights: w = scale * q, q in -127..127, with a scale for each row and for each group of so many
// columns, the last of which may be smaller. This is the default; PackOptions::int8_group has the other size.
inline constexpr size_t kInt8GroupSize = 1152;
// `group`: 1152 or 128.
constexpr size_t Int8Groups(size_t cols, size_t group = kInt8GroupSize) {
  return cols / group + (cols % group != 0);
}

struct PackOptions {
  // Instruction set to pack and run for, by its name in Targets(), in any case; null: the best one here.
  // "AVX3_AMX" is AVX3_SPR with AMX's tile registers for kBF16Dot, kBF16x3 and kInt8. On Linux a process must
  // ask for them: creating a handle of such a target and precision does, and nothing else; if they are
  // refused, it is an error with the reason, or for null the next target. Once they are granted, Linux
  // refuses alternate signal stacks (sigaltstack()) that are smaller than sysconf(_SC_MINSIGSTKSZ), some 11
  // KB: the old SIGSTKSZ of 8 KB is too small.
  const char* target = nullptr;
  Precision precision = Precision::kF32;  // for weights in bf16 kBF16 gives the same bits in half the memory
  // kInt8's groups: 1152 columns, or 128, which is more exact, above all where few of a token's values are
  // far larger than the others, and slower. Nothing else is accepted, whatever the precision.
  size_t int8_group = kInt8GroupSize;
  int threads = 0;  // that Pack() packs on, as in RunOptions; PackRows() packs on the calling one
  // Denormal weights, those below 2^-126, are packed as zeros.
  bool flush_denormals = false;
};

// How far y may be from the exact one, as a relative L2 error. What kInt8's depends on is in README, "int8".
enum class Accuracy {
  kF32Like = 0,   // below 1e-5
  kBF16Like = 1,  // about 1e-2
  kInt8Like = 2,  // a few 1e-2
};

struct PrecisionChoice {
  Precision precision;
  bool measured;  // false: nothing was, and this is the lossless one
};

// The fastest precision that keeps to `accuracy` in calls of `tokens` tokens, for weights that come as
// `weights`, on a target (null: the best one here), as it was measured on this kind of CPU: a vendor and a
// target. Of two that are equally fast it is the smaller one. If nothing was measured, or an argument is
// invalid, it is the lossless one: kBF16 for weights in bf16, else kF32. The target has what is returned.
// Measured with CLIP-L's block; the evidence is in bench/results/tuning.md.
FUSEDFFN_API PrecisionChoice FastestPrecision(Accuracy accuracy, DType weights, const char* target,
                                              size_t tokens) noexcept;

// The layers of a block. kUp: of a gated one only.
enum class Layer { kFc1 = 0, kFc2 = 1, kUp = 2 };

// What the library keeps behind the classes below.
struct PackedBlock;
struct PackedBlockAccess;
struct FUSEDFFN_API PackedBlockDeleter {
  void operator()(PackedBlock* block) const noexcept;
};

// Weights in the order in which the kernels of one instruction set read them: 4, 2 or 1 bytes a parameter
// (see Precision), plus the padding of each layer's output features to a vector (under 1 % from 1024 up).
// Movable, not copyable. Any number of threads may Run() on one PackedFfn at the same time.
class FUSEDFFN_API PackedFfn {
 public:
  PackedFfn() noexcept;  // empty: Run() refuses it
  PackedFfn(PackedFfn&&) noexcept;
  PackedFfn& operator=(PackedFfn&&) noexcept;
  ~PackedFfn();

  // Reserves memory for weights that will arrive in pieces, for example from a file that should not be
  // held in memory a second time. Biases start as zero. `*ffn` is replaced on success only.
  static Status Create(const Shape& shape, Activation activation, const PackOptions& options,
                       PackedFfn* ffn) noexcept;

  // Packs rows [first_row, first_row + rows) of one layer's weight: `weight` points at row `first_row`.
  // Each row must be packed once, in any order and any pieces. Several threads may pack at the same time. If
  // two calls name the same row, one succeeds; the other is an error, and packs nothing. Pieces of a multiple
  // of 192 rows are the fastest: they share no cache line on any target. All packing must happen before
  // Run(), ordered by a join or a lock. `stride` is at least the columns; 0 is an error.
  Status PackRows(Layer layer, size_t first_row, size_t rows, const void* weight, DType dtype,
                  size_t stride) noexcept;

  // The same for rows that QuantizeRows() has quantized: `q` and `scales` of row `first_row` and the
  // following. The precision must be kInt8, and `group` the options' int8_group; then the packed bits are
  // those that PackRows() makes of the original rows. What QuantizeRows() cannot make is an error, and packs
  // nothing: a q of -128, or of a group with a scale of 0 or NaN any but 0; another scale below 2^-120, or an
  // infinite one.
  Status PackQuantizedRows(Layer layer, size_t first_row, size_t rows, const int8_t* q, size_t stride,
                           const float* scales, size_t group = kInt8GroupSize) noexcept;

  // Sets one layer's whole bias ([hidden] or [out] elements). It may be set again. Threads may set those of
  // different layers at the same time, and while rows are packed, but not during a Run().
  Status PackBias(Layer layer, const void* bias, DType dtype) noexcept;

  Shape shape() const noexcept;          // {} if empty
  Precision precision() const noexcept;  // kF32 if empty
  const char* target() const noexcept;   // "AVX3", "NEON", ...; "" if empty
  size_t packed_bytes() const noexcept;  // memory held by this object
  // Weights packed so far that are denormal and were kept as such, which none is in kInt8.
  size_t denormals() const noexcept;

 private:
  friend struct PackedBlockAccess;
  std::unique_ptr<PackedBlock, PackedBlockDeleter> block_;
};

// A single layer, y = activation(x weight^T + bias), such as a transformer's other projections: packed and
// run as a block is, in every precision, from the same kernels. What is said of PackedFfn's functions is true
// of these, with a weight of [out, in], row-major, and a bias of [out]. Movable, not copyable; any number of
// threads may Run() on one at the same time.
class FUSEDFFN_API PackedLinear {
 public:
  PackedLinear() noexcept;  // empty: Run() refuses it
  PackedLinear(PackedLinear&&) noexcept;
  PackedLinear& operator=(PackedLinear&&) noexcept;
  ~PackedLinear();

  // `in` and `out`: 1 to 2^30. Memory for weights that arrive in pieces; the bias starts as zero.
  static Status Create(size_t in, size_t out, Activation activation, const PackOptions& options,
                       PackedLinear* linear) noexcept;
  // Rows [first_row, first_row + rows), each once, `stride` elements apart; on several threads as those of a
  // PackedFfn.
  Status PackRows(size_t first_row, size_t rows, const void* weight, DType dtype, size_t stride) noexcept;
  Status PackQuantizedRows(size_t first_row, size_t rows, const int8_t* q, size_t stride, const float* scales,
                           size_t group = kInt8GroupSize) noexcept;
  // The whole bias; on one thread at a time, which may be while others pack rows.
  Status PackBias(const void* bias, DType dtype) noexcept;

  size_t in() const noexcept;   // 0 if empty
  size_t out() const noexcept;  // 0 if empty
  Precision precision() const noexcept;
  const char* target() const noexcept;
  size_t packed_bytes() const noexcept;
  size_t denormals() const noexcept;

 private:
  friend struct PackedBlockAccess;
  std::unique_ptr<PackedBlock, PackedBlockDeleter> block_;
};

// Quantizes `rows` rows of `cols` elements, `stride` apart, as packing with kInt8 and an int8_group of
// `group` does: q [rows][cols] and scales [rows][Int8Groups(cols, group)], both without gaps. A group with a
// NaN or infinity gets zeros and a scale of NaN; one whose scale would be below 2^-120 zeros and a scale of
// 0. Allocates nothing; thread-safe.
FUSEDFFN_API Status QuantizeRows(const void* weight, DType dtype, size_t rows, size_t cols, size_t stride,
                                 int8_t* q, float* scales, size_t group = kInt8GroupSize) noexcept;

// Create(), PackRows() and PackBias() in one call for weights that are in memory, on options.threads. Reads
// them once and does not keep the pointers. `*ffn` is replaced on success only. The packed bits do not depend
// on the threads.
FUSEDFFN_API Status Pack(const Weights& weights, const PackOptions& options, PackedFfn* ffn) noexcept;
// The same for a single layer; `*linear` is replaced on success only.
FUSEDFFN_API Status Pack(const Linear& weights, size_t in, size_t out, Activation activation,
                         const PackOptions& options, PackedLinear* linear) noexcept;

enum class NormKind {
  // (x - mean) / sqrt(variance + eps) * weight + bias, with the mean and the biased variance of the row, as
  // torch.nn.LayerNorm. A row of equal elements becomes the bias, or with eps = 0 NaN.
  kLayerNorm = 0,
  // x / sqrt(mean of x^2 + eps) * weight + bias, as LlamaRMSNorm and most other gated models, which have no
  // bias. A row of zeros becomes the bias (zeros, without one), or with eps = 0 NaN.
  kRmsNorm = 1,
};

// The row that fc1 (and up) get in place of x[t], in double throughout and rounded to fp32 once. Models in
// bf16 or fp16 may round more often: LlamaRMSNorm does before it multiplies by the weight. That is not
// imitated. Both kinds accept every field.
struct Norm {
  NormKind kind = NormKind::kLayerNorm;
  const void* weight = nullptr;  // [dim], or null for ones
  const void* bias = nullptr;    // [dim], or null for zeros
  DType dtype = DType::kF32;     // of weight and bias
  double eps = 1e-5;             // finite, at least 0; many models have another, as 1e-6
  // Is added to every weight, in double: 1 for GemmaRMSNorm, whose factor is 1 + weight. Finite, and 0
  // without a weight.
  double weight_offset = 0;
};

// Rows that are added to a result, in fp32, before it is rounded to y's element type.
struct Addend {
  const void* data = nullptr;  // [tokens, out], or null for none
  DType dtype = DType::kF32;
  size_t stride = 0;  // in elements; 0 stands for out
};

// Threads of the caller's, for one call: a pool that is there already, or as many as the caller likes.
// fusedffn/tbb_executor.h has one for the oneTBB arena that the calling thread is in.
struct Executor {
  void* context = nullptr;  // handed to parallel_for
  // The work is divided for so many: 1 to 65536. Bits do not depend on it.
  int threads = 0;
  // Calls body(argument, i) once for every i in [0, count), on any threads, at the same time or one after the
  // other, and returns when all of these calls have returned. count is at most `threads`. The calls are
  // independent of each other. Those that it leaves out, because no thread can be had or because it throws,
  // are made by the thread that called the library: so a pool that fails costs time and never a result. But
  // whether it returns or throws, none may begin afterwards: body and argument are gone then. It is called by
  // the thread that called the library, a few times a call (RunExperts(): a few times an expert), or not at
  // all where one thread is enough. Null: there is no executor, and `threads` is 0.
  void (*parallel_for)(void* context, size_t count, void (*body)(void* argument, size_t index),
                       void* argument) = nullptr;
};

struct RunOptions {
  // 1 to 65536: the calling thread and helpers that the library keeps, which start at the first call that
  // needs them, never end, take no signals, and run on the CPUs that the calling thread may run on; 0 stands
  // for DefaultThreads(). 1 starts none. There are never more helpers than CPUs less one: a call takes those
  // that are idle, and does the rest itself, as it does where none can be started. With an executor: 0.
  int threads = 0;
  // Scratch memory of at least WorkspaceBytes(ffn, tokens, threads), any alignment, used by this call only,
  // and apart from x and y (this is not checked). Null: the library takes scratch that it keeps, see
  // ReleaseScratch(). With `threads` 0 a call takes as many of DefaultThreads() as there is room for, so that
  // WorkspaceBytes(ffn, tokens, 0) is enough even if DefaultThreads() has changed since.
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
  // The rest of a transformer's half, y = h + mlp(norm(h)) with x = h and residual.data = h. Read during the
  // call only; null: x goes into fc1 as it is.
  const Norm* norm = nullptr;
  Addend residual = {};
  Executor executor = {};
  // Numbers below 2^-126 count as zero wherever the CPU reads or makes one in fp32, in the norm, sums and the
  // activation, as its own modes have it (FTZ and DAZ on x86, FZ on AArch64). Intel's CPUs take many times as
  // long for an operation with one, AMD's Zen 4 does not; activations make some where |x| is large. The bits
  // of a row are still the same for any threads, `tokens` and place, but not on all targets.
  bool flush_denormals = false;
};

// y[t] = fc2(activation(fc1(x[t]))), or fc2(activation(fc1(x[t])) * up(x[t])), for t in [0, tokens); with
// options.norm of x[t] normalized, and with options.residual plus that.
//   x: [tokens, dim], row stride ldx >= dim.   y: [tokens, out], row stride ldy >= out.
//   y may be x itself with ldx == ldy, or the residual itself with the same stride, or both; any other
//   overlap with y is an error, also where the rows of one lie between those of the other. tokens may be 0.
// No error comes after the first byte of y has been written.
// Numerics: the bits of a row depend on that row and the weights only: not on threads, `tokens` or the row's
// place, whatever the precision. With kF32 and kBF16 every output element is one chain of fused
// multiply-adds, bias first, then k in order, so its bits are the same on all targets with FMA (AVX2, AVX3*,
// NEON). A NaN or infinity in a row stays in that row. src/numerics.md has all of it, for each precision;
// README, "What it promises", the bounds.
FUSEDFFN_API Status Run(const PackedFfn& ffn, const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
                        const RunOptions& options = {}) noexcept;

// The same for x and y of other element types. In place they need the same one.
FUSEDFFN_API Status Run(const PackedFfn& ffn, const void* x, DType x_dtype, size_t ldx, size_t tokens,
                        void* y, DType y_dtype, size_t ldy, const RunOptions& options = {}) noexcept;

// The most bytes of scratch that Run() uses for this call; 0 for an empty handle, if x or y do not fit in
// memory whatever their type, or for an invalid thread count.
// `threads`: RunOptions::threads, or Executor::threads. 0 stands for any number up to DefaultThreads().
FUSEDFFN_API size_t WorkspaceBytes(const PackedFfn& ffn, size_t tokens, int threads) noexcept;

// y[t] = activation(weight x[t] + bias) for t in [0, tokens); with options.norm of x[t] normalized, and
// with options.residual plus that.
//   x: [tokens, in], row stride ldx >= in.   y: [tokens, out], row stride ldy >= out.
// All else is as for a block, numerics among it.
FUSEDFFN_API Status Run(const PackedLinear& linear, const float* x, size_t ldx, size_t tokens, float* y,
                        size_t ldy, const RunOptions& options = {}) noexcept;
FUSEDFFN_API Status Run(const PackedLinear& linear, const void* x, DType x_dtype, size_t ldx, size_t tokens,
                        void* y, DType y_dtype, size_t ldy, const RunOptions& options = {}) noexcept;
FUSEDFFN_API size_t WorkspaceBytes(const PackedLinear& linear, size_t tokens, int threads) noexcept;

// The experts that each token goes through, and what each of them counts: both [tokens, top], without gaps.
struct ExpertChoices {
  const int32_t* ids = nullptr;    // 0 to expert_count - 1; one that a token has twice counts twice
  const float* weights = nullptr;  // any numbers
  size_t top = 0;                  // 1 or more; tokens * top below 2^32
  // What the sums begin with, for example the output of the shared experts, which y itself may hold; null
  // data: 0.
  Addend start = {};
};

// Routed experts, as in DeepSeek, Qwen's and Mixtral's mixture-of-experts layers. For t in [0, tokens):
//   y[t] = start[t] + sum over j in [0, top) of choices.weights[t][j] * experts[choices.ids[t][j]](x[t])
//   experts: [expert_count], each a block as for Run(). Those that a token has chosen must be complete, agree
//   in dim, out and target, and may differ in all else; others are not looked at, and may be empty.
//   x: [tokens, dim], row stride ldx >= dim.   y: [tokens, out], row stride ldy >= out.
//   x and y may overlap in any way: all of x is read before y is written. choices.start and options.residual
//   may be y itself with the same stride and dtype, or apart from it. tokens may be 0; then nothing else is
//   looked at but the threads.
// options: as for Run(); the norm is that of x, for all experts, and the residual is added to the sum.
// Every expert runs once, on all rows that chose it, so that its weights are read once a call; the experts
// follow each other, each on all threads. Numerics: an expert's outputs are those of Run(), and every element
// of y is one chain of fused multiply-adds from `start` in order of j, then one addition of the residual. So
// the bits of a row depend on that row, its choices and the weights of the experts in it only: not on
// threads, `tokens`, the row's place or the other rows' choices.
FUSEDFFN_API Status RunExperts(const PackedFfn* experts, size_t expert_count, const ExpertChoices& choices,
                               const float* x, size_t ldx, size_t tokens, float* y, size_t ldy,
                               const RunOptions& options = {}) noexcept;
FUSEDFFN_API Status RunExperts(const PackedFfn* experts, size_t expert_count, const ExpertChoices& choices,
                               const void* x, DType x_dtype, size_t ldx, size_t tokens, void* y,
                               DType y_dtype, size_t ldy, const RunOptions& options = {}) noexcept;

// The most bytes of scratch that RunExperts() uses with these experts, whatever the tokens choose: about one
// row of max(dim, out) floats for each choice, and that of a Run(). 0 if no expert is there, if sizes do not
// fit in memory, or for an invalid thread count. `threads` as in WorkspaceBytes().
FUSEDFFN_API size_t ExpertsWorkspaceBytes(const PackedFfn* experts, size_t expert_count, size_t tokens,
                                          size_t top, int threads) noexcept;

// Calls without a workspace take scratch that the library keeps for the next ones, of any handle and thread:
// it allocates only when a call needs more than those before. At
// most one array for each CPU stays, and 256 MiB in all, or the largest one if that is larger. This frees
// what no call is using.
FUSEDFFN_API void ReleaseScratch() noexcept;

// An instruction set that this library was compiled for.
struct Target {
  const char* name;  // Highway's name: "AVX2", "AVX3", "NEON", ...
  bool supported;    // by this CPU and operating system
  bool is_default;   // what a null PackOptions::target stands for
};

// All of them, best first. The default is the first supported one, or with the environment's FUSEDFFN_TARGET
// the first one from that on. `*count` receives their number.
FUSEDFFN_API const Target* Targets(size_t* count) noexcept;

// The number of threads of a call whose options do not say (RunOptions::threads and Executor::threads win
// over all of this): the lowest of these, at least 1.
//
//   the calling thread's affinity mask               read at each call
//   the cgroup's CPU quota, rounded up               read once
//   FUSEDFFN_THREADS in the environment              read once
//   OMP_NUM_THREADS there, of a list its first one   read once
FUSEDFFN_API int DefaultThreads() noexcept;

// An error if the environment's FUSEDFFN_TARGET is no target of this build, or its FUSEDFFN_THREADS not 1 to
// 65536; such a value is ignored. Both are read once, at the first call that needs one; what a call is told
// in its options wins over them.
FUSEDFFN_API Status EnvironmentStatus() noexcept;

// Text in place: making one allocates nothing.
struct Description {
  char text[1024] = "";  // lines, each with a newline
};

// What a Run() of so many tokens with these options would do, for people to read: target, kernel, tile,
// threads, how the work is divided, scratch, and whether AMX is used or why not. Its wording may change. An
// empty handle, or threads or tokens that Run() refuses, give the reason; rows may be missing yet.
FUSEDFFN_API Description Describe(const PackedFfn& ffn, size_t tokens,
                                  const RunOptions& options = {}) noexcept;
FUSEDFFN_API Description Describe(const PackedLinear& linear, size_t tokens,
                                  const RunOptions& options = {}) noexcept;

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_FUSEDFFN_H_
