"""From two images and what is measured beside them to ``embed``."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from wam.contracts import PROPRIO_DIM
from wam.nn.conv import WIDTH_PER_DEPTH, ConvEncoder, normalise_image
from wam.nn.fused_encoder import encode_bytes
from wam.nn.strided import quick_precision
from wam.world_model.config import LAYER_NORM_EPS, EncoderConfig


class Encoder(nn.Module):
    """One convolutional encoder per camera, fused by a linear layer; what is measured is appended as it is.

    Args:
        config: Sizes.
        color_moments: Numbers M of the cameras' colours among what is appended, before proprioception.

    Attributes:
        image_dim: Width of the part that is learned from the images; it comes first.
    """

    def __init__(self, config: EncoderConfig, color_moments: int = 0) -> None:
        super().__init__()
        width = WIDTH_PER_DEPTH * config.cnn_depth
        self.image_static = ConvEncoder(config.cnn_depth)
        self.image_gripper = ConvEncoder(config.cnn_depth)
        self.fusion = nn.Linear(2 * width, width)
        self.fusion_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.image_dim = width
        self.embed_dim = width + color_moments + PROPRIO_DIM

    def forward(
        self,
        image_static: Float[Tensor, "N 3 64 64"],
        image_gripper: Float[Tensor, "N 3 64 64"],
        measured: Float[Tensor, "N Q"],
    ) -> Float[Tensor, "N E"]:
        """Encode frames.

        Args:
            image_static: In [-1, 1].
            image_gripper: In [-1, 1].
            measured: Normalised proprioception, after the colours' moments where there are any.

        Returns:
            ``[fused image features ; measured]``.
        """
        return self._fuse(self.image_static(image_static), self.image_gripper(image_gripper), measured)

    def encode_bytes(
        self,
        image_static: UInt8[Tensor, "N 64 64 3"],
        image_gripper: UInt8[Tensor, "N 64 64 3"],
        measured: Float[Tensor, "N Q"],
    ) -> Float[Tensor, "N E"]:
        """Encode frames as they are stored; on CPUs quicker than ``forward`` on what it takes.

        Args:
            image_static: Bytes.
            image_gripper: Bytes.
            measured: As for ``forward``.
        """
        precision = quick_precision(measured)
        if precision is None:
            return self(normalise_image(image_static), normalise_image(image_gripper), measured)  # type: ignore[no-any-return]
        static = encode_bytes(image_static, self.image_static.weights(), precision)
        gripper = encode_bytes(image_gripper, self.image_gripper.weights(), precision)
        return self._fuse(static, gripper, measured)

    def _fuse(self, static: Tensor, gripper: Tensor, measured: Tensor) -> Tensor:
        both = torch.cat([static, gripper], dim=-1)
        fused = functional.elu_(self.fusion_norm(self.fusion(both)))
        return torch.cat([fused, measured], dim=-1)
