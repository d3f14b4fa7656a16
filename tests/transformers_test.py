#!/usr/bin/env python3
"""The program's output for the blocks of checkpoints that Hugging Face's transformers has saved against its own
modules: small models with random weights, found here by their names and config.json alone. With `tower --norm
--residual` also the MLP half of their layers, whose norms are LayerNorm or RMSNorm.

usage: transformers_test.py WORK_FOLDER PROGRAM...
PROGRAM: in a cross-build it comes behind an emulator. Exit code 77, "skipped" to ctest, where there is no
transformers or PyTorch.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import numpy as np
    import torch
    import transformers as hf
except ImportError:
    sys.exit(77)

LAYERS, TOKENS = 2, 19
DIM, HIDDEN = 30, 67  # no multiples of any vector; each of 3 heads gets an even share, for RoPE

# What is accepted as relative L2 error: the library's own against double precision, and twice that against
# modules in fp32, which are off as much. Llama's and Gemma's norms are in fp32 in any model, PyTorch's own are not.
REFERENCES = {torch.float64: 2e-6, torch.float32: 4e-6}


@dataclass
class Blocks:
    """Blocks of all layers: their prefix in the file and their module's name, with N for the layer."""

    prefix: str
    family: str  # as inspect tells it
    module: str = ""  # "": as in the file
    activation: str = "gelu"
    layers: tuple = tuple(range(LAYERS))
    shape: str = f"{DIM} -> {HIDDEN} -> {DIM}"
    norm: str = ""  # that in front of the block: its name in the layer; "": none is known
    residual: bool = True  # whether the layer is x + block(norm(x))


def gated(prefix, family, **more):
    shape = f"{DIM} -> {more.pop('hidden', HIDDEN)} gated -> {DIM}"
    return Blocks(prefix, family, shape=shape, **dict(activation="silu") | more)


BERT = dict(hidden_size=DIM, intermediate_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=3)
IMAGE = BERT | dict(image_size=8, patch_size=4)
TEXT = BERT | dict(vocab_size=50, bos_token_id=0, eos_token_id=1, pad_token_id=0)
DECODER = TEXT | dict(num_key_value_heads=3)
GEMMA = DECODER | dict(head_dim=10)
SEQ2SEQ = dict(d_model=DIM, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=3,
               decoder_attention_heads=3, encoder_ffn_dim=HIDDEN, decoder_ffn_dim=HIDDEN, vocab_size=50,
               pad_token_id=0, bos_token_id=0, eos_token_id=1, decoder_start_token_id=0)
GPT2 = dict(n_embd=DIM, n_inner=HIDDEN, n_layer=LAYERS, n_head=3, vocab_size=50, bos_token_id=0, eos_token_id=1)
OPT = TEXT | dict(ffn_dim=HIDDEN, word_embed_proj_dim=DIM)
DEEPSEEK = DECODER | dict(moe_intermediate_size=17, n_routed_experts=3, num_experts_per_tok=2,
                          n_shared_experts=2, first_k_dense_replace=1, q_lora_rank=8, kv_lora_rank=8,
                          qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=8, n_group=1, topk_group=1)
QWEN2_VL = dict(
    vision_config=dict(depth=LAYERS, embed_dim=DIM, hidden_size=DIM, num_heads=3, mlp_ratio=3),
    text_config=DECODER | dict(rope_parameters=dict(rope_type="default", mrope_section=[1, 2, 2])))
TOWERS = dict(vision_config=IMAGE, text_config=TEXT)

LLAMA = "Llama, Mistral, Qwen or DeepSeek"
EXPERTS = "experts of DeepSeek or Qwen"
RATIO_3 = f"{DIM} -> {3 * DIM} -> {DIM}"
CLIP_VISION = Blocks("vision_model.encoder.layers.N.mlp", "CLIP (HF) image tower", activation="quick_gelu",
                     norm="layer_norm2")
