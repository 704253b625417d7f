"""Pages of configuration that belong to a stage rather than to one room of the library."""

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from wam.contracts import config, config_with
from wam.demonstrations.balance import Balance
from wam.demonstrations.replay_labels import LabelPairing
from wam.evaluation.perceptual import PerceptualConfig
from wam.evaluation.rollout import MAX_STEPS
from wam.parallel.map import RayWorkers, Workers, available_workers
from wam.reward.judge import JudgeKind
from wam.sight.frame_filter import PrevAction
from wam.sim.imagination_scenes import SceneDraw
from wam.tasks.selection import CheckpointsOn
from wam.training.device import Device
from wam.training.loop import steps_taken
from wam.world_model.config import WorldModelConfig
from wam.world_model.training_config import WorldModelTrainingConfig


@config
class ComputeConfig:
    """Where and how wide things run. On one device only ``stop_after`` and ``remote`` change a result.

    ``devices`` and ``accumulate`` add the same numbers in another order: last bits differ.
    """

    device: Device
    """``auto`` takes the GPU if there is one."""
    workers: int = Field(ge=0)
    """Processes for simulators and packing; 0 takes every usable core, with Ray of the whole cluster."""
    executor: Literal["local", "ray"] = "local"
    """Where those are: this machine, or the Ray cluster that ``RAY_ADDRESS`` names (docs/clusters.md)."""
    devices: int = Field(default=1, gt=0)
    """GPUs of this machine that train one world model together; on a CPU, processes that share it."""
    accumulate: int = Field(default=1, gt=0)
    """Parts of its share of the batch that each device takes one after another, to need less memory."""
    capture: bool = True
    """On a GPU, replay a training step, one of imagination, and a denoising as one graph each."""
    in_process: bool = False
    """Run a rollout's simulators inside the main process: right for a few steps of a few starts each, where
    starting workers costs more. Maps over pieces, as play, keep their processes."""

    remote: str | None = None
    """Folder of world models that another machine trained (``wam.world_model.remote``): each is taken
    in place of a training here with the same settings. They come with large matrices rounded to bf16."""
    stop_after: int | None = Field(default=None, gt=0)
    """Ends every training after this many steps (PPO: iterations), whatever its page plans: a trial of a long
    configuration from end to end. What it makes means nothing."""

    @property
    def processes(self) -> Workers:
        """Workers of maps over pieces, at least 1 (which is this process)."""
        return RayWorkers(self.workers) if self.executor == "ray" else self.workers or available_workers()

    def limited(self, steps: int) -> int:
        """Steps (or iterations) that are really taken of so many planned."""
        return steps_taken(steps, self.stop_after)

    @property
    def pool_workers(self) -> Workers:
        """Workers of a simulator pool, 0 for none."""
        return 0 if self.in_process else self.processes


@config
class WorldModelRow:
    """One row of the table of world models: all in which they differ, nothing else."""

    action_coef: float = Field(ge=0)
    """Weight of the inverse-dynamics loss; above 0 the model is a WAM, at 0 it is DiWA's DreamerV2."""
    world_model: dict[str, Any] = Field(default_factory=dict)
    """Settings of its own, nested as on the page ``world_model``; none by default."""
    world_model_training: dict[str, Any] = Field(default_factory=dict)
    """Settings of its own, nested as on the page ``world_model_training``; none by default."""

    def applied(
        self, model: WorldModelConfig, training: WorldModelTrainingConfig
    ) -> tuple[WorldModelConfig, WorldModelTrainingConfig]:
        """Both pages as they hold for this world model.

        Raises:
            pydantic.ValidationError: Naming every setting that a page does not have, and every wrong value.
        """
        own = config_with(model, self.world_model)
        own = replace(own, losses=replace(own.losses, action_coef=self.action_coef))
        return own, config_with(training, self.world_model_training)


@config
class ControlRow:
    """One row of the table of controls."""

    sees: Literal["proprio", "privileged"]
    """What the policy is conditioned on instead of features."""


@config
class TaskRow:
    """One row of the table of tasks: its name, and only what differs from the stages' pages."""

    name: str
    """The task, as the oracle knows it."""
    cloning_steps: int | None = Field(default=None, gt=0)
    """Gradient steps of cloning for this task alone."""
    ppo_iterations: int | None = Field(default=None, gt=0)
    """Iterations of fine-tuning for this task alone."""


