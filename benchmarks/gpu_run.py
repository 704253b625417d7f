"""What the sections of the GPU benchmark share: sizes, figures, the time that is left, and a clock."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import ppo, world_model
from benchmarks.made_up import made_up_episodes
from benchmarks.measure import verdict
from wam.contracts import config_from_dict
from wam.episodes.loaded import Episodes
from wam.training.config import OptimizerConfig
from wam.world_model.model import WorldModel
from wam.world_model.training_config import WorldModelTrainingConfig

BLOCKS = 5
"""Timed blocks of calls; the median block counts."""
BLOCK_SECONDS = 0.3
"""Least length of a block on a GPU: waiting for the device once a block must not show."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        page: Configuration of the world model.
        ppo: Of fine-tuning, see ``benchmarks.ppo``.
        batches: Streams B of the timed steps, in the order they are timed.
        steps: Frames T of a stream.
        frames: That are resident on the device.
        parity: B and T of the step that is repeated on the CPU.
        drift: B and number of the steps that are made in both precisions.
        envs: Imagined environments side by side.
        matrix: Side of the square matrices that give the device's rate.
        step_blocks: Blocks and steps in each for the training step.
    """

    page: dict[str, Any]
    ppo: dict[str, int]
    batches: tuple[int, ...]
    steps: int
    frames: int
    parity: tuple[int, int]
    drift: tuple[int, int]
    envs: tuple[int, ...]
    matrix: int
    step_blocks: tuple[int, int]


FULL = Sizes(
    page=world_model.FULL,
    ppo=ppo.SIZES,
    batches=(500, 50, 250, 8, 125),
    steps=50,
    frames=65_536,
    parity=(2, 8),
    drift=(16, 20),
    envs=(50, 500, 2000),
    matrix=8192,
    step_blocks=(3, 5),
)
TOY = Sizes(
    page=world_model.TOY,
    ppo=ppo.TOY,
    batches=(2,),
    steps=4,
    frames=96,
    parity=(2, 3),
    drift=(2, 3),
    envs=(3,),
    matrix=32,
    step_blocks=(1, 1),
)


@dataclass(frozen=True)
class Figure:
    """One line of the result.

    Attributes:
        section: That measured it.
        what: Was measured.
        value: In ``unit``; None where there is none, and ``note`` says why.
        unit: Of the value.
        bar: Value to reach; None where there is none.
        at_most: Whether the bar is an upper one.
        note: How, or with what beside it.
    """

    section: str
    what: str
    value: float | None
    unit: str = ""
    bar: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def mark(self) -> str:
        """Whether the bar is reached, in a word."""
        if self.value is None or self.bar is None:
            return ""
        return verdict(self.value, self.bar, at_most=self.at_most)

    def cells(self) -> list[str]:
        """Section, what, value, bar, mark and note."""
        value = "not measured" if self.value is None else f"{self.value:,.4g} {self.unit}".strip()
        bar = "" if self.bar is None else f"{'<=' if self.at_most else '>='} {self.bar:g}"
        return [self.section, self.what, value, bar, self.mark, self.note]


@dataclass
class Run:
    """One run of the benchmark.

    Attributes:
        device: Where everything is measured.
        sizes: How large it is.
        toy: Whether the sizes are those of the trial.
        lumos: Folder that holds LUMOS, if there is one.
        deadline: Of the present section, as ``time.monotonic`` counts.
        known: What sections found that later ones use: ``("rate", precision)`` in FLOP/s, ``"flop"`` a frame,
            ``"largest"`` batch that fitted.
    """

    device: torch.device
    sizes: Sizes
    toy: bool
    lumos: Path | None = None
    deadline: float = float("inf")
    known: dict[Any, float] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether there is anything to wait for."""
        return self.device.type == "cuda"

    def left(self) -> float:
        """Seconds that the present section has."""
        return self.deadline - time.monotonic()

    def wait(self) -> None:
        """Let the device finish."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """The precision of a training step."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")

    def seconds(self, work: Callable[[], object]) -> float:
        """Wall seconds of a call: the median of some blocks, the device idle before and after each."""
        for _ in range(1 if self.toy else 3):
            work()
        count, blocks = 1, (1 if self.toy else BLOCKS)
        if not self.toy:
            count = max(1, min(200, int(BLOCK_SECONDS / max(1e-6, self._block(work, 1)))))
        return median(self._block(work, count) for _ in range(blocks))

    def _block(self, work: Callable[[], object], count: int) -> float:
        self.wait()
        begin = time.perf_counter()
        for _ in range(count):
            work()
        self.wait()
        return (time.perf_counter() - begin) / count

    def in_turns(self, sides: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Median wall seconds of each side, the sides taking turns."""
        count = 1 if self.toy else 3
        turns = [{name: self.seconds(work) for name, work in sides.items()} for _ in range(count)]
        return {name: median(turn[name] for turn in turns) for name in sides}

    def begin_peak(self) -> float:
        """Count the device's memory from here; returns the GB that are taken already."""
        if not self.on_gpu:
            return 0.0
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device) / 1e9

    def peak(self) -> float | None:
        """GB of the device's memory that tensors took at most since then; None on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) / 1e9 if self.on_gpu else None

    def model(self) -> WorldModel:
        """The world model with its first weights, on the device."""
        return world_model.build(self.sizes.page).to(self.device)

    def training(self, batch: int, steps: int, precision: str) -> WorldModelTrainingConfig:
        """How it is trained: the published optimiser, every frame decoded."""
        optimizer = {"learning_rate": 3e-4, "eps": 1e-5, "weight_decay": 0.05, "grad_clip_norm": 100.0}
        page = {"steps": steps, "batch": batch, "sequence_steps": self.sizes.steps, "precision": precision}
        page |= {"optimizer": config_from_dict(OptimizerConfig, optimizer), "log_every": steps}
        return WorldModelTrainingConfig(**page)  # type: ignore[arg-type]

    @cached_property
    def episodes(self) -> Episodes:
        """Episodes of random frames, a thousand frames each."""
        length = min(1024, self.sizes.frames // 3)
        return made_up_episodes(self.sizes.frames // length, length)