CLIP_TEXT = Blocks("text_model.encoder.layers.N.mlp", "CLIP (HF) text tower", activation="quick_gelu",
                   norm="layer_norm2")
LLAMA_BLOCKS = gated("model.layers.N.mlp", LLAMA, norm="post_attention_layernorm")
GEMMA_2_BLOCKS = gated("model.layers.N.mlp", "Gemma 2 and 3", activation="gelu_tanh",
                       norm="pre_feedforward_layernorm", residual=False)

# Model, configuration, its blocks. A part of a model that is saved alone has names of its own.
MODELS = [
    (hf.CLIPModel, hf.CLIPConfig(**TOWERS), [CLIP_VISION, CLIP_TEXT]),
    (hf.CLIPVisionModel, hf.CLIPVisionConfig(**IMAGE),
     [Blocks("encoder.layers.N.mlp", "CLIP (HF) image tower", activation="quick_gelu", norm="layer_norm2")]),
    (hf.CLIPTextModel, hf.CLIPTextConfig(**TEXT),
     [Blocks("encoder.layers.N.mlp", "CLIP (HF) text tower", activation="quick_gelu")]),
    (hf.CLIPVisionModelWithProjection, hf.CLIPVisionConfig(**IMAGE), [CLIP_VISION]),
    (hf.SiglipModel, hf.SiglipConfig(**TOWERS),
     [Blocks("vision_model.encoder.layers.N.mlp", "SigLIP image tower", activation="gelu_tanh"),
      Blocks("text_model.encoder.layers.N.mlp", "SigLIP text tower", activation="gelu_tanh")]),
    (hf.SiglipVisionModel, hf.SiglipVisionConfig(**IMAGE),
     [Blocks("encoder.layers.N.mlp", "SigLIP image tower", activation="gelu_tanh", norm="layer_norm2")]),
    (hf.ViTModel, hf.ViTConfig(**IMAGE), [Blocks("encoder.layer.N", "ViT (HF)", module="layers.N.mlp")]),
    (hf.ViTForImageClassification, hf.ViTConfig(**IMAGE),
     [Blocks("vit.encoder.layer.N", "ViT (HF)", module="vit.layers.N.mlp")]),
    (hf.Dinov2Model, hf.Dinov2Config(**IMAGE, mlp_ratio=3),
     [Blocks("encoder.layer.N.mlp", "DINOv2 (HF)", shape=RATIO_3)]),
    (hf.BertModel, hf.BertConfig(**TEXT), [Blocks("encoder.layer.N", "BERT")]),
    (hf.GPT2Model, hf.GPT2Config(**GPT2), [Blocks("h.N.mlp", "GPT-2", activation="gelu_tanh", norm="ln_2")]),
    (hf.GPT2LMHeadModel, hf.GPT2Config(**GPT2),
     [Blocks("transformer.h.N.mlp", "GPT-2", activation="gelu_tanh")]),
    (hf.OPTModel, hf.OPTConfig(**OPT), [Blocks("decoder.layers.N", "OPT", activation="relu")]),
    (hf.OPTForCausalLM, hf.OPTConfig(**OPT), [Blocks("model.decoder.layers.N", "OPT", activation="relu")]),
    (hf.BartModel, hf.BartConfig(**SEQ2SEQ), [Blocks("encoder.layers.N", "BART"), Blocks("decoder.layers.N", "BART")]),
    (hf.WhisperModel, hf.WhisperConfig(**SEQ2SEQ),
     [Blocks("encoder.layers.N", "Whisper", norm="final_layer_norm"),
      Blocks("decoder.layers.N", "Whisper", norm="final_layer_norm")]),
    (hf.LlamaForCausalLM, hf.LlamaConfig(**DECODER, rms_norm_eps=1e-2), [LLAMA_BLOCKS]),
    (hf.MistralForCausalLM, hf.MistralConfig(**DECODER), [LLAMA_BLOCKS]),
    (hf.Qwen2ForCausalLM, hf.Qwen2Config(**DECODER), [LLAMA_BLOCKS]),
    (hf.Qwen2Model, hf.Qwen2Config(**DECODER),
     [gated("layers.N.mlp", LLAMA, norm="post_attention_layernorm")]),
    (hf.Qwen3ForCausalLM, hf.Qwen3Config(**DECODER, head_dim=10), [LLAMA_BLOCKS]),
    (hf.GemmaForCausalLM, hf.GemmaConfig(**GEMMA),
     [gated("model.layers.N.mlp", "Gemma", activation="gelu_tanh", norm="post_attention_layernorm")]),
    (hf.Gemma2ForCausalLM, hf.Gemma2Config(**GEMMA), [GEMMA_2_BLOCKS]),
    (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig(**GEMMA), [GEMMA_2_BLOCKS]),
    (hf.Qwen2VLForConditionalGeneration, hf.Qwen2VLConfig(**QWEN2_VL),
     [Blocks("visual.blocks.N.mlp", "Qwen2-VL image tower", module="model.visual.blocks.N.mlp",
             activation="quick_gelu", shape=RATIO_3, norm="norm2"),
      gated("model.layers.N.mlp", "Qwen2-VL text", module="model.language_model.layers.N.mlp",
            norm="post_attention_layernorm")]),
    (hf.DeepseekV2ForCausalLM, hf.DeepseekV2Config(**DEEPSEEK),
     [gated("model.layers.N.mlp", LLAMA, layers=(0,), norm="post_attention_layernorm"),
      gated("model.layers.N.mlp.shared_experts", EXPERTS, layers=(1,), hidden=34),
      gated("model.layers.1.mlp.experts.N", EXPERTS, module="model.layers.1.mlp.experts", layers=(0, 1, 2),
            hidden=17)]),
]
# One of each layout also in bf16: the weights are exact here as there.
IN_BF16 = (hf.CLIPVisionModel, hf.ViTModel, hf.GPT2Model, hf.Qwen2ForCausalLM, hf.GemmaForCausalLM)


