"""Five gains in speed, each with its plain and its quick form and a profile of either.

    python -m benchmarks profiles --save docs/results
    python -m benchmarks profiles --toy               at sizes that say nothing

Both forms are in this repository and what they give is compared. Of all pairs that tests compare these had
the largest ratios, one of each part of the product; docs/performance.md tells those of the others.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from benchmarks import measure, one_by_one, profilers, world_model
from benchmarks.data_path import read_with_zarr
from benchmarks.ingest import make_folder
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.store import EpisodeStore
from wam.nn.linear_init import fan_in_uniform_
from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.seeding import torch_generator
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.training.memory import keep_freed_memory

SHOWN: Final = 6
"""Entries of a profile on the page."""
METHOD: Final = (
    "Median [smallest..largest] ratio of CPU seconds (`time.process_time`, all threads), both forms in turn "
    "in one process, fp32, torch with one thread, the allocator settings of training, made-up data, first "
    "weights; filtering and denoising at the published sizes, the rest at the laptop's. Differences are "
    "relative to the largest value of a result (features: of the first four frames of each episode); one "
    "above its bound stops the run. A profile is of one more call, by the clock: PyTorch's operations by "
    "their own time (`torch.profiler`; the rest of the call is Python), or functions by theirs (`cProfile`, "
    "in all threads on Python 3.11 and in one from 3.12 on, without waiting for others; Python of other "
    "packages is summed up, and what Cython calls counts for its caller). Either charges small calls more "
    "than large ones. Its seconds are shares of the median."
)
Results = Sequence[Any]


@dataclass(frozen=True)
class Gain:
    """One piece of work in two forms.

    Attributes:
        work: What is done, and how much of it.
        names: Of the plain form and of the one that the stages use.
        plain: Does it; returns what is compared.
        quick: Likewise.
        changed: Why the second takes less time.
        bound: Of the largest difference; None where both draw random numbers of their own.
        operations: Whether PyTorch's operations are profiled, else functions.
    """

    work: str
    names: tuple[str, str]
    plain: Callable[[], Results]
    quick: Callable[[], Results]
    changed: str
    bound: float | None
    operations: bool = True


def featurising(toy: bool, _: ExitStack) -> Gain:
    """Features of recorded episodes."""
    sizes = one_by_one.TOY if toy else one_by_one.Sizes(episodes=8, frames=32)
    sides, first = one_by_one.featurising(sizes), np.arange(sizes.episodes) * sizes.frames

    def side(name: str) -> Results:  # a sample that rounding turns changes all frames that follow
        features: Any = sides[name]()
        return [features[first + place] for place in range(4)]

    return Gain(
        f"featurising {sizes.episodes} episodes of {sizes.frames} frames, the laptop's model",
        ("a frame at a time", "`featurize_episodes`"),
        lambda: side("plain"),
        lambda: side("ours"),
        "Frames are encoded in batches and episodes filtered side by side: a few large operations for many "
        "small ones, and the weights are read once for all episodes.",
        bound=1e-5,
    )


def reading(toy: bool, stack: ExitStack) -> Gain:
    """All arrays of a store."""
    frames, folder = 40 if toy else 4096, Path(stack.enter_context(tempfile.TemporaryDirectory()))
    make_folder(folder / "raw", frames, min(64, frames // 4), linked=True)
    ingest_split(folder / "raw", folder / "store", IngestConfig(workers=1, require_annotations=False))
    store = EpisodeStore(folder / "store")
    arrays = [path.parent.name for path in sorted(store.path.glob("*/zarr.json"))]
    return Gain(
        f"reading a store of {frames:,} frames, three times",
        ("zarr-python", "`EpisodeStore.read`"),
        lambda: [read_with_zarr(store) for _ in range(3)][-1],
        lambda: [[store.read(name) for name in arrays] for _ in range(3)][-1],
        "The same codecs and checksums are called directly, and each chunk is decoded into its place: no "
        "event loop, no buffers in between.",
        bound=0.0,
        operations=False,
    )


def evaluating(toy: bool, stack: ExitStack) -> Gain:
    """Episodes of a policy in the simulator, in this process."""
    sizes = one_by_one.TOY if toy else one_by_one.Sizes(starts=8, max_steps=24)
    pool = stack.enter_context(SimPool(SimConfig(), workers=0))
    sides = one_by_one.evaluation(sizes, pool, pool)
    return Gain(
        f"evaluating {sizes.starts} starts, {sizes.max_steps} steps each, one process",
        ("a start at a time", "`rollout` of all"),
        lambda: [sides["plain"]()],
        lambda: [sides["ours"]()],
        "Starts run in lockstep: world model and policy are called once a step for all of them. The "
        "simulator takes as long as before.",
        bound=None,
        operations=False,
    )


def denoising(toy: bool, _: ExitStack) -> Gain:
    """Chunks of actions from a policy."""
    width, hidden, times = (24, 16, 2) if toy else (2048, 512, 5)
    policy = DiffusionPolicy(width, DiffusionConfig(hidden=hidden, standardize_condition=False))
    fan_in_uniform_(policy, 0)
    page, cond = policy.config, torch.randn(50, width, generator=torch_generator(0))

    @torch.no_grad()
    def plain(number: int) -> Tensor:
        shape = (page.denoising_steps + 1, len(cond), page.horizon_steps, page.action_dim)
        noise, std = torch.randn(shape, generator=torch_generator(number)), policy.stds(deterministic=True)
        noise[:-1].clamp_(-page.noise_clip, page.noise_clip)
        x = noise[page.denoising_steps]
        for k in reversed(range(page.denoising_steps)):
            x = policy.transition_mean(x, torch.tensor(k), policy.project(cond)) + std[k] * noise[k]
        return x

    def quick(number: int) -> Tensor:
        return policy.sample(cond, generator=torch_generator(number), deterministic=True)

    return Gain(
        f"denoising {times} x 50 chunks, condition {width:,} wide",
        ("the whole network at each step", "`DiffusionPolicy.sample`"),
        lambda: [plain(number) for number in range(times)],
        lambda: [quick(number) for number in range(times)],
        "The first layer's product with the wide condition, the same at each denoising step, is made once.",
        bound=1e-5,
    )


def filtering(toy: bool, _: ExitStack) -> Gain:
    """The recurrent part of the world model, there and back."""
    model, batch, steps = (
        (world_model.build(world_model.TOY), 2, 5) if toy else (world_model.build(world_model.FULL), 8, 50)
    )

    def there_and_back(observe: world_model.Observe) -> Callable[[], Results]:
        work = world_model.both_ways(model, observe, batch, steps, model.embed_dim)

        def gradients() -> Results:
            work()
            return [p.grad for p in model.rssm.parameters() if p.grad is not None]

        return gradients

    return Gain(
        f"filtering {batch} windows of {steps} frames, forward and backward",
        ("`RSSM.observe_step`, a frame at a time", "`RSSM.observe`"),
        there_and_back(world_model.observe_frame_by_frame),
        there_and_back(world_model.observe),
        "What needs no earlier frame leaves the loop, and a backward pass of its own makes the gradient of "
        "each weight in one product over all frames, not one a frame that is added up.",
        bound=1e-3,
    )


GAINS: Final = (featurising, reading, evaluating, denoising, filtering)


def difference(plain: Results, quick: Results) -> float:
    """Largest of any result, relative to that result's largest value."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(plain, quick, strict=True)]
    unequal = [(a.astype(float), b.astype(float)) for a, b in pairs if not np.array_equal(a, b)]
    return float(np.max([np.abs(a - b).max() / np.abs(a).max() for a, b in unequal], initial=0.0))