@config
class OpenLoopConfig:
    """How open-loop prediction is measured."""

    sequences: int = Field(gt=0)
    """Held-out sequences."""
    steps: int = Field(default=50, gt=0)
    """Frames predicted from one; 50 published."""
    context_frames: int = Field(default=1, gt=0)
    """Real frames filtered before the prediction starts; 1 published."""
    shown: int = Field(default=4, ge=0)
    """Sequences drawn as strips and clips for the report."""
    perceptual: PerceptualConfig = Field(default_factory=PerceptualConfig)
    """Weight files of LPIPS and FVD; both are not available without."""


@config
class FeaturesConfig:
    """How recorded frames become features."""

    batch: int = Field(gt=0)
    """Episodes filtered side by side."""
    start_repeats: int = Field(ge=1)
    """Times the first frame of a segment is filtered before it counts; 8 halves the error of the start."""
    fresh_samples: int = Field(ge=0)
    """Filterings of each expert segment from its own first frame, each with other latent samples."""
    long_context: bool
    """Also use features filtered through the play that came before, as published."""
    context_steps: int = Field(default=256, ge=0)
    """Most frames of that play; published at least 156."""


@config
class RewardsConfig:
    """Where labelled frames come from."""

    label_source: Literal["replay", "recorded"] = "replay"
    """Scenes behind the labels: an open-loop replay of the actions (published), or the recording itself."""
    start_repeats: int = Field(ge=1)
    """Times the first frame of a recorded attempt is filtered."""
    negatives: int = Field(default=10, ge=1)
    """Frames without success kept per episode; 10 published."""
    pairing: LabelPairing = "described"
    """Frame that a label stands beside: the one it describes, or the one before, as published (fault B4)."""
    balance: Balance = "uniform"
    """How those frames are drawn: "uniform" among an episode's frames without success, or "published": places
    among them, applied to the episode's frames from its start (fault B5)."""
    play_pairs: int = Field(default=0, ge=0)
    """Pairs of frames of play, of each label and task, to learn from besides; 0 published."""
    play_steps: int = Field(default=MAX_STEPS, gt=0)
    """Control steps between the frames of such a pair, at most."""
    judge: JudgeKind = "classifier"
    """What decides in imagination whether a task is solved: the classifier (published), or the oracle's rule
    on the scene that is read off features."""


@config
class ImaginationStartsConfig:
    """Scenes that imagination starts from."""

    scenes: int = Field(gt=0)
    """Random scenes per task, each drawn so that the task is possible."""
    seed: int = Field(ge=0)
    """Of the scenes; apart from every other set of starts."""
    draw: SceneDraw = "own"
    """Whose distribution of scenes; "published" is DiWA's, on the fixed table, with one position of the hand
    for all scenes of a task (fault B7)."""


@config
class EvaluationConfig:
    """Closed-loop evaluation in the simulator."""

    max_steps: int = Field(default=MAX_STEPS, gt=0)
    """Control steps before an episode is truncated; 72 published."""
    start_repeats: int = Field(ge=1)
    """Times the first frame is filtered before the first decision."""
    videos: int = Field(ge=0)
    """Starts per task and policy whose episodes are kept as clips."""
    checkpoints_on: CheckpointsOn = "selection"
    """Starts from which PPO is evaluated while it runs, and its checkpoint chosen: starts of their own, or
    the test starts, on which the published code evaluates (fault B15: what it then reports is not said; the
    best of 33 evaluations is optimistic). "none": no evaluation, the last policy is the selected one."""
    cloned_weights: Literal["averaged", "raw"] = "averaged"
    """Weights of cloning that are evaluated: those PPO starts from, or the last, as published (fault B13)."""
    prev_action: PrevAction = "executed"
    """What the filter is told of the action behind a frame: the executed one, or the policy's own numbers
    with the gripper between -1 and +1, as published (fault B9)."""


@config
class ReportConfig:
    """What the report says about its numbers."""

    title: str
    """Headline of the page."""
    data_set: str
    """Name of the data that the numbers were measured on."""
    bootstrap_seed: int = Field(ge=0)
    """Of the intervals of means and differences."""
    videos_per_task: int = Field(ge=0)
    """Clips shown per world model and task."""
