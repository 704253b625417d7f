"""Configuration page of play collection."""

from typing import Annotated

from pydantic import Field, model_validator

from wam.contracts import config
from wam.parallel.workers import RayWorkers
from wam.tasks.segments import WINDOW_FRAMES

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


@config
class PlayConfig:
    """How much play is recorded, and how untidy it is.

    Attributes:
        seed: Seed of everything; an episode depends on it, its split and its number alone.
        episode_frames: Stored frames per episode (30 a second). Short episodes mean many layouts.
        training_episodes: Fewest training episodes.
        short_episodes: Further training episodes, too short for a segment. They give world models many more
            layouts for their frames; policies learn nothing from them.
        short_episode_frames: Stored frames of each of those.
        short_warm_up: Whether they begin with aimless motion, as long ones must: a segment needs 48 frames
            before its success. Without it they begin with a try, and most have time to end it.
        short_miss_probability: Chance that a try in a short episode misses on purpose: it stops short, or
            passes beside. World models that have hardly seen a miss imagine that every try succeeds.
        short_displaced_probability: Chance that a try in a short episode is displaced as a whole by up to a
            little more than what misses: it hits or not, and shows where hitting ends. Drawn first.
        validation_episodes: Fewest validation episodes.
        min_training_segments: Accepted training segments that every task must have.
        test_starts: Accepted segments that every task must have in the validation episodes for test starts.
        selection_starts: The same in the validation episodes for selection starts.
        round_episodes: Episodes recorded between two looks at the counts, once the fewest are there.
        max_episodes: Episodes of a split at which collection gives up.
        margin_frames: Frames before a segment's goal frame in which success must hold already: an open-loop
            replay lags by a few frames. All segments obey CALVIN's rule whatever the margin.
        noise: Standard deviation of white noise on every component of an action (1 is full scale).
        kick_probability: Chance per step that a kick of a few steps begins.
        kick: Standard deviation of a kick.
        aimless_probability: Chance of aimless motion between two tasks.
        block_probability: Chance that aimless motion pushes a block.
        speed_low: Slowest commanded speed (m per step).
        speed_high: Fastest commanded speed (m per step); labels are clipped at 0.02.
        workers: Processes, or workers of a Ray cluster; results do not depend on it.
    """

    seed: Count = 0
    episode_frames: Annotated[int, Field(ge=WINDOW_FRAMES + 1)] = 256
    training_episodes: Positive = 1
    short_episodes: Count = 0
    short_episode_frames: Annotated[int, Field(ge=2)] = 40
    short_warm_up: bool = True
    short_miss_probability: Share = 0.0
    short_displaced_probability: Share = 0.0
    validation_episodes: Positive = 1
    min_training_segments: Count = 50
    test_starts: Count = 29
    selection_starts: Count = 10
    round_episodes: Positive = 8
    max_episodes: Positive = 4000
    margin_frames: Annotated[int, Field(ge=0, le=14)] = 4
    noise: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    kick_probability: Share = 0.02
    kick: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    aimless_probability: Share = 0.2
    block_probability: Share = 0.3
    speed_low: Annotated[float, Field(gt=0.0, le=0.018)] = 0.012
    speed_high: Annotated[float, Field(gt=0.0, le=0.018)] = 0.016
    workers: Positive | RayWorkers = 1

    @model_validator(mode="after")
    def _speeds_and_counts_agree(self) -> "PlayConfig":
        if self.speed_low > self.speed_high:
            raise ValueError(f"speed_low {self.speed_low} is above speed_high {self.speed_high}")
        fewest = max(self.training_episodes, self.validation_episodes)
        if fewest > self.max_episodes:
            raise ValueError(f"max_episodes {self.max_episodes} is below the {fewest} episodes asked for")
        return self
