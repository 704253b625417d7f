"""From ``feat`` back to the two images."""

from jaxtyping import Float
from torch import Tensor, nn

from wam.nn.conv import ConvDecoder
from wam.world_model.config import DecoderConfig


class Decoder(nn.Module):
    """One linear layer shared by both cameras, then transposed convolutions per camera.

    Args:
        config: Sizes.
        feat_dim: Width F of the features.
    """

    def __init__(self, config: DecoderConfig, feat_dim: int) -> None:
        super().__init__()
        self.image_static = ConvDecoder(config.cnn_depth)
        self.image_gripper = ConvDecoder(config.cnn_depth)
        self.shared = nn.Linear(feat_dim, self.image_static.inputs)

    def forward(
        self, feat: Float[Tensor, "N F"]
    ) -> tuple[Float[Tensor, "N 3 64 64"], Float[Tensor, "N 3 64 64"]]:
        """Decode features to images around [-1, 1] (unbounded), channels first."""
        shared = self.shared(feat)
        return self.image_static(shared), self.image_gripper(shared)
