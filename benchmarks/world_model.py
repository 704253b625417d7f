"""A training step of the full-size world model, and its recurrent part, against other implementations.

Rows whose peer is not named are left out. Every side runs on one thread, in this process, in turn, with the
allocator settings that training uses (``wam.training.memory``), which help the peers as much: in fp32, and in
bf16 under autocast where the processor has instructions for it.

    python -m benchmarks world_model --lumos DIR --extra DIR --dreamerv3-torch DIR --torchrl DIR
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import Row, ratio_row, save, table, take_turns
from benchmarks.peers import version_of
from wam.contracts import config_from_dict
from wam.seeding import torch_generator
from wam.training.device import has_bf16
from wam.training.memory import keep_freed_memory
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import WorldModel

METHOD = (
    "Median [smallest..largest] ratio of CPU seconds (`time.process_time`), both sides in turn in one "
    "process, one thread, fp32 but where a row says bf16, random frames, untrained weights, the same "
    "allocator settings on both sides. The machine was shared with other work, so single turns scatter. "
    "LUMOS is called without Lightning's trainer and is given images as normalised floats and 15 values "
    "of proprioception, ours bytes and 18; dreamerv3-torch samples its prior in the loop and mixes in 1 % "
    "uniform; TorchRL's layers have no norms and its loop samples the prior too."
)
FULL = {
    "encoder": {"cnn_depth": 48},
    "rssm": {"deter": 1024, "stoch_dim": 32, "stoch_classes": 32, "hidden": 1000},
    "decoder": {"cnn_depth": 48},
    "inverse_dynamics": {"hidden": [512, 256, 128]},
    "losses": {"kl_coef": 0.3, "action_coef": 0.0},
}
TOY = FULL | {
    "encoder": {"cnn_depth": 2},
    "rssm": {"deter": 8, "stoch_dim": 4, "stoch_classes": 4, "hidden": 8},
    "decoder": {"cnn_depth": 2},
}
PEERS = ("lumos", "dreamerv3_torch", "torchrl")
Autocast = Callable[[], AbstractContextManager[Any]]
Observe = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def build(page: dict[str, Any]) -> WorldModel:
    """Our world model without its head, which the peers have not."""
    return WorldModel(config_from_dict(WorldModelConfig, page))


def training_step(
    model: WorldModel, batch: int, steps: int, autocast: Autocast = nullcontext
) -> Callable[[], None]:
    """One step on random frames: forward and loss under ``autocast``, backward, clip, AdamW."""
    generator = torch_generator(0)
    shape = (batch, steps, 64, 64, 3)
    static, gripper = (torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in range(2))
    action = torch.rand(batch, steps, 7, generator=generator) * 2 - 1
    frames = {"image_static": static, "image_gripper": gripper, "action": action, "prev_action": action}
    frames |= {"proprio": torch.rand(batch, steps, 18, generator=generator)}
    frames |= {"is_first": torch.zeros(batch, steps, dtype=torch.bool)}
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=3e-4, eps=1e-5, weight_decay=0.05, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            output, _ = model.loss(frames, model.initial_state(batch), generator)
        output.loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 100.0)
        optimizer.step()

    return step


def observe(model: nn.Module, embed: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, posterior and prior logits of our recurrent part."""
    assert isinstance(model, WorldModel)
    is_first = torch.zeros(action.shape[:2], dtype=torch.bool)
    observed = model.observe(embed, action, is_first, model.initial_state(len(embed)), torch_generator(1))
    return observed.feat, observed.posterior_logits, observed.prior_logits


