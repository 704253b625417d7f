"""Configuration pages of the diagnostics."""

from typing import Annotated, Literal

from pydantic import Field

from wam.contracts import config
from wam.diagnostics.quantities import Quantity

Strength = Annotated[float, Field(gt=0)]
Centimetres = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


@config
class ProbeConfig:
    """How linear probes are fitted and on what they are judged."""

    max_frames: int = Field(gt=0)
    """Training frames that a probe is fitted to, evenly spread."""
    ridge: tuple[Strength, ...] = Field(min_length=1)
    """Strengths tried, as shares of each input's variance; the one with the least squared error on training
    episodes held back is taken, per quantity."""
    episodes: Literal["selection", "validation"] = "selection"
    """Held-out episodes that probes are judged on: those that selection starts come from, or all of them.
    Whoever chooses a world model by probes on all of them has looked at the episodes of the test starts."""
    max_episodes: int = Field(gt=0)
    """Most episodes that probes are judged on."""
    sequences: int = Field(gt=0)
    """Stretches imagined open loop."""
    steps: int = Field(default=50, gt=0)
    """Frames imagined of each, or as many as the longest episode allows."""
    event_steps: int = Field(default=32, ge=4)
    """Frames of the stretches in which a thing moves, or does not (``diagnostics.events``)."""


@config
class ToleranceConfig:
    """How well a policy must be able to know a quantity: the pass marks of the probes, in one table."""

    arm: Centimetres
    """Mean error (cm) of each coordinate of the tool centre point."""
    drawer: Centimetres
    """Mean error (cm) of the drawer's opening."""
    slider: Centimetres
    """Mean error (cm) of the slider's opening."""
    light: Share
    """Least accuracy for the bulb and the LED."""
    switch: Centimetres | None = None
    """Mean error (cm) of the switch; None shows it without a mark."""
    button: Centimetres | None = None
    """Mean error (cm) of the button; None shows it without a mark."""
    layout: Centimetres | None = None
    """Mean error (cm) of where furniture stands; None shows it without a mark."""

    def of(self, quantity: Quantity) -> float | None:
        """The pass mark of a quantity: most error (cm), or least accuracy; None where there is none."""
        mark: float | None = getattr(self, quantity.group)
        return mark


@config
class CalibrationConfig:
    """How imagined success is compared with real success, and what follows from it."""

    imagined_repeats: int = Field(gt=0)
    """Imagined episodes from each start; the simulator runs one."""
    practice_scenes: int = Field(default=0, ge=0)
    """Of the scenes that imagination starts from, how many are tried at most beside the selection starts,
    where there are any: ten starts alone make a gap of 13 points by chance."""
    linger_steps: int = Field(ge=0)
    """Control steps that a real episode goes on after its first success, so that there are solved frames to
    try the judges of success on. They count for nothing else."""
    max_gap: float = Field(gt=0, le=1)
    """Mean over tasks of the absolute difference between imagined and real success, as a share, up to which
    PPO in imagination may be trusted."""
    beyond: Literal["warn", "stop"] = "warn"
    """What PPO of a task does whose gap is beyond doubt larger (the whole 95 % interval is): say so and go
    on, or stop the run."""