def apply(module, number, x):
    """A block's output by the model's own modules."""
    if hasattr(module, "gate_up_proj"):  # all experts; all tokens go to one of them
        index = torch.full((len(x), 1), number)
        return module(x, index, torch.ones(len(x), 1, dtype=x.dtype))
    if hasattr(module, "intermediate"):  # a layer of BERT
        return module.output.dense(module.intermediate(x))
    if hasattr(module, "self_attn"):  # a layer whose fc1 and fc2 are no module of their own
        return module.fc2(module.activation_fn(module.fc1(x)))
    return module(x)


def spread(model):
    """Random weights with which the activations see -6..6, and biases that matter: a fresh model's are so small
    that every activation would be a straight line."""
    torch.manual_seed(1)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2:
                inputs = parameter.shape[0 if type(module).__name__ == "Conv1D" else -1]
                torch.nn.init.normal_(parameter, std=2 / inputs**0.5)
            elif name == "bias":
                torch.nn.init.normal_(parameter, std=0.3)
            elif type(module).__name__.endswith("Norm"):  # whose weights are ones, or zeros in Gemma's
                torch.nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.3)


def layer_name(blocks, number):
    name = (blocks.module or blocks.prefix).replace("N", str(number))
    return name.removesuffix(".mlp")


def module_of(model, blocks, number):
    return model.get_submodule((blocks.module or blocks.prefix).replace("N", str(number)))