def observe_frame_by_frame(model: nn.Module, embed: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`observe`, with everything inside the loop."""
    assert isinstance(model, WorldModel)
    state, generator = model.initial_state(len(embed)), torch_generator(1)
    noise, is_first = model.noise(*embed.shape[:2], generator=generator), torch.zeros(len(embed)).bool()
    found = []
    for t in range(embed.shape[1]):
        state, logits = model.rssm.observe_step(embed[:, t], action[:, t], is_first, state, noise[:, t])
        found.append((state.feat, logits, model.rssm.prior_logits(state.deter, state.carried)))
    feat, posterior, prior = (torch.stack(parts, dim=1) for parts in zip(*found, strict=True))
    return feat, posterior, prior


def both_ways(
    model: nn.Module, filtered: Observe, batch: int, steps: int, embed_dim: int
) -> Callable[[], None]:
    """Filter random embeddings and go back from everything that came out."""
    generator = torch_generator(2)
    embed = torch.randn(batch, steps, embed_dim, generator=generator).requires_grad_(True)
    action = torch.rand(batch, steps, 7, generator=generator) * 2 - 1

    def work() -> None:
        model.zero_grad(set_to_none=True)
        embed.grad = None
        outputs = filtered(model, embed, action)
        torch.autograd.backward(outputs, [torch.full_like(x, 1e-3) for x in outputs])

    return work


def step_rows(args: argparse.Namespace) -> list[Row]:
    """The whole step against LUMOS, in the precisions that the processor has."""
    from benchmarks.peers import lumos  # noqa: PLC0415 - drivers are loaded only where their peer is named

    size = args.batch, args.steps
    precisions: dict[str, Autocast] = {"fp32": nullcontext}
    if has_bf16(torch.device("cpu")):
        precisions["bf16"] = partial(torch.autocast, "cpu", torch.bfloat16)
    sides: dict[str, Callable[[], object]] = {}
    for name, autocast in precisions.items():
        sides[f"ours {name}"] = training_step(build(args.page), *size, autocast)
        sides[f"theirs {name}"] = lumos.training_step(lumos.build(args.lumos, args.batch), *size, autocast)
    seconds = take_turns(sides, args.turns)
    work, stock = f"world-model step B{args.batch} T{args.steps}", seconds["theirs fp32"]
    rows = [ratio_row(f"{work} fp32/fp32", "LUMOS", stock, seconds["ours fp32"], bar=1.9)]
    if "bf16" in precisions:
        half = seconds["theirs bf16"], seconds["ours bf16"]
        rows.append(ratio_row(f"{work} bf16/bf16 autocast", "LUMOS", *half, bar=1.8))
    else:
        why = "this processor has no instructions for bf16 (avx512_bf16)"
        rows.append(Row(f"{work} bf16/bf16 autocast", "LUMOS", None, bar=1.8, note=why))
    default = "bf16" if "bf16" in precisions else "fp32"  # world_model_training.precision: auto
    name = f"{work}, our default ({default})/stock fp32"
    return [*rows, ratio_row(name, "LUMOS", stock, seconds[f"ours {default}"], bar=3.5)]


def rssm_rows(args: argparse.Namespace) -> list[Row]:
    """The recurrent part forward and backward against each peer."""
    model = build(args.page)
    sides = {"ours": both_ways(model, observe, args.batch, args.steps, model.embed_dim)}
    bars = {}
    if args.dreamerv3_torch:
        from benchmarks.peers import dreamerv3_torch as dreamer  # noqa: PLC0415

        peer = dreamer.build(args.dreamerv3_torch, model.embed_dim)
        sides["dreamerv3-torch"] = both_ways(peer, dreamer.observe, args.batch, args.steps, model.embed_dim)
        bars["dreamerv3-torch"] = 2.0
    if args.lumos:
        from benchmarks.peers import lumos  # noqa: PLC0415

        peer = lumos.build(args.lumos, args.batch)
        sides["LUMOS"] = both_ways(peer, lumos.observe, args.batch, args.steps, model.embed_dim)
        bars["LUMOS"] = 1.75
    if args.torchrl:
        from benchmarks.peers import torchrl_rssm  # noqa: PLC0415

        for how in (None, *args.torchrl_compiled):
            name = f"TorchRL rollout, {how or 'plain'}{' compiled' if how else ' loop'}"
            peer = torchrl_rssm.build(args.torchrl, model.embed_dim, how)
            sides[name] = both_ways(peer, torchrl_rssm.observe, args.batch, args.steps, model.embed_dim)
            bars[name] = 1.0
    seconds = take_turns(sides, args.turns)
    work = f"RSSM observe forward + backward B{args.batch} T{args.steps}"
    partly = "its compiled paths were not run" if args.torchrl and not args.torchrl_compiled else ""
    notes = {name: partly if name.startswith("TorchRL") else "" for name in bars}
    return [
        ratio_row(work, name, seconds[name], seconds["ours"], bar=bar, note=notes[name])
        for name, bar in bars.items()
    ]


def memory_row(args: argparse.Namespace) -> Row:
    """Peak memory of a process that makes two steps, each side in a process of its own."""
    peaks = {}
    for side in ("ours", "lumos"):
        command = [sys.executable, "-m", "benchmarks", "world_model", "--memory-of", side]
        command += [
            "--memory-batch",
            str(args.memory_batch),
            "--steps",
            str(args.steps),
            "--lumos",
            str(args.lumos),
        ]
        command += ["--extra", str(args.extra)] if args.extra else []
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own file
        peaks[side] = float(done.stdout.split()[-1])
    note = f"{peaks['ours']:.2f} GB against {peaks['lumos']:.2f} GB, n 1, stock allocator settings"
    work = f"peak memory of the step at B{args.memory_batch} T{args.steps}, fp32"
    return Row(work, "LUMOS", peaks["ours"] / peaks["lumos"], bar=0.6, at_most=True, note=note)


def print_peak(args: argparse.Namespace) -> None:
    """Make two steps and print this process's largest resident size in GB."""
    if args.memory_of == "ours":
        step = training_step(build(args.page), args.memory_batch, args.steps)
    else:
        from benchmarks.peers import lumos  # noqa: PLC0415

        step = lumos.training_step(lumos.build(args.lumos, args.memory_batch), args.memory_batch, args.steps)
    for _ in range(2):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks world_model", description=__doc__.splitlines()[0])
    for peer in ("lumos", "dreamerv3-torch", "torchrl", "extra"):
        text = "folder with packages that peers import" if peer == "extra" else f"folder that holds {peer}"
        parser.add_argument(f"--{peer}", type=Path, help=text)
    parser.add_argument("--torchrl-compiled", nargs="*", default=[], choices=["step", "scan"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--memory-batch", type=int, default=0, help="50 for the bar; 0 leaves the row out")
    parser.add_argument("--memory-of", choices=["ours", "lumos"], help=argparse.SUPPRESS)
    parser.add_argument("--save", type=Path, help="folder for the page, docs/results")
    args = parser.parse_args(arguments)
    args.page = FULL
    return args


def main(arguments: list[str]) -> list[Row]:
    """Measure and print."""
    args = parse(arguments)
    torch.set_num_threads(1)
    if args.extra:
        sys.path.insert(0, str(args.extra.resolve()))
    if args.memory_of:
        print_peak(args)
        return []
    keep_freed_memory()
    versions = {name: version_of(getattr(args, name)) for name in PEERS if getattr(args, name)}
    rows = rssm_rows(args)
    if args.lumos:
        rows = step_rows(args) + rows
        rows += [memory_row(args)] if args.memory_batch else []
    print(table(rows))
    if args.save:
        method = f"{METHOD} Peers: {', '.join(f'{name} {what}' for name, what in versions.items())}."
        page = save(rows, args.save, "world-model-step", "World-model step against peers", method)
        print(f"written to {page}")
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
