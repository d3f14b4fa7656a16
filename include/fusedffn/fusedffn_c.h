/* fusedffn for C99, and for whatever calls C: what fusedffn/fusedffn.h has for C++, from the same code, so
 * that the bits of all results are the same. In short:
 *
 *   char error[256];
 *   fusedffn_weights weights = {.struct_size = sizeof(weights), .shape = {1024, 4096, 1024, 0}};  // at load
 *   weights.fc1.weight = w1, weights.fc1.bias = b1, weights.fc2.weight = w2, weights.fc2.bias = b2;
 *   fusedffn_block* block = NULL;
 *   fusedffn_status status = fusedffn_block_pack(&weights, FUSEDFFN_ACTIVATION_QUICK_GELU, NULL, &block,
 *                                                error, sizeof(error));
 *   if (status == FUSEDFFN_OK)  // any time, from any thread
 *     status = fusedffn_block_run(block, x, FUSEDFFN_DTYPE_F32, 1024, tokens, y, FUSEDFFN_DTYPE_F32, 1024,
 *                                 NULL, error, sizeof(error));
 *   if (status != FUSEDFFN_OK) puts(error);
 *   fusedffn_block_free(block);
 *
 * Conventions, true of every function here:
 *  - Stable in binary form: functions keep their names and arguments, enumerators their numbers, structs the
 *    places of their fields. Structs that begin with struct_size may get more fields at their end; the others
 *    stay as they are. (A shared library's file name has the minor version, since the C++ interface, which is
 *    in it too, may change with it.)
 *  - Set struct_size to sizeof, and what you do not need to 0, the default of every field. A struct may be
 *    smaller than this library's, that of an older header: what it does not have counts as 0. It may be
 *    larger if all that this library does not know is 0; else it is an error. A null pointer to options
 *    stands for all defaults.
 *  - Functions that can fail return FUSEDFFN_OK or another fusedffn_status, and then have touched no other
 *    output but `error`: why, and what is accepted, as one line ("" on success), cut where it is longer than
 *    error_bytes with the 0 at its end; 256 hold every message. It may be null with error_bytes 0.
 *  - Matrices are row-major. Strides are counted in elements, from the start of one row to the next.
 *  - Pointers need the natural alignment of their element type, no more, and those to weights and biases
 *    none. Nothing outside the described rows and columns is read or written; gaps between rows may hold
 *    anything.
 *  - Nothing prints, aborts or throws. Handles are set on success only, and belong to the caller until they
 *    are freed, which any thread may do, and which ignores null.
 *  - What fusedffn.h says of floating-point modes and of fork() is true here too. */
#ifndef FUSEDFFN_FUSEDFFN_C_H_
#define FUSEDFFN_FUSEDFFN_C_H_

#include <stddef.h>
#include <stdint.h>

#include "fusedffn/version.h"

