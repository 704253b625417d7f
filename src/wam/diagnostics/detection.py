"""How well a judge of success tells solved frames, and whose frames.

Attempts of experts that it was not trained on, the same ones imagined, and what a policy itself brings about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from wam.demonstrations.reward_sets import RewardSet, imagined_features, labelled_features
from wam.evaluation.agent import WorldModelAgent
from wam.reward.judge import Judge
from wam.reward.metrics import precision_recall
from wam.sim.frames import SimFrames, copy_frames
from wam.sim.rules import judged
from wam.tasks.table import task as task_called
from wam.world_model.model import WorldModel

SEEN, IMAGINED, POLICY = "attempts_seen", "attempts_imagined", "policy"
"""Where frames come from: held-out attempts of experts, the same imagined from their first frame with their
own actions, and rollouts of the cloned policy in the simulator."""
COLUMNS: Final = (
    *("task", "judge", "frames_of"),
    *("positives", "negatives", "precision", "recall", "false_positive_rate"),
    *("solved_episodes", "solved_noticed", "failed_episodes", "failed_believed"),
)


@dataclass(frozen=True)
class PolicyFrames:
    """Every frame that a policy's episodes showed, and what the world model made of it.

    Attributes:
        feat: ``(N, F)``.
        start_feat: ``(N, F)``, feature of the first frame of the same episode.
        label: ``(N,)`` bool, whether the oracle calls the frame solved.
        start: ``(N,)``, number of the episode's start.
        robot_obs: ``(N, 15)``.
        scene_state: ``(N, 24)``.
    """

    feat: NDArray[np.float32]
    start_feat: NDArray[np.float32]
    label: NDArray[np.bool_]
    start: NDArray[np.int64]
    robot_obs: NDArray[np.float64]
    scene_state: NDArray[np.float64]


class WatchedAgent:
    """Acts as another agent does, and keeps every frame that it observes.

    Args:
        agent: Acts.
        task: Whose oracle labels the frames.
    """

    needs_images = True

    def __init__(self, agent: WorldModelAgent, task: str) -> None:
        self._agent = agent
        self._task = task_called(task)
        self._kept: list[PolicyFrames] = []
        self._origin: NDArray[np.float64]
        self._start_feat: NDArray[np.float32]
        self.first: SimFrames
        """First frames of the episodes."""
        self.act_steps = agent.act_steps

    def reset(self, frames: SimFrames) -> None:
        """Start anew, also with keeping."""
        self._agent.reset(frames)
        self.first = copy_frames(frames)
        self._origin = frames.scene_state.copy()
        self._start_feat = self._feat()
        self._kept = []
        self._keep(frames, np.ones(len(frames), np.bool_))

    def act(self) -> NDArray[np.float32]:
        """As the agent."""
        return self._agent.act()

    def observe(self, frames: SimFrames, action: NDArray[np.float32], active: NDArray[np.bool_]) -> None:
        """As the agent; frames of starts still running are kept."""
        self._agent.observe(frames, action, active)
        self._keep(frames, active)

    def _feat(self) -> NDArray[np.float32]:
        return np.asarray(self._agent.feat.float().cpu().numpy(), np.float32)

    def _keep(self, frames: SimFrames, rows: NDArray[np.bool_]) -> None:
        self._kept.append(
            PolicyFrames(
                feat=self._feat()[rows],
                start_feat=self._start_feat[rows],
                label=judged(self._task, self._origin, frames)[rows],
                start=np.flatnonzero(rows),
                robot_obs=frames.robot_obs[rows].copy(),
                scene_state=frames.scene_state[rows].copy(),
            )
        )

    def frames(self) -> PolicyFrames:
        """All frames since the last reset, by time."""
        names = PolicyFrames.__dataclass_fields__
        return PolicyFrames(
            **{name: np.concatenate([getattr(part, name) for part in self._kept]) for name in names}
        )


def judge_policy_frames(judges: Mapping[str, Judge], frames: PolicyFrames, task: str) -> pd.DataFrame:
    """Decisions of each judge, by name, on frames of a policy; a row each, see :func:`_counts`."""
    rows = [
        {"task": task, "judge": name, "frames_of": POLICY, **_counts(judge, frames, frames.start)}
        for name, judge in judges.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def judge_attempts(
    model: WorldModel,
    judges: Mapping[str, Judge],
    features: Mapping[str, NDArray[Any]],
    labels: pd.DataFrame,
    task: str,
    *,
    seed: int,
) -> pd.DataFrame:
    """Decisions of each judge on held-out attempts, seen and imagined, on the same frames.

    Args:
        model: In evaluation mode.
        judges: Of the task, by name.
        features: Of the attempts, as ``featurize_segments`` gives them; their first frames are left out, from
            which imagination starts.
        labels: The oracle's, columns segment, step, label.
        task: The task.
        seed: Of the latent samples.

    Returns:
        Two rows a judge, see :func:`_counts`.
    """
    seen = labelled_features(features, labels)
    seen = seen.rows(np.asarray(features["step"]) > 0)
    imagined = imagined_features(model, features, labels, seed=seed)
    rows = [
        {"task": task, "judge": name, "frames_of": frames_of, **_counts(judge, part, part.episode)}
        for name, judge in judges.items()
        for frames_of, part in ((SEEN, seen), (IMAGINED, imagined))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _counts(judge: Judge, frames: PolicyFrames | RewardSet, episode: NDArray[np.int64]) -> dict[str, float]:
    """What a judge makes of labelled frames, by frame and by episode; NaN for what there is none of.

    Of the episodes that the oracle calls solved at some frame, ``solved_noticed`` is the share in which the
    judge fires at any frame; of the others ``failed_believed``.
    """
    label = frames.label
    shown = judge.inputs(torch.from_numpy(frames.feat), torch.from_numpy(frames.start_feat))
    predicted = np.asarray(judge.predict(shown).numpy(), np.bool_)
    counts = precision_recall(label, predicted)
    table = pd.DataFrame({"episode": episode, "label": label, "predicted": predicted})
    ever = table.groupby("episode").max()
    solved, failed = ever[ever["label"]], ever[~ever["label"]]
    negatives = counts.false_positive + counts.true_negative
    return {
        "positives": counts.true_positive + counts.false_negative,
        "negatives": negatives,
        "precision": _or_nan(counts.precision),
        "recall": _or_nan(counts.recall),
        "false_positive_rate": counts.false_positive / negatives if negatives else np.nan,
        "solved_episodes": len(solved),
        "solved_noticed": solved["predicted"].mean() if len(solved) else np.nan,
        "failed_episodes": len(failed),
        "failed_believed": failed["predicted"].mean() if len(failed) else np.nan,
    }


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