@dataclass(frozen=True)
class Found:
    """What was measured of a gain: its row, CPU seconds and largest entries of the profiles of both."""

    gain: Gain
    row: measure.Row
    seconds: tuple[float, float]
    profiles: tuple[profilers.Shares, profilers.Shares]


def measured(gain: Gain, turns: int) -> Found:
    """Time, compare and profile both forms.

    Raises:
        AssertionError: If what they give differs by more than the bound.
    """
    given: dict[str, Results] = {}
    sides: dict[str, Callable[[], object]] = {
        "plain": lambda: given.update(plain=gain.plain()),
        "quick": lambda: given.update(quick=gain.quick()),
    }
    plain, quick = measure.take_turns(sides, turns).values()
    note = f"{gain.names[1]}; other random numbers"
    if gain.bound is not None:
        worst = difference(given["plain"], given["quick"])
        if not worst <= gain.bound:
            raise AssertionError(f"{gain.work}: results differ by {worst:.1e}, more than {gain.bound:.0e}")
        note = f"{gain.names[1]}; largest difference {worst:.1e}, bound {gain.bound:.0e}"
    row = measure.ratio_row(gain.work, gain.names[0], plain, quick, note=note)
    profiled = profilers.by_operation if gain.operations else profilers.by_function
    profiles = profiled(gain.plain)[:SHOWN], profiled(gain.quick)[:SHOWN]
    return Found(gain, row, (median(plain), median(quick)), profiles)


def section(number: int, found: Found) -> list[str]:
    """Markdown of one gain: what changed, then both profiles side by side."""
    gain, seconds = found.gain, found.seconds
    head = [f"{name}, {s:.3f} s" for name, s in zip(gain.names, seconds, strict=True)]
    lines = ["", f"## {number}. {gain.work}: {found.row.ratio:.1f}x", "", gain.changed, ""]
    lines += [f"| {head[0]} | share | s | {head[1]} | share | s |", "|---|--:|--:|---|--:|--:|"]
    for entries in zip(*found.profiles, strict=True):
        sides = zip(entries, seconds, strict=True)
        cells = [f"{name} | {share:.1%} | {share * s:.3f}" for (name, share), s in sides]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def all_found(toy: bool, turns: int) -> list[Found]:
    """Every gain measured, the largest first."""
    found = []
    for build in GAINS:
        with ExitStack() as stack:
            found.append(measured(build(toy, stack), turns))
    return sorted(found, key=lambda one: -(one.row.ratio or 0.0))


def save(found: Sequence[Found], folder: Path) -> Path:
    """Write ``<date>-profiles.md`` and ``.json`` and return the page."""
    rows = [one.row for one in found]
    profiles = [dict(zip(one.gain.names, one.profiles, strict=True)) for one in found]
    lines = [METHOD, "", measure.table(rows)]
    lines += [line for number, one in enumerate(found, 1) for line in section(number, one)]
    content = {"method": METHOD, "rows": [asdict(row) for row in rows], "profiles": profiles}
    return measure.save_page(folder / "profiles", "Profiles of five gains", measure.machine(), content, lines)


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks profiles", description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="of each form")
    parser.add_argument("--toy", action="store_true", help="a trial of the benchmark itself")
    parser.add_argument("--save", type=Path, help="folder for the page and its data")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    found = all_found(options.toy, options.turns)
    print(measure.table([one.row for one in found]))
    print(*(line for number, one in enumerate(found, 1) for line in section(number, one)), sep="\n")
    if options.save:
        print(save(found, options.save))


if __name__ == "__main__":
    main(sys.argv[1:])
