"""Training on a GPU: the device's own rate, a step by batch size, its parts, the RSSM, the data path."""

import gc
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_checks import random_batch
from benchmarks.gpu_run import Figure, Run
from benchmarks.world_model import build
from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC, LossOutput
from wam.nn.distributions import balanced_kl
from wam.seeding import torch_generator
from wam.training.captured import PLAIN_CALLS
from wam.training.config import Intervals
from wam.training.loop import train
from wam.training.optim import make_optimizer
from wam.world_model.captured_step import CapturedObjective, replayed_on_gpu
from wam.world_model.frames import HostFrames, ResidentFrames
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective, make_sampler

WARM_UP = PLAIN_CALLS + 2
"""Steps before the first timed one: libraries choose kernels, the allocator grows, the step is recorded."""
PUBLISHED_BATCH = 500
STEPS_PER_SECOND = 8.0
"""To reach at the published batch, on an H200."""
SHARE_OF_RATE = 0.3
"""Of the device's measured bf16 rate, likewise."""


def ceilings(run: Run) -> Iterator[Figure]:
    """What the device does when it does nothing else: products and copies."""
    side = run.sizes.matrix
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        x, y = (torch.randn(side, side, device=run.device, dtype=dtype) for _ in range(2))
        seconds = run.seconds(partial(torch.mm, x, y))
        run.known["rate", precision] = 2 * side**3 / seconds
        note = f"{side} x {side} matrices"
        if precision == "fp32":
            note += ", TF32 " + ("on" if torch.backends.cuda.matmul.allow_tf32 else "off")
        yield Figure("ceilings", f"{precision} products", 2 * side**3 / seconds / 1e12, "TFLOP/s", note=note)
    source = torch.empty(8 * side * side, dtype=torch.uint8, device=run.device)
    target = torch.empty_like(source)
    seconds = run.seconds(lambda: target.copy_(source))
    note = f"{source.nbytes / 1e9:.2f} GB read and as many written, both counted"
    yield Figure("ceilings", "copy within memory", 2 * source.nbytes / seconds / 1e12, "TB/s", note=note)


def flop_per_frame(run: Run) -> float:
    """Products and convolutions of a step, forward and backward, all frames decoded; counted as they run."""
    model, frames = build(run.sizes.page).to(run.device), random_batch(1, 2, 0)
    placed = {name: x.to(run.device) for name, x in frames.items()}
    # in fp16 the plain layers run on a CPU as well, not the forms that count otherwise
    with FlopCounterMode(display=False) as counter, torch.autocast(run.device.type, torch.float16):
        output, _ = model.loss(placed, model.initial_state(1), torch_generator(0))
        output.loss.backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / 2


class Stamped:
    """An objective that notes the time before some steps, when the device has finished those before."""

    def __init__(self, run: Run, objective: WorldModelObjective | CapturedObjective, steps: set[int]) -> None:
        self._run, self._objective, self._steps = run, objective, steps
        self.stamps: list[float] = []

    def modules(self) -> WorldModel:
        """The world model."""
        return self._objective.modules()

    def loss(self, step: int) -> LossOutput:
        """The loss of a step."""
        return self._objective.loss(step)

    def accumulate(self, step: int) -> LossOutput:
        """The gradient of a step, as the objective makes it."""
        if step in self._steps:
            self._run.wait()
            self.stamps.append(time.perf_counter())
        if isinstance(self._objective, CapturedObjective):
            return self._objective.accumulate(step)
        output = self._objective.loss(step)
        output.loss.backward()  # type: ignore[no-untyped-call]
        return output

    def state_dict(self) -> dict[str, Tensor]:
        """The objective's."""
        return self._objective.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The objective's."""
        self._objective.load_state_dict(state)


