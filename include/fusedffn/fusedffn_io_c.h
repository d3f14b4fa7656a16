/* fusedffn/io.h for C99: blocks and layers from checkpoints in files, packed. In the library fusedffn_io,
 * CMake's fusedffn::io. All conventions are those of fusedffn/fusedffn_c.h. In short:
 *
 *   fusedffn_checkpoint* checkpoint = NULL;
 *   fusedffn_blocks* layers = NULL;  // of the CLIP-L tower: 24
 *   int status = fusedffn_checkpoint_open("DeepSeek-OCR", &checkpoint, error, sizeof(error));
 *   if (status == FUSEDFFN_OK)
 *     status = fusedffn_checkpoint_load_layers(checkpoint, "DeepSeek-OCR CLIP-L", NULL, &layers, error,
 *                                              sizeof(error));
 *
 * A checkpoint is a .safetensors file, a model.safetensors.index.json with its shards beside it, or a folder
 * with either; a config.json beside it is read where names do not say what a block is. Files are read as
 * hostile input. */
#ifndef FUSEDFFN_FUSEDFFN_IO_C_H_
#define FUSEDFFN_FUSEDFFN_IO_C_H_

#include "fusedffn/fusedffn_c.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The calls of one checkpoint follow each other; those of several may be made at the same time. */
typedef struct fusedffn_checkpoint fusedffn_checkpoint;

/* Reads the index, or the file's header; tensors are read when they are loaded. The files stay open. */
fusedffn_status fusedffn_checkpoint_open(const char* path, fusedffn_checkpoint** checkpoint, char* error,
                                         size_t error_bytes) FUSEDFFN_NOEXCEPT;
/* The same, leaving `count` tensors out of account, and modules with all below them: by their whole names, or
 * by those behind the prefix of a block, or the name of a layer, "lora_A". Else a block that has more tensors
 * than its layers' weights and biases, or a layer that has more, is refused. */
fusedffn_status fusedffn_checkpoint_open_ignoring(const char* path, const char* const* names, size_t count,
                                                  fusedffn_checkpoint** checkpoint, char* error,
                                                  size_t error_bytes) FUSEDFFN_NOEXCEPT;
void fusedffn_checkpoint_free(fusedffn_checkpoint* checkpoint) FUSEDFFN_NOEXCEPT;

/* ---- What is in it ---- */

/* What a checkpoint says of one of its blocks. The texts are valid as long as the listing. */
typedef struct fusedffn_block_info {
  size_t struct_size;
  const char* prefix;  /* "model.vision_model.transformer.layers.0.mlp" */
  const char* models;  /* whose names these are: "", "A", "A or B" */
  const char* problem; /* why it cannot be loaded, and then the rest may be missing; or "" */
  fusedffn_shape shape;
  fusedffn_activation activation; /* -1: the checkpoint does not say it; fusedffn_load_options must */
  int32_t int8_group;             /* of weights that are quantized; 0: they are not */
} fusedffn_block_info;

/* All blocks, in the order of their layers. */
typedef struct fusedffn_listing fusedffn_listing;
fusedffn_status fusedffn_checkpoint_list(fusedffn_checkpoint* checkpoint, fusedffn_listing** listing,
                                         char* error, size_t error_bytes) FUSEDFFN_NOEXCEPT;
void fusedffn_listing_free(fusedffn_listing* listing) FUSEDFFN_NOEXCEPT;
size_t fusedffn_listing_count(const fusedffn_listing* listing) FUSEDFFN_NOEXCEPT;
/* Fills *info, as far as its struct_size goes, which must be set; what this library does not know: 0. */
fusedffn_status fusedffn_listing_get(const fusedffn_listing* listing, size_t index, fusedffn_block_info* info,
                                     char* error, size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* ---- Loading ---- */

typedef struct fusedffn_load_options {
  size_t struct_size;
  /* pack->threads read and pack at the same time. Weights that a file holds quantized have groups of their
   * own, whatever pack->int8_group, and need FUSEDFFN_PRECISION_INT8. Null: all defaults. */
  const fusedffn_pack_options* pack;
  /* Of both, null: what the checkpoint says; it is an error if it does not, never a guess. */
  const fusedffn_activation* activation;
  const double* norm_eps;
  /* Not 0: load the norm in front of each block as well; it is an error if it is not known. */
  int64_t norm;
} fusedffn_load_options;

/* Blocks that were loaded, in the order of their layers, each with its prefix and its norm: that for
 * fusedffn_run_options, or null without load_options.norm. All belong to the set, and are valid until it is
 * freed; null from the count on. */
typedef struct fusedffn_blocks fusedffn_blocks;
void fusedffn_blocks_free(fusedffn_blocks* blocks) FUSEDFFN_NOEXCEPT;
size_t fusedffn_blocks_count(const fusedffn_blocks* blocks) FUSEDFFN_NOEXCEPT;
const fusedffn_block* fusedffn_blocks_block(const fusedffn_blocks* blocks, size_t index) FUSEDFFN_NOEXCEPT;
const char* fusedffn_blocks_prefix(const fusedffn_blocks* blocks, size_t index) FUSEDFFN_NOEXCEPT;
const fusedffn_norm* fusedffn_blocks_norm(const fusedffn_blocks* blocks, size_t index) FUSEDFFN_NOEXCEPT;

/* The block at a prefix: a set of one. */
fusedffn_status fusedffn_checkpoint_load_block(fusedffn_checkpoint* checkpoint, const char* prefix,
                                               const fusedffn_load_options* options, fusedffn_blocks** blocks,
                                               char* error, size_t error_bytes) FUSEDFFN_NOEXCEPT;

/* The blocks of all layers of a model in the checkpoint, each of which takes what the one before gives:
 * `model` is its name in fusedffn_block_info.models, or the prefixes with N for the layer,
 * "model.layers.N.mlp"; "" stands for the only one with more than one layer. */
fusedffn_status fusedffn_checkpoint_load_layers(fusedffn_checkpoint* checkpoint, const char* model,
                                                const fusedffn_load_options* options,
                                                fusedffn_blocks** blocks, char* error,
                                                size_t error_bytes) FUSEDFFN_NOEXCEPT;

typedef struct fusedffn_linear_load_options {
  size_t struct_size;
  const fusedffn_pack_options* pack; /* as above */
  int64_t transposed;                /* not 0: the weight is stored as [in, out], as GPT-2's are */
} fusedffn_linear_load_options;

/* One layer by its name, "model.layers.0.self_attn.q_proj": NAME.weight, and NAME.bias if it is there. */
fusedffn_status fusedffn_checkpoint_load_linear(fusedffn_checkpoint* checkpoint, const char* name,
                                                fusedffn_activation activation,
                                                const fusedffn_linear_load_options* options,
                                                fusedffn_linear** linear, char* error,
                                                size_t error_bytes) FUSEDFFN_NOEXCEPT;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FUSEDFFN_FUSEDFFN_IO_C_H_ */
