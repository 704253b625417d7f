"""The contrastive reward classifier on features."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wam.contracts import LossOutput, config_from_dict, config_to_dict
from wam.nn.mlp import MLP
from wam.nn.standardizer import Standardizer
from wam.reward.config import ClassifierConfig
from wam.reward.inputs import classifier_input, input_width
from wam.reward.losses import supervised_contrastive
from wam.training.checkpoint import Checkpoint

KIND = "reward_classifier"


class RewardClassifier(nn.Module):
    """Two classes, unsolved and solved, from one frame's features (or any other vector).

    Encoder and head are two layers each; the contrastive term shapes the embedding between them. 2,625,794
    parameters at the published sizes. With ``sees_start`` the input I is 2F wide, the feature beside that of
    the episode's first frame; every method takes that joined input, which :meth:`inputs` makes.

    Args:
        feat_dim: F, width of one feature: 2048 for features, 18 for proprioception.
        config: Sizes, input, loss and decision.

    Source:
        docs/published.md, rewards.
    """

    def __init__(self, feat_dim: int, config: ClassifierConfig) -> None:
        super().__init__()
        self.feat_dim = feat_dim
        self.config = config
        input_dim = input_width(feat_dim, sees_start=config.sees_start)
        self.standardizer = Standardizer(input_dim, config.standardize_floor)
        self.encoder = MLP(input_dim, [config.encoder_hidden], config.embed_dim, "relu")
        self.head = MLP(config.embed_dim, [config.head_hidden], 2, "relu")

    @property
    def page(self) -> dict[str, Any]:
        """Plain values that tell this classifier from another with the same weights."""
        return {"classifier": config_to_dict(self.config)}

    @property
    def judges_carried_alone(self) -> bool:
        """Never: it is shown all of the features."""
        return False

    def inputs(
        self, feat: Float[Tensor, "*B F"], start_feat: Float[Tensor, "*#B F"]
    ) -> Float[Tensor, "*B I"]:
        """What this classifier is shown of features: they alone, or each beside its episode's start.

        Args:
            feat: Features to judge.
            start_feat: Features of the first frames of their episodes; broadcast against ``feat``.
        """
        return classifier_input(feat, start_feat, sees_start=self.config.sees_start)

    def fit_input(self, feat: Float[Tensor, "N I"], parts: Sequence[int] = ()) -> None:
        """Take the standardiser's statistics from the training set; does nothing when it is switched off.

        Args:
            feat: Inputs.
            parts: Widths of the parts of one feature; without them, or without ``parts_alike``, numbers count
                alike.
        """
        if self.config.standardize:
            alike = tuple(parts) if self.config.parts_alike else ()
            self.standardizer.fit(feat, alike * (len(self.standardizer.mean) // self.feat_dim))

    def loss(self, feat: Float[Tensor, "B I"], label: Bool[Tensor, " B"]) -> LossOutput:
        """Contrastive term on the embedding plus weighted cross-entropy on the logits.

        Args:
            feat: Inputs.
            label: True where the task is solved.
        """
        target = label.long()
        embedding = self.encoder(self.standardizer(feat))
        logits = self.head(embedding)
        contrastive = supervised_contrastive(embedding, target, self.config.temperature)
        cross_entropy = nn.functional.cross_entropy(logits, target)
        loss = self.config.contrastive_coef * contrastive + self.config.cross_entropy_coef * cross_entropy
        metrics = {
            "contrastive": contrastive.detach(),
            "cross_entropy": cross_entropy.detach(),
            "accuracy": (logits.argmax(-1) == target).float().mean(),
        }
        return LossOutput(loss, metrics)

    def success_logit(self, feat: Float[Tensor, "*B I"]) -> Float[Tensor, "*B"]:
        """Log odds of success: the solved logit less the unsolved one."""
        logits: Tensor = self.head(self.encoder(self.standardizer(feat)))
        return logits[..., 1] - logits[..., 0]

    @torch.no_grad()
    def predict(self, feat: Float[Tensor, "*B I"]) -> Bool[Tensor, "*B"]:
        """Decision for each input: above even odds, or above the configured probability."""
        threshold = self.config.threshold
        bar = 0.0 if threshold is None else math.log(threshold / (1 - threshold))
        return self.success_logit(feat) > bar

    def to_checkpoint(self) -> Checkpoint:
        """Weights, statistics and configuration; kind ``reward_classifier``."""
        weights = {name: value.detach().clone() for name, value in self.state_dict().items()}
        page = {"feat_dim": self.feat_dim, "classifier": config_to_dict(self.config)}
        return Checkpoint(kind=KIND, weights=weights, config=page, extra={})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "RewardClassifier":
        """Rebuild a classifier.

        Raises:
            ValueError: If the checkpoint is of another kind.
        """
        checkpoint.expect(KIND)
        page = config_from_dict(ClassifierConfig, checkpoint.config["classifier"])
        classifier = cls(int(checkpoint.config["feat_dim"]), page)
        checkpoint.load_into(classifier)
        return classifier