def step_seconds(run: Run, batch: int, precision: str, *, capture: bool = True) -> tuple[float, str]:
    """Seconds of a step of the library's own training loop, the median block's; and its peak memory."""
    blocks, size = run.sizes.step_blocks
    marks = [WARM_UP + block * size for block in range(blocks + 1)]
    total = marks[-1] + 1
    taken = run.begin_peak()
    page = run.training(batch, total, precision)
    plain = WorldModelObjective(run.model(), run.episodes, page, seed=0)
    objective = replayed_on_gpu(plain, capture=capture)
    stamped = Stamped(run, objective, set(marks))
    name = f"B {batch} {precision}"
    train(stamped, steps=total, optimizer=page.optimizer, every=Intervals(total), description=name)
    peak = run.peak()
    memory = "" if peak is None else f", peak memory {peak - taken:.1f} GB with the resident frames"
    seconds = float(np.median(np.diff(stamped.stamps))) / size
    if isinstance(objective, CapturedObjective):
        memory += ", replayed" if objective.recorded else ", NOT REPLAYED: the log says why"
    del objective, stamped, plain
    gc.collect()  # the next one begins with all of the memory
    return seconds, memory


def steps(run: Run) -> Iterator[Figure]:
    """The training step by batch size and precision."""
    run.known["flop"] = flop_per_frame(run)
    note = "products and convolutions, forward and backward, counted by torch.utils.flop_counter"
    yield Figure("step", "work a frame", run.known["flop"] / 1e9, "GFLOP", note=note)
    for precision, capture in (("bf16", True), ("bf16", False), ("fp32", True)):
        for batch in run.sizes.batches:
            yield step_figure(run, batch, precision, capture=capture)


def step_figure(run: Run, batch: int, precision: str, *, capture: bool) -> Figure:
    """One batch size; one that does not fit is a figure too."""
    length = run.sizes.steps
    what = f"step B {batch}, T {length}, {precision}" + ("" if capture else ", kernels launched one by one")
    try:
        seconds, memory = step_seconds(run, batch, precision, capture=capture)
    except torch.cuda.OutOfMemoryError:
        return Figure("step", what, None, note="does not fit into the device's memory")
    if precision == "bf16" and capture:
        run.known["largest"] = max(batch, run.known.get("largest", 0))
    frames = batch * length / seconds
    note = f"{1e3 * seconds:.1f} ms, {frames:,.0f} frames/s{memory}"
    rate = run.known.get(("rate", precision))
    if rate:
        note += f", {frames * run.known['flop'] / rate:.1%} of the measured {precision} rate"
    if batch == PUBLISHED_BATCH and rate and precision == "bf16":
        wanted = SHARE_OF_RATE * rate / (run.known["flop"] * batch * length)
        note += f" ({SHARE_OF_RATE:.0%} would be {wanted:.1f} steps/s)"
    bar = STEPS_PER_SECOND if batch == PUBLISHED_BATCH and precision == "bf16" and capture else None
    return Figure("step", what, 1 / seconds, "steps/s", bar, note=note)


def parts(run: Run) -> Iterator[Figure]:
    """Each part of a step alone, forward and backward, beside the whole."""
    batch = int(run.known.get("largest", run.sizes.batches[-1]))
    whole, _ = step_seconds(run, batch, "bf16")
    total = 0.0
    for name, work in part_calls(run, batch).items():
        seconds = run.seconds(work)
        total += seconds
        note = f"{1e3 * seconds:.2f} ms of {1e3 * whole:.2f} at B {batch}, bf16, alone"
        yield Figure("parts", name, 100 * seconds / whole, "% of a step", note=note)
    rest = 100 * (1 - total / whole)
    note = "what a whole step takes beyond its parts; below 0 where the host's and the device's work overlap"
    yield Figure("parts", "rest", rest, "% of a step", note=note)


