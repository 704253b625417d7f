"""A training step on a GPU against LUMOS's, in turn and in the same precision."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from benchmarks.gpu_checks import exact_products, random_batch
from benchmarks.gpu_run import Figure, Run
from benchmarks.world_model import FULL, build
from wam.seeding import torch_generator
from wam.training.optim import make_optimizer

TIMES_LUMOS = 5.0
"""To reach at the published batch, on an H200."""


def lumos(run: Run) -> Iterator[Figure]:
    """The step at the two batch sizes that matter most."""
    if run.lumos is None:
        yield Figure("lumos", "step against LUMOS", None, note="its folder was not named (--lumos)")
        return
    for batch in run.sizes.batches[:2]:
        for precision in ("bf16", "fp32"):
            yield against(run, batch, precision)


def our_step(run: Run, batch: int, precision: str) -> Callable[[], None]:
    """Our step on frames that stay the same, as LUMOS's are."""
    model = build(FULL).to(run.device)  # at toy size as well: LUMOS's has one size
    frames = {name: x.to(run.device) for name, x in random_batch(batch, run.sizes.steps, 0).items()}
    page, parameters = run.training(batch, 1, precision).optimizer, list(model.parameters())
    optimizer = make_optimizer(page, parameters)
    generator = torch_generator(0, device=run.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with run.autocast(precision):
            output, _ = model.loss(frames, model.initial_state(batch), generator)
        output.loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, page.clip_limit)
        optimizer.step()

    return step


def against(run: Run, batch: int, precision: str) -> Figure:
    """One batch size and precision."""
    from benchmarks.peers import lumos as peer  # noqa: PLC0415 - drivers are loaded only where their peer is named

    assert run.lumos is not None
    what = f"step B {batch}, T {run.sizes.steps}, {precision}"
    try:
        theirs = peer.build(run.lumos, batch).to(run.device)
        sides: dict[str, Callable[[], object]] = {
            "ours": our_step(run, batch, precision),
            "theirs": peer.training_step(
                theirs, batch, run.sizes.steps, autocast=partial(run.autocast, precision)
            ),
        }
        with exact_products():
            seconds = run.in_turns(sides)
    except torch.cuda.OutOfMemoryError:
        return Figure("lumos", what, None, note="does not fit into the device's memory beside ours")
    note = f"ours {1e3 * seconds['ours']:.1f} ms, LUMOS's {1e3 * seconds['theirs']:.1f} ms; random frames, "
    note += "TF32 off; it is given floats, ours bytes; without its trainer"
    bar = TIMES_LUMOS if batch == run.sizes.batches[0] and not run.toy else None
    return Figure("lumos", what, seconds["theirs"] / seconds["ours"], "x", bar, note=note)
