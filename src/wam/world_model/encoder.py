"""From two images and proprioception to ``embed``."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wam.contracts import PROPRIO_DIM
from wam.nn.conv import WIDTH_PER_DEPTH, ConvEncoder
from wam.nn.mlp import LAYER_NORM_EPS
from wam.world_model.config import EncoderConfig


class Encoder(nn.Module):
    """One convolutional encoder per camera, fused by a linear layer; proprioception is appended as it is.

    Args:
        config: Sizes.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = WIDTH_PER_DEPTH * config.cnn_depth
        self.image_static = ConvEncoder(config.cnn_depth)
        self.image_gripper = ConvEncoder(config.cnn_depth)
        self.fusion = nn.Linear(2 * width, width)
        self.fusion_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.image_dim = width
        self.embed_dim = width + PROPRIO_DIM

    def forward(
        self,
        image_static: Float[Tensor, "N 3 64 64"],
        image_gripper: Float[Tensor, "N 3 64 64"],
        proprio: Float[Tensor, "N P"],
    ) -> Float[Tensor, "N E"]:
        """Encode frames.

        Args:
            image_static: In [-1, 1].
            image_gripper: In [-1, 1].
            proprio: Normalised.

        Returns:
            ``[fused image features ; proprio]``.
        """
        both = torch.cat([self.image_static(image_static), self.image_gripper(image_gripper)], dim=-1)
        fused = functional.elu_(self.fusion_norm(self.fusion(both)))
        return torch.cat([fused, proprio], dim=-1)