def part_calls(run: Run, batch: int) -> dict[str, Callable[[], object]]:
    """A call for each part."""
    model, episodes = run.model(), run.episodes
    page = run.training(batch, 1, "bf16")
    frames = ResidentFrames(episodes, run.device)
    sampler = make_sampler(episodes, page, 0)
    seen: dict[str, Any] = dict(frames.batch(sampler.rows(0)[0]))
    optimizer = make_optimizer(page.optimizer, model.parameters())
    embed = torch.randn(batch, run.sizes.steps, model.embed_dim, device=run.device, requires_grad=True)
    feat = torch.randn(batch * run.sizes.steps, model.feat_dim, device=run.device, requires_grad=True)
    images = [seen[key].flatten(end_dim=1) for key in (IMAGE_STATIC, IMAGE_GRIPPER)]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step = iter(range(10**9))

    def encoder() -> None:
        with run.autocast("bf16"):
            out = model.embed(seen)
        out.sum().backward()  # type: ignore[no-untyped-call]

    def decoder() -> None:
        with run.autocast("bf16"):
            out = model.decoder.loss(feat, *images)
        out.backward()  # type: ignore[no-untyped-call]

    def optimise() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        optimizer.step()

    return {
        "data": lambda: frames.batch(sampler.rows(next(step))[0]),
        "encoder": encoder,
        "RSSM and KL": partial(filtered, run, model, embed, seen),
        "decoder": decoder,
        "optimiser": optimise,
    }


def filtered(run: Run, model: WorldModel, embed: Tensor, seen: dict[str, Tensor]) -> None:
    """The recurrent part and its loss, forward and backward."""
    with run.autocast("bf16"):
        state = model.initial_state(len(embed))
        generator = torch_generator(0, device=run.device)
        out = model.observe(embed, seen["prev_action"], seen["is_first"], state, generator)
        loss = balanced_kl(out.posterior_logits, out.prior_logits, 0.8).mean() + out.feat.sum() * 1e-6
    loss.backward()  # type: ignore[no-untyped-call]


def rssm(run: Run) -> Iterator[Figure]:
    """The recurrent part alone, by batch size."""
    model = run.model()
    for batch in sorted(run.sizes.batches):
        frames = random_batch(batch, run.sizes.steps, 0)
        seen = {name: frames[name].to(run.device) for name in ("prev_action", "is_first")}
        shape = (batch, run.sizes.steps, model.embed_dim)
        embed = torch.randn(shape, device=run.device, requires_grad=True)
        seconds = run.seconds(partial(filtered, run, model, embed, seen))
        note = f"B {batch}, T {run.sizes.steps}, {1e6 * seconds / run.sizes.steps:.0f} us a time step"
        yield Figure("rssm", f"forward, KL, backward at B {batch}", 1e3 * seconds, "ms", note=note)


def data(run: Run) -> Iterator[Figure]:
    """From frames in memory to a batch on the device."""
    batch, episodes = run.sizes.batches[0], run.episodes
    sampler = make_sampler(episodes, run.training(batch, 1, "bf16"), 0)
    rows = sampler.rows(0)[0]
    size = rows.size * 2 * episodes.image_static[0].nbytes
    source = torch.empty(size, dtype=torch.uint8, device=run.device)
    target = torch.empty_like(source)
    resident, host = ResidentFrames(episodes, run.device), HostFrames(episodes, run.device)
    sides: dict[str, Callable[[], object]] = {
        "copy": lambda: target.copy_(source),
        "resident": lambda: resident.batch(rows),
        "host": lambda: host.batch(rows),
    }
    seconds = run.in_turns(sides)
    held = episodes.num_frames * 2 * episodes.image_static[0].nbytes / 1e9
    note = f"{1e3 * seconds['resident']:.2f} ms, {size / 1e9:.2f} GB of pictures out of {held:.1f} GB"
    what = f"batch of {batch} windows of {run.sizes.steps} frames"
    yield Figure("data", f"{what} from the device's memory", 1 / seconds["resident"], "batches/s", note=note)
    ratio = seconds["copy"] / seconds["resident"]
    yield Figure("data", "the same against a copy of as many bytes within memory", ratio, "x")
    note = f"{1e3 * seconds['host']:.1f} ms, gathered, pinned and sent"
    yield Figure("data", f"{what} from the host's memory", 1 / seconds["host"], "batches/s", note=note)