#define FUSEDFFN_C_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define FUSEDFFN_NOEXCEPT noexcept
extern "C" {
#else
#define FUSEDFFN_NOEXCEPT
#endif

/* "0.2.0": of the library that is linked; the macros of fusedffn/version.h are of this header. */
FUSEDFFN_C_API const char* fusedffn_version(void) FUSEDFFN_NOEXCEPT;

typedef int32_t fusedffn_status;
enum {
  FUSEDFFN_OK = 0,
  FUSEDFFN_INVALID_ARGUMENT = 1,   /* an argument is null, zero, too large, overlapping, ... */
  FUSEDFFN_UNSUPPORTED_TARGET = 2, /* the instruction set is unknown, not compiled in, or not on this CPU */
  FUSEDFFN_INCOMPLETE = 3,         /* not every row of a handle's weights has been packed */
  FUSEDFFN_OUT_OF_MEMORY = 4,
  FUSEDFFN_BAD_FILE = 5 /* of fusedffn_io_c.h: a file cannot be read, or does not have what is asked for */
};

/* Element types of weights, biases, x and y: 32 or 16 bits in the CPU's byte order. bf16 and fp16 are widened
 * exactly to fp32 when read, and rounded to nearest, ties to even, when written. */
typedef int32_t fusedffn_dtype;
enum { FUSEDFFN_DTYPE_F32 = 0, FUSEDFFN_DTYPE_BF16 = 1, FUSEDFFN_DTYPE_F16 = 2 };

/* How packed weights are kept and multiplied: fusedffn.h, Precision. */
typedef int32_t fusedffn_precision;
enum {
  FUSEDFFN_PRECISION_F32 = 0,      /* 4 bytes a parameter */
  FUSEDFFN_PRECISION_BF16 = 1,     /* 2 bytes; of weights in bf16 the same bits as F32 */
  FUSEDFFN_PRECISION_BF16_DOT = 2, /* 2 bytes; x and the hidden values are rounded to bf16 as well */
  FUSEDFFN_PRECISION_INT8 = 3,     /* 1 byte; weights, x and the hidden values are quantized */
  FUSEDFFN_PRECISION_BF16_X3 = 4   /* 2 bytes; fp32's accuracy by AMX, which it needs */
};
/* "f32", "bf16", "bf16-dot", "int8", "bf16-x3"; "" for any other number. */
FUSEDFFN_C_API const char* fusedffn_precision_name(fusedffn_precision precision) FUSEDFFN_NOEXCEPT;

/* Formulas and errors: fusedffn.h, Activation. */
typedef int32_t fusedffn_activation;
enum {
  FUSEDFFN_ACTIVATION_QUICK_GELU = 0,
  FUSEDFFN_ACTIVATION_GELU = 1,
  FUSEDFFN_ACTIVATION_GELU_TANH = 2,
  FUSEDFFN_ACTIVATION_SILU = 3,
  FUSEDFFN_ACTIVATION_RELU = 4,
  FUSEDFFN_ACTIVATION_RELU2 = 5,
  FUSEDFFN_ACTIVATION_IDENTITY = 6,
  FUSEDFFN_ACTIVATION_HARDSWISH = 7
};
/* "quick_gelu", "gelu", "gelu_tanh", ...; "" for any other number. */
FUSEDFFN_C_API const char* fusedffn_activation_name(fusedffn_activation activation) FUSEDFFN_NOEXCEPT;

/* fc1: [tokens, dim] -> [tokens, hidden]; fc2: [tokens, hidden] -> [tokens, out]. Each 1 to 2^30, and a layer
 * at most 2^40 parameters. */
typedef struct fusedffn_shape {
  size_t dim;
  size_t hidden;
  size_t out;
  int32_t gated; /* not 0: y = fc2(activation(fc1(x)) * up(x)), with `up` like fc1 */
} fusedffn_shape;

/* One nn.Linear: y[n] = bias[n] + sum over k of weight[n][k] x[k]. */
typedef struct fusedffn_layer {
  const void* weight;   /* [rows = output features, cols = input features] */
  const void* bias;     /* [rows], or null for none */
  size_t stride;        /* of weight; 0 stands for cols */
  fusedffn_dtype dtype; /* of weight and bias */
} fusedffn_layer;

/* A gated block's three are called gate_proj, down_proj and up_proj in most checkpoints. */
typedef struct fusedffn_weights {
  size_t struct_size;
  fusedffn_shape shape;
  fusedffn_layer fc1; /* [hidden, dim]; the gate */
  fusedffn_layer fc2; /* [out, hidden]; down */
  fusedffn_layer up;  /* [hidden, dim] if shape.gated is not 0, else all 0 */
} fusedffn_weights;

typedef struct fusedffn_pack_options {
  size_t struct_size;
  /* Instruction set to pack and run for, by its name in fusedffn_target_name(), in any case; null: the best
   * one here. See fusedffn.h, PackOptions, about "AVX3_AMX". */
  const char* target;
  fusedffn_precision precision;
  int32_t int8_group;      /* of PRECISION_INT8: columns that share a scale, 1152 or 128; 0 stands for 1152 */
  int32_t threads;         /* that fusedffn_*_pack() packs on: 1 to 65536; 0: fusedffn_default_threads() */
  int32_t flush_denormals; /* not 0: weights below 2^-126 are packed as zeros */
} fusedffn_pack_options;

/* How far y may be from the exact one, as a relative L2 error. */
typedef int32_t fusedffn_accuracy;
enum {
  FUSEDFFN_ACCURACY_F32_LIKE = 0,  /* below 1e-5 */
  FUSEDFFN_ACCURACY_BF16_LIKE = 1, /* about 1e-2 */
  FUSEDFFN_ACCURACY_INT8_LIKE = 2  /* a few 1e-2 */
};
/* The fastest precision that keeps to `accuracy` in calls of `tokens` tokens, for weights that come as
 * `weights`, on a target (null: the best one here), as it was measured on this kind of CPU. *measured, unless
 * null, becomes 1; or 0 if nothing was, or an argument is invalid, and then it is the lossless one. */
FUSEDFFN_C_API fusedffn_precision fusedffn_fastest_precision(fusedffn_accuracy accuracy,
                                                             fusedffn_dtype weights, const char* target,
                                                             size_t tokens,
                                                             int32_t* measured) FUSEDFFN_NOEXCEPT;

/* ---- Blocks: y = fc2(activation(fc1(x))), or gated. Any number of threads may run one at once. ---- */

typedef struct fusedffn_block fusedffn_block;

/* Packs weights that are in memory, on options->threads. Reads them once and does not keep the pointers. */
FUSEDFFN_C_API fusedffn_status fusedffn_block_pack(const fusedffn_weights* weights,
                                                   fusedffn_activation activation,
                                                   const fusedffn_pack_options* options,
                                                   fusedffn_block** block, char* error,
                                                   size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* Reserves memory for weights that will arrive in pieces. Biases start as zero. */
FUSEDFFN_C_API fusedffn_status fusedffn_block_create(const fusedffn_shape* shape,
                                                     fusedffn_activation activation,
                                                     const fusedffn_pack_options* options,
                                                     fusedffn_block** block, char* error,
                                                     size_t error_bytes) FUSEDFFN_NOEXCEPT;

FUSEDFFN_C_API void fusedffn_block_free(fusedffn_block* block) FUSEDFFN_NOEXCEPT;

/* The layers of a block. UP: of a gated one only. */
typedef int32_t fusedffn_layer_id;
enum { FUSEDFFN_LAYER_FC1 = 0, FUSEDFFN_LAYER_FC2 = 1, FUSEDFFN_LAYER_UP = 2 };

/* Packs rows [first_row, first_row + rows) of one layer's weight: `weight` points at row first_row. Each row
 * must be packed once, in any order and any pieces. Several threads may pack at the same time: if two name
 * the same row, one succeeds; the other is an error, and packs nothing. Pieces of a multiple of 192 rows are
 * the fastest. All packing must happen before a run, ordered by a join or a lock. `stride` is at least the
 * columns; 0 is an error. Allocates nothing. */
FUSEDFFN_C_API fusedffn_status fusedffn_block_pack_rows(fusedffn_block* block, fusedffn_layer_id layer,
                                                        size_t first_row, size_t rows, const void* weight,
                                                        fusedffn_dtype dtype, size_t stride, char* error,
                                                        size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* The same for rows that fusedffn_quantize_rows() has quantized in groups of `group`: `q`, `stride` apart,
 * and `scales` of row first_row and the following, these without gaps. The precision must be INT8, and
 * `group` the options' int8_group, 0 for 1152; then the packed bits are those of the original rows. */
FUSEDFFN_C_API fusedffn_status fusedffn_block_pack_quantized_rows(
    fusedffn_block* block, fusedffn_layer_id layer, size_t first_row, size_t rows, const int8_t* q,
    size_t stride, const float* scales, int32_t group, char* error, size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* Sets one layer's whole bias: [hidden] or [out] elements. It may be set again. Threads may set those of
 * different layers at the same time, and while rows are packed, but not during a run. */
FUSEDFFN_C_API fusedffn_status fusedffn_block_pack_bias(fusedffn_block* block, fusedffn_layer_id layer,
                                                        const void* bias, fusedffn_dtype dtype, char* error,
                                                        size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* Of a block; of a null one 0 and "". The target: "AVX3", "NEON", ...; the bytes: that it holds. */
FUSEDFFN_C_API fusedffn_shape fusedffn_block_shape(const fusedffn_block* block) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API fusedffn_precision fusedffn_block_precision(const fusedffn_block* block) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API const char* fusedffn_block_target(const fusedffn_block* block) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_block_packed_bytes(const fusedffn_block* block) FUSEDFFN_NOEXCEPT;
/* Weights packed so far that are denormal and were kept as such, which none is in INT8. */
FUSEDFFN_C_API size_t fusedffn_block_denormals(const fusedffn_block* block) FUSEDFFN_NOEXCEPT;

/* ---- Single layers: y = activation(x weight^T + bias). All that is said of blocks is true of them. ---- */

typedef struct fusedffn_linear fusedffn_linear;

/* `in` and `out`: 1 to 2^30; the weight is [out, in], the bias [out]. */
FUSEDFFN_C_API fusedffn_status fusedffn_linear_pack(const fusedffn_layer* layer, size_t in, size_t out,
                                                    fusedffn_activation activation,
                                                    const fusedffn_pack_options* options,
                                                    fusedffn_linear** linear, char* error,
                                                    size_t error_bytes) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API fusedffn_status fusedffn_linear_create(size_t in, size_t out, fusedffn_activation activation,
                                                      const fusedffn_pack_options* options,
                                                      fusedffn_linear** linear, char* error,
                                                      size_t error_bytes) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API void fusedffn_linear_free(fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API fusedffn_status fusedffn_linear_pack_rows(fusedffn_linear* linear, size_t first_row,
                                                         size_t rows, const void* weight,
                                                         fusedffn_dtype dtype, size_t stride, char* error,
                                                         size_t error_bytes) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API fusedffn_status fusedffn_linear_pack_quantized_rows(fusedffn_linear* linear, size_t first_row,
                                                                   size_t rows, const int8_t* q,
                                                                   size_t stride, const float* scales,
                                                                   int32_t group, char* error,
                                                                   size_t error_bytes) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API fusedffn_status fusedffn_linear_pack_bias(fusedffn_linear* linear, const void* bias,
                                                         fusedffn_dtype dtype, char* error,
                                                         size_t error_bytes) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_linear_in(const fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_linear_out(const fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API fusedffn_precision fusedffn_linear_precision(const fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API const char* fusedffn_linear_target(const fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_linear_packed_bytes(const fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_linear_denormals(const fusedffn_linear* linear) FUSEDFFN_NOEXCEPT;

/* ---- Quantizing ---- */

/* Groups, each with a scale, in a row of `cols` columns. `group`: 1152, 128, or 0 for 1152; of others 0. */
FUSEDFFN_C_API size_t fusedffn_int8_groups(size_t cols, int32_t group) FUSEDFFN_NOEXCEPT;

/* Quantizes `rows` rows of `cols` elements, `stride` apart, as packing with INT8 does: q [rows][cols] and
 * scales [rows][fusedffn_int8_groups(cols, group)], both without gaps. A group with a NaN or infinity gets
 * zeros and a scale of NaN; one whose scale would be below 2^-120 zeros and a scale of 0. Allocates nothing;
 * thread-safe. */
FUSEDFFN_C_API fusedffn_status fusedffn_quantize_rows(const void* weight, fusedffn_dtype dtype, size_t rows,
                                                      size_t cols, size_t stride, int8_t* q, float* scales,
                                                      int32_t group, char* error,
                                                      size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* ---- Running ---- */

typedef int32_t fusedffn_norm_kind;
enum {
  FUSEDFFN_NORM_LAYER = 0, /* (x - mean) / sqrt(variance + eps) * weight + bias, as torch.nn.LayerNorm */
  FUSEDFFN_NORM_RMS = 1 /* x / sqrt(mean of x^2 + eps) * weight + bias, as LlamaRMSNorm, which has no bias */
};

/* The row that fc1 (and up) get in place of x[t], in double throughout and rounded to fp32 once. */
typedef struct fusedffn_norm {
  size_t struct_size;
  const void* weight; /* [dim], or null for ones */
  const void* bias;   /* [dim], or null for zeros */
  fusedffn_norm_kind kind;
  fusedffn_dtype dtype; /* of weight and bias */
  double eps;           /* finite, at least 0; PyTorch's default is 1e-5, many models have 1e-6 */
  double weight_offset; /* is added to every weight: 1 for GemmaRMSNorm. Finite, and 0 without a weight */
} fusedffn_norm;

/* Rows that are added to a result, in fp32, before it is rounded to y's element type. */
typedef struct fusedffn_addend {
  const void* data; /* [tokens, out], or null for none */
  size_t stride;    /* 0 stands for out */
  fusedffn_dtype dtype;
} fusedffn_addend;

/* Calls body(argument, i) once for every i in [0, count), on any threads, at the same time or one after the
 * other, and returns when all of these calls have returned. count is at most `threads` of the options. Calls
 * that it leaves out are made by the thread that called the library; but none may begin after it has
 * returned. It is called by the thread that called the library, a few times a call (experts: a few times an
 * expert), or not at all where one thread is enough. */
typedef void (*fusedffn_body)(void* argument, size_t index);
typedef void (*fusedffn_parallel_for)(void* context, size_t count, fusedffn_body body, void* argument);

typedef struct fusedffn_run_options {
  size_t struct_size;
  /* 1 to 65536. Without parallel_for: the calling thread and helpers that the library keeps; 0 stands for
   * fusedffn_default_threads(), 1 starts none. With it: for how many the work is divided; not 0. Bits do not
   * depend on it. */
  int32_t threads;
  int32_t flush_denormals;            /* not 0: numbers below 2^-126 count as zero, in the CPU's own way */
  fusedffn_parallel_for parallel_for; /* threads of the caller's, or null */
  void* parallel_for_context;         /* handed to it */
  /* Scratch of at least fusedffn_*_workspace_bytes(), any alignment, used by this call only, and apart from x
   * and y (this is not checked). Null: the library takes scratch that it keeps, see
   * fusedffn_release_scratch(). */
  void* workspace;
  size_t workspace_bytes;
  /* y = h + mlp(norm(h)) in one call, with x = h and residual.data = h. */
  const fusedffn_norm* norm; /* null: x goes into fc1 as it is */
  fusedffn_addend residual;
} fusedffn_run_options;

/* y[t] = fc2(activation(fc1(x[t]))), or fc2(activation(fc1(x[t])) * up(x[t])), for t in [0, tokens); with
 * options->norm of x[t] normalized, and with options->residual plus that.
 *   x: [tokens, dim], row stride ldx >= dim.   y: [tokens, out], row stride ldy >= out.
 *   y may be x itself with the same stride and dtype, or the residual itself so, or both; any other overlap
 *   with y is an error. tokens may be 0.
 * No error comes after the first byte of y has been written. Allocates nothing after the first call of its
 * size, or with a workspace. The bits of a row depend on that row and the weights only: not on threads,
 * `tokens` or the row's place. */
FUSEDFFN_C_API fusedffn_status fusedffn_block_run(const fusedffn_block* block, const void* x,
                                                  fusedffn_dtype x_dtype, size_t ldx, size_t tokens, void* y,
                                                  fusedffn_dtype y_dtype, size_t ldy,
                                                  const fusedffn_run_options* options, char* error,
                                                  size_t error_bytes) FUSEDFFN_NOEXCEPT;
/* y[t] = activation(weight x[t] + bias); all else as for a block.
 *   x: [tokens, in], row stride ldx >= in.   y: [tokens, out], row stride ldy >= out. */
FUSEDFFN_C_API fusedffn_status fusedffn_linear_run(const fusedffn_linear* linear, const void* x,
                                                   fusedffn_dtype x_dtype, size_t ldx, size_t tokens, void* y,
                                                   fusedffn_dtype y_dtype, size_t ldy,
                                                   const fusedffn_run_options* options, char* error,
                                                   size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* The most bytes of scratch that such a run uses; 0 for a null handle, if x or y do not fit in memory
 * whatever their type, or for an invalid thread count. `threads` as in the options; 0 stands for any number
 * up to the default. */
FUSEDFFN_C_API size_t fusedffn_block_workspace_bytes(const fusedffn_block* block, size_t tokens,
                                                     int32_t threads) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_linear_workspace_bytes(const fusedffn_linear* linear, size_t tokens,
                                                      int32_t threads) FUSEDFFN_NOEXCEPT;

/* What such a run would do, for people to read, as lines; its wording may change. What cannot run gives the
 * reason. Writes at most text_bytes bytes with the 0 at the end, and returns the length of all of it, as
 * snprintf() does; it is below 1024. `text` may be null with text_bytes 0. */
FUSEDFFN_C_API size_t fusedffn_block_describe(const fusedffn_block* block, size_t tokens,
                                              const fusedffn_run_options* options, char* text,
                                              size_t text_bytes) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API size_t fusedffn_linear_describe(const fusedffn_linear* linear, size_t tokens,
                                               const fusedffn_run_options* options, char* text,
                                               size_t text_bytes) FUSEDFFN_NOEXCEPT;

/* ---- Routed experts ---- */

/* The experts that each token goes through, and what each counts: both [tokens, top], without gaps. */
typedef struct fusedffn_expert_choices {
  size_t struct_size;
  const int32_t* ids;    /* 0 to expert_count - 1; one that a token has twice counts twice */
  const float* weights;  /* any numbers */
  size_t top;            /* 1 or more; tokens * top below 2^32 */
  fusedffn_addend start; /* what the sums begin with, which y itself may hold; null data: 0 */
} fusedffn_expert_choices;

/* y[t] = start[t] + sum over j in [0, top) of weights[t][j] * experts[ids[t][j]](x[t]), for t in [0, tokens).
 *   experts: [expert_count] handles. Those that a token has chosen must be complete, agree in dim, out and
 *   target, and may differ in all else; others are not looked at, and may be null.
 *   x: [tokens, dim], row stride ldx >= dim.   y: [tokens, out], row stride ldy >= out.
 *   x and y may overlap in any way: all of x is read before y is written. start and the residual may be y
 *   itself with the same stride and dtype, or apart from it.
 * options: as for a run; the norm is that of x, for all experts, and the residual is added to the sum. Every
 * expert runs once, on all rows that chose it, so that its weights are read once a call. */
FUSEDFFN_C_API fusedffn_status fusedffn_experts_run(const fusedffn_block* const* experts, size_t expert_count,
                                                    const fusedffn_expert_choices* choices, const void* x,
                                                    fusedffn_dtype x_dtype, size_t ldx, size_t tokens,
                                                    void* y, fusedffn_dtype y_dtype, size_t ldy,
                                                    const fusedffn_run_options* options, char* error,
                                                    size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* The most bytes of scratch that it uses with these experts, whatever the tokens choose; 0 as above. */
FUSEDFFN_C_API size_t fusedffn_experts_workspace_bytes(const fusedffn_block* const* experts,
                                                       size_t expert_count, size_t tokens, size_t top,
                                                       int32_t threads) FUSEDFFN_NOEXCEPT;

/* ---- The machine ---- */

/* Frees the scratch that the library keeps for calls without a workspace and that no call is using: at most
 * one array for each CPU, and 256 MiB in all, or the largest one if that is larger. */
FUSEDFFN_C_API void fusedffn_release_scratch(void) FUSEDFFN_NOEXCEPT;

/* The instruction sets that this library was compiled for, best first: their number; Highway's name of one,
 * "AVX2", "AVX3", "NEON", ..., or "" from the number on; 1 if this CPU and operating system have it, else 0;
 * 1 for the one that a null target stands for, else 0: the first that is supported, or with the environment's
 * FUSEDFFN_TARGET the first one from that on. */
FUSEDFFN_C_API size_t fusedffn_target_count(void) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API const char* fusedffn_target_name(size_t index) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API int32_t fusedffn_target_is_supported(size_t index) FUSEDFFN_NOEXCEPT;
FUSEDFFN_C_API int32_t fusedffn_target_is_default(size_t index) FUSEDFFN_NOEXCEPT;

/* The number of threads of a call whose options do not say: the lowest of the calling thread's CPUs, the
 * cgroup's quota, and FUSEDFFN_THREADS and OMP_NUM_THREADS in the environment. */
FUSEDFFN_C_API int32_t fusedffn_default_threads(void) FUSEDFFN_NOEXCEPT;

/* An error if the environment's FUSEDFFN_TARGET or FUSEDFFN_THREADS has a bad value, which is ignored. */
FUSEDFFN_C_API fusedffn_status fusedffn_environment_status(char* error, size_t error_bytes) FUSEDFFN_NOEXCEPT;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FUSEDFFN_FUSEDFFN_C_H_ */
