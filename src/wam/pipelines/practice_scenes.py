"""The scenes that practice begins at: those that imagination starts from, and PPO in the simulator."""

from wam.pipelines.pages import ImaginationStartsConfig
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.imagination_scenes import sample_scenes
from wam.tasks.starts import Start


def imagination_scenes(simulator: SimConfig, config: ImaginationStartsConfig, task: str) -> list[Start]:
    """The task's scenes that fine-tuning starts from; fewer of them are the first of more."""
    rng = numpy_generator(config.seed, "imagination_starts", task)
    return sample_scenes(simulator, rng, task, config.scenes, config.draw)
