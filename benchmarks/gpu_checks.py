"""Is the device right before it is fast: the same losses as the CPU, bf16 near fp32, no waiting in a step."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.gpu_run import Figure, Run
from benchmarks.world_model import build
from wam.seeding import torch_generator
from wam.training.config import Intervals
from wam.training.loop import train
from wam.world_model.captured_step import CapturedObjective, replayed_on_gpu
from wam.world_model.train import WorldModelObjective

EQUAL = 1e-5
"""Largest difference, relative to the loss, or to a gradient's largest value."""
FIRST_STEP, ALL_STEPS = 1e-3, 2e-2
"""Largest relative difference of a bf16 loss from fp32: at equal weights, and along the runs."""


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of fp32 numbers in fp32: no TF32, which convolutions use otherwise."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def random_batch(batch: int, steps: int, seed: int) -> dict[str, Tensor]:
    """Random frames, the same on every machine."""
    generator = torch_generator(seed, "gpu benchmark")
    shape = (batch, steps, 64, 64, 3)
    static, gripper = (torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in range(2))
    action = torch.rand(batch, steps, 7, generator=generator) * 2 - 1
    is_first = torch.zeros(batch, steps, dtype=torch.bool)
    is_first[0, steps // 2] = True
    return {
        "image_static": static,
        "image_gripper": gripper,
        "proprio": torch.rand(batch, steps, 18, generator=generator),
        "action": action,
        "prev_action": action.roll(1, dims=1),
        "is_first": is_first,
    }


def one_step(run: Run, device: torch.device, seed: int) -> tuple[float, dict[str, Tensor], Tensor]:
    """Loss, gradients by name and sampled states of one step, on the CPU; noise is drawn there for both."""
    batch, steps = run.sizes.parity
    model = build(run.sizes.page).to(device)
    frames = {name: x.to(device) for name, x in random_batch(batch, steps, seed).items()}
    state = model.initial_state(batch)
    with torch.no_grad():
        noise = torch_generator(seed, "noise")
        embed = model.embed(frames)
        seen = model.observe(embed, frames["prev_action"], frames["is_first"], state, noise)
    output, _ = model.loss(frames, state, torch_generator(seed, "noise"))
    output.loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
    size = model.config.rssm
    codes = seen.feat[..., size.deter : size.deter + size.stoch].round().cpu()
    return float(output.loss.detach()), gradients, codes


def parity(run: Run) -> Iterator[Figure]:
    """The step on the device against the same step on the CPU, both in fp32.

    A sample that falls on the other side of a rounding changes everything after it, so up to three sets of
    frames are tried until all samples agree.
    """
    batch, steps = run.sizes.parity
    for seed in range(3):
        with exact_products():
            there, gradients, codes = one_step(run, run.device, seed)
            here, wanted, expected = one_step(run, torch.device("cpu"), seed)
        flipped = int((codes != expected).any(-1).sum())
        if not flipped:
            break
    where = f"B {batch}, T {steps}, same weights, frames and noise, TF32 off, frames of seed {seed}"
    where += "" if run.on_gpu else "; here the CPU against itself"
    yield Figure(
        "checks", "frames whose samples differ from the CPU's", flipped, "", 0, at_most=True, note=where
    )
    difference = abs(there / here - 1)
    yield Figure("checks", "fp32 loss against the CPU", difference, "relative", EQUAL, at_most=True)
    worst = {
        name: float((gradients[name] - grad).abs().max() / grad.abs().max().clamp_min(1e-30))
        for name, grad in wanted.items()
    }
    name = max(worst, key=lambda key: worst[key])
    note = f"largest of {len(worst)} tensors, {name}; difference over the tensor's largest value"
    yield Figure(
        "checks", "fp32 gradients against the CPU", worst[name], "relative", EQUAL, at_most=True, note=note
    )


def losses_of(run: Run, precision: str, *, capture: bool) -> tuple[Tensor, bool]:
    """The loss of every step of a training, and whether its last ones were replayed."""
    batch, steps = run.sizes.drift
    page = run.training(batch, steps, precision)
    plain = WorldModelObjective(run.model(), run.episodes, page, seed=1)
    objective = replayed_on_gpu(plain, capture=capture)
    history = train(
        objective, steps=steps, optimizer=page.optimizer, every=Intervals(1), description=precision
    ).history
    replayed = isinstance(objective, CapturedObjective) and objective.recorded
    return torch.tensor([row["loss"] for row in history], dtype=torch.float64), replayed


def replays(run: Run) -> Iterator[Figure]:
    """Two trainings that differ in how kernels are launched alone."""
    _, steps = run.sizes.drift
    plain, _ = losses_of(run, "fp32", capture=False)
    got, replayed = losses_of(run, "fp32", capture=True)
    what = f"losses of {steps} steps, replayed as a graph against kernels launched one by one"
    if run.on_gpu and not replayed:
        yield Figure("checks", what, None, note="NOT REPLAYED: the log says why")
        return
    worst = float((got / plain - 1).abs().max())
    note = "fp32, convolutions with what the library chooses" if run.on_gpu else "no GPU: nothing is replayed"
    yield Figure("checks", what, worst, "relative", ALL_STEPS, at_most=True, note=note)


def drift(run: Run) -> Iterator[Figure]:
    """Two trainings that differ in precision alone."""
    batch, steps = run.sizes.drift
    losses = {precision: losses_of(run, precision, capture=False)[0] for precision in ("fp32", "bf16")}
    difference = (losses["bf16"] / losses["fp32"] - 1).abs()
    where = f"B {batch}, T {run.sizes.steps}, same weights, frames and noise"
    yield Figure(
        "checks",
        "bf16 loss of the first step against fp32",
        float(difference[0]),
        "relative",
        FIRST_STEP,
        at_most=True,
        note=where,
    )
    last = f"the last differs by {float(difference[-1]):.1e}; the loss goes from {losses['fp32'][0]:.4g} to "
    last += f"{losses['fp32'][-1]:.4g} in fp32 and {losses['bf16'][-1]:.4g} in bf16"
    yield Figure(
        "checks",
        f"largest difference over {steps} steps",
        float(difference.max()),
        "relative",
        ALL_STEPS,
        at_most=True,
        note=last,
    )


def waiting(run: Run) -> Iterator[Figure]:
    """Operations of a training step for which the host waits for the device."""
    if not run.on_gpu:
        yield Figure("checks", "waits for the device in a step", None, note="there is no device to wait for")
        return
    batch, _ = run.sizes.drift
    page = run.training(batch, 3, "bf16")
    objective = WorldModelObjective(run.model(), run.episodes, page, seed=2)
    optimizer = torch.optim.AdamW(objective.modules().parameters(), lr=1e-4, fused=True)
    counts = []
    for step in range(3):
        run.wait()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                objective.loss(step).loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(objective.modules().parameters(), 100.0)
                optimizer.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(warning.message) for warning in caught))
    note = f"as CUDA's sync debug mode counts them, in three steps {counts}; data, loss, gradient, optimiser"
    yield Figure("checks", "waits for the device in a step", counts[-1], "", 0, at_most=True, note=note)


def checks(run: Run) -> Iterator[Figure]:
    """All of them."""
    yield from parity(run)
    yield from replays(run)
    yield from drift(run)
    yield from waiting(run)
