"""Success read off the scene: decode joints and lights from features, then ask the oracle's own rule.

A classifier learns success from frames of attempts, and mistakes a hand in the right place for a deed. Play
shows every state of the table beside every pose of the hand, and its scene states are recorded, so a network
that tells the state has no such short cut (docs/learning/imagination.md). Where a world model carries the
scene there is no network, only a copy. Not part of the published method.
"""

from typing import Any, Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wam.contracts import LossOutput, config_from_dict, config_to_dict
from wam.nn.mlp import MLP
from wam.nn.standardizer import Standardizer
from wam.reward.config import ReadoutConfig
from wam.reward.inputs import with_start
from wam.tasks.table import IS_LIGHT, LIGHT_ON, QUANTITIES, SCENE_UNITS, Task
from wam.training.checkpoint import Checkpoint

KIND: Final = "scene_readout"
_LIGHT_COLUMNS: Final = list(IS_LIGHT)
_JOINT_COLUMNS: Final = [not light for light in IS_LIGHT]


class SceneReadout(nn.Module):
    """The state of slider, drawer, bulb and LED from one feature of a world model.

    Args:
        feat_dim: F, width of a feature.
        config: Sizes and the unit of lengths.
        scene_at: Where the features hold the scene itself; absent, a network reads it off them.
    """

    def __init__(self, feat_dim: int, config: ReadoutConfig, scene_at: int | None = None) -> None:
        super().__init__()
        self.feat_dim = feat_dim
        self.config = config
        self.scene_at = scene_at
        self.standardizer = Standardizer(feat_dim, config.standardize_floor)
        self.layers = nn.Sequential()
        if scene_at is None:
            self.layers = MLP(feat_dim, config.hidden, len(QUANTITIES))

    def _raw(self, feat: Float[Tensor, "*B F"]) -> Float[Tensor, "*B Q"]:
        """Joints in units of ``length_unit``, log odds of lights."""
        raw: Tensor = self.layers(self.standardizer(feat))
        return raw

    def read(self, feat: Float[Tensor, "*B F"]) -> Float[Tensor, "*B Q"]:
        """The quantities of ``QUANTITIES``: openings in m, probabilities that lights are on."""
        if self.scene_at is not None:
            scene = [feat[..., self.scene_at + q] * SCENE_UNITS[q] for q in QUANTITIES]
            return torch.stack(scene, dim=-1)
        is_light = torch.tensor(IS_LIGHT, device=feat.device)
        raw = self._raw(feat)
        return torch.where(is_light, raw.sigmoid(), raw * self.config.length_unit)

    def loss(self, feat: Float[Tensor, "B F"], scene: Float[Tensor, "B Q"]) -> LossOutput:
        """Mean squared error of joints, in squares of ``length_unit``, plus cross-entropy of lights.

        Args:
            feat: Features of recorded frames.
            scene: ``QUANTITIES`` of their scene states.
        """
        raw = self._raw(feat)
        joints = raw[:, _JOINT_COLUMNS] - scene[:, _JOINT_COLUMNS] / self.config.length_unit
        on = (scene[:, _LIGHT_COLUMNS] > LIGHT_ON).to(raw.dtype)
        squared = joints.square().mean()
        cross_entropy = nn.functional.binary_cross_entropy_with_logits(raw[:, _LIGHT_COLUMNS], on)
        metrics = {"joints": squared.detach(), "lights": cross_entropy.detach()}
        return LossOutput(squared + cross_entropy, metrics)

    def to_checkpoint(self) -> Checkpoint:
        """Weights, statistics and configuration; kind ``scene_readout``."""
        weights = {name: value.detach().clone() for name, value in self.state_dict().items()}
        page = {"feat_dim": self.feat_dim, "readout": config_to_dict(self.config), "scene_at": self.scene_at}
        return Checkpoint(kind=KIND, weights=weights, config=page)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "SceneReadout":
        """Rebuild a readout.

        Raises:
            ValueError: If the checkpoint is of another kind.
        """
        checkpoint.expect(KIND)
        page = config_from_dict(ReadoutConfig, checkpoint.config["readout"])
        readout = cls(int(checkpoint.config["feat_dim"]), page, checkpoint.config.get("scene_at"))
        checkpoint.load_into(readout)
        return readout


class ReadoutJudge(nn.Module):
    """Judges one task by the rule of ``tasks.predicates.succeeded``, on scenes that are read off features.

    Joints are compared reading with reading, so that a constant error cancels; the change may fall short of
    the oracle's by ``slack``.

    Args:
        readout: Of the world model whose features are judged.
        task: Whose rule.
    """

    def __init__(self, readout: SceneReadout, task: Task) -> None:
        super().__init__()
        self.readout = readout
        self.feat_dim = readout.feat_dim
        self._task = task
        self._place = QUANTITIES.index(task.quantity)

    @property
    def page(self) -> dict[str, Any]:
        """Plain values that tell this judge from another with the same weights."""
        return {"readout": config_to_dict(self.readout.config), "task": self._task.name}

    @property
    def judges_carried_alone(self) -> bool:
        """Whether its verdict hangs on the scene that features carry, and on nothing else of them."""
        return self.readout.scene_at is not None

    def inputs(
        self, feat: Float[Tensor, "*B F"], start_feat: Float[Tensor, "*#B F"]
    ) -> Float[Tensor, "*B F2"]:
        """What it is shown of features: each beside its episode's start; see ``reward.inputs``."""
        return with_start(feat, start_feat)

    @torch.no_grad()
    def predict(self, feat: Float[Tensor, "*B F2"]) -> Bool[Tensor, "*B"]:
        """Decision for each input."""
        end, start = feat[..., : self.feat_dim], feat[..., self.feat_dim :]
        before, after = (self.readout.read(part)[..., self._place] for part in (start, end))
        delta = self._task.delta
        if self._task.is_light:
            return ((before > LIGHT_ON) != (delta > 0)) & ((after > LIGHT_ON) == (delta > 0))
        change = (after - before) * (1.0 if delta > 0 else -1.0)
        return change > abs(delta) - self.readout.config.slack