def output(program, folder, blocks, arguments):
    command = [*program, *arguments, "--weights", folder, "--input", folder / "x.npy", "--output", folder / "y.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or done.stderr or f", {blocks.activation}" not in done.stdout:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return np.load(folder / "y.npy").astype(np.float64)


def norms_of(model, blocks, number):
    """The norm in front of a block: the model's own module, and PyTorch's where that is another."""
    norm = model.get_submodule(f"{layer_name(blocks, number)}.{blocks.norm}")
    yield norm
    if not isinstance(norm, torch.nn.LayerNorm):
        eps = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
        plain = torch.nn.RMSNorm(len(norm.weight), eps=eps, dtype=norm.weight.dtype)
        plain.weight.copy_(norm.weight + (1 if "Gemma" in type(norm).__name__ else 0))
        yield plain


def wanted(model, blocks, number, behind_norm, h):
    """A block's outputs by the modules; behind a norm the MLP half of the layer, by the name of the norm's module."""
    module = module_of(model, blocks, number)
    if not behind_norm:
        yield "", apply(module, number, h)
        return
    for norm in norms_of(model, blocks, number):
        y = apply(module, number, norm(h))
        yield f", {type(norm).__name__}", h + y if blocks.residual else y


def outputs(program, folder, blocks):
    """The program's: number, whether it is behind the norm, y. The first block by run, the others by tower."""
    for number in blocks.layers:
        tower = ["tower", "--family", blocks.prefix, "--layers", f"{number}..{number}"]
        alone = number == blocks.layers[0] or "experts" in blocks.prefix
        which = ["run", "--layer", blocks.prefix.replace("N", str(number))] if alone else tower
        yield number, False, output(program, folder, blocks, which)
        if blocks.norm:
            yield number, True, output(program, folder, blocks, tower + ["--norm"] + ["--residual"] * blocks.residual)


def is_told(program, folder, blocks, dtype):
    """Whether inspect knows the blocks."""
    numbers = blocks.layers[0] if len(blocks.layers) == 1 else "{0..%d}" % blocks.layers[-1]
    wanted = f"'{blocks.prefix.replace('N', str(numbers))}'\n    {blocks.family}: {blocks.shape}, {dtype}, "
    told = subprocess.run([*program, "inspect", folder], check=True, capture_output=True, text=True).stdout
    if wanted not in told:
        print(f"inspect should have said\n{wanted}...\nand said\n{told}")
    return wanted in told


def agrees(program, folder, model, blocks, x):
    agree = True
    for number, behind_norm, y in outputs(program, folder, blocks):
        for dtype, limit in REFERENCES.items():
            with torch.inference_mode():
                wants = list(wanted(model.to(dtype), blocks, number, behind_norm, torch.from_numpy(x).to(dtype)))
            for norm, want in wants:
                want = want.double().numpy()
                error = np.linalg.norm(y - want) / np.linalg.norm(want)
                verdict = "ok" if error <= limit else "FAILED"
                print(f"  {blocks.prefix.replace('N', str(number))}{norm}, {dtype}: relative L2 error {error:.2e} "
                      f"({verdict}: at most {limit:g} is accepted)", flush=True)
                agree &= bool(error <= limit)
    return agree


def check(work, program, make, config, all_blocks, dtype):
    folder = work / f"{make.__name__}-{str(dtype).partition('.')[2]}"
    folder.mkdir(parents=True, exist_ok=True)
    print(folder.name, flush=True)
    model = make(config).eval()
    if hasattr(config, "n_routed_experts"):
        model.set_experts_implementation("eager")  # the others take no double precision
    spread(model)
    model.to(dtype).save_pretrained(folder)
    x = np.random.default_rng(1).standard_normal((TOKENS, DIM), dtype=np.float32)
    np.save(folder / "x.npy", x)
    name = {torch.float32: "F32", torch.bfloat16: "BF16"}[dtype]
    return all([
        is_told(program, folder, blocks, name) and agrees(program, folder, model, blocks, x)
        for blocks in all_blocks
    ])


def main():
    work, *program = sys.argv[1:]
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    agree = True
    for make, config, blocks in MODELS:
        for dtype in [torch.float32] + [torch.bfloat16] * (make in IN_BF16):
            agree &= check(Path(work), program, make, config, blocks, dtype)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
