"""The blocks that compare_peers.py can measure. Every peer is given these numbers; none has the table."""

from typing import NamedTuple


class Block(NamedTuple):
    dim: int
    hidden: int
    activation: str  # by this library's name
    gated: bool      # and without biases
    tokens: tuple    # that its model comes to

    def weights(self):
        return (3 if self.gated else 2) * self.dim * self.hidden

    def arguments(self):
        """Of a peer's process. Cold: as many layers as have the weights of CLIP-L's 24, which no cache holds."""
        cold_layers = -(-24 * BLOCKS["clip_l"].weights() // self.weights())
        return [f"--dim={self.dim}", f"--hidden={self.hidden}", f"--activation={self.activation}",
                *(["--gated"] if self.gated else []), f"--cold-layers={cold_layers}"]

    def __str__(self):
        biases = "gated, without biases" if self.gated else "with biases"
        return f"dim {self.dim}, hidden {self.hidden}, {self.activation}, {biases}"


CLIP_TOKENS = (1, 4, 8, 16, 32, 64, 101, 202, 257, 404, 577, 606, 909, 1028, 4096)
DECODER_TOKENS = (1, 16, 273, 903)  # 1: the next word; 273 to 903: what a page comes to

BLOCKS = {
    "clip_l": Block(1024, 4096, "quick_gelu", False, CLIP_TOKENS),
    "sam": Block(768, 3072, "gelu", False, (1600, 4096, 9600)),
    "siglip": Block(1152, 4304, "gelu_tanh", False, (1, 16, 729)),
    "deepseek_dense": Block(1280, 6848, "silu", True, DECODER_TOKENS),
    "deepseek_expert": Block(1280, 896, "silu", True, DECODER_TOKENS),
    "deepseek_shared": Block(1280, 1792, "silu", True, DECODER_TOKENS),
    "ocr2": Block(896, 4864, "silu", True, DECODER_TOKENS),
}
