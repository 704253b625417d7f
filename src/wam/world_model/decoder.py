"""From ``feat`` back to the two images."""

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from wam.nn.conv import ConvDecoder, normalise_image
from wam.nn.fused_decoder import decoded_error
from wam.nn.strided import quick_precision
from wam.world_model.config import DecoderConfig
from wam.world_model.losses import image_loss


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

    def loss(
        self,
        feat: Float[Tensor, "N F"],
        image_static: UInt8[Tensor, "N 64 64 3"],
        image_gripper: UInt8[Tensor, "N 64 64 3"],
    ) -> Float[Tensor, ""]:
        """``image_loss`` of decoded features; on CPUs in one go, without the decoded images.

        Args:
            feat: Of the frames.
            image_static: Recorded, as bytes.
            image_gripper: Likewise.
        """
        precision = quick_precision(feat)
        if precision is None:
            target = normalise_image(image_static), normalise_image(image_gripper)
            return image_loss(self(feat), target)
        shared = self.shared(feat)
        static = decoded_error(shared, image_static, self.image_static.weights(), precision)
        gripper = decoded_error(shared, image_gripper, self.image_gripper.weights(), precision)
        return (static + gripper) / len(feat)
