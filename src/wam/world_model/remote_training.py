"""The other machine's half of :mod:`wam.world_model.remote`: trains what a job asks for, one after another.

::

    python -m wam.world_model.remote_training JOB OUT [--minutes 9] [--work DIR] [--devices 1]

It needs NumPy, torch, pydantic, jaxtyping, safetensors and tqdm, but no Kedro, MLflow, Zarr, pandas or
PyBullet, and nothing of this project installed: a checkout on ``PYTHONPATH`` will do, and a folder of
packages that the machine lacks beside it. A training that does not end in the minutes given leaves its last
checkpoint under ``--work`` (one is due every ``world_model_training.checkpoint_every`` steps) and nothing in
OUT; the same command goes on with it.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import torch

from wam.parallel.stop import StoppedError, allow_work, request_stop
from wam.training.device import Device, resolve_device, resolve_precision
from wam.training.pieces import rounded, write_pieces
from wam.training.resume import load_state
from wam.world_model.remote import EPISODES_FILE, RemotePage, read_json, read_pages
from wam.world_model.train_parts import WorldModelTask, resume_key, train_world_model_on

PIECE_MIB: Final = 15.0
"""Of a file, in MiB."""


def train_page(
    page: RemotePage,
    episodes: Path,
    out: Path,
    name: str,
    *,
    device: Device = "auto",
    devices: int = 1,
    parts: int = 1,
    work_dir: Path,
    piece_bytes: int,
    capture: bool = True,
) -> bool:
    """Train one world model of a job, or go on; leaves its weights in pieces, and last the page that counts.

    Args:
        page: What is trained.
        episodes: The archive.
        out: Folder of what is to be brought back.
        name: Of its files.
        device: Of what kind.
        devices: That train it together.
        parts: Of its share of the batch that each takes one after another.
        work_dir: Of checkpoints, which are large and stay.
        piece_bytes: Size of the largest file.
        capture: See ``captured_step``.

    Returns:
        Whether anything was left to do.
    """
    if _is_there(out, name, page):
        return False
    began = time.monotonic()
    task = replace(page.task(episodes, parts, work_dir), capture=capture)
    model, result = train_world_model_on(task, devices, device)
    precision = resolve_precision(task.training.precision, model.device)
    checkpoint = model.to_checkpoint(precision=precision)
    out.mkdir(parents=True, exist_ok=True)
    pieces = write_pieces(out, name, rounded(checkpoint.weights), piece_bytes)
    machine = {
        "device": torch.cuda.get_device_name() if resolve_device(device).type == "cuda" else "cpu",
        "torch": torch.__version__,
        "seconds": round(time.monotonic() - began, 1),
    }
    found = {
        "page": asdict(page),
        "weights": pieces,
        "config": checkpoint.config,
        "extra": checkpoint.extra,
        "history": result.history,
        "machine": machine,
    }
    scratch = out / f".{name}.part"
    scratch.write_text(json.dumps(found, sort_keys=True))
    os.replace(scratch, out / f"{name}.json")
    return True


def _is_there(out: Path, name: str, page: RemotePage) -> bool:
    """Whether all files of just this training are there; else they are made (again, from its checkpoint)."""
    path = out / f"{name}.json"
    if not path.is_file():
        return False
    found = read_json(path)
    pieces = found.get("weights", {}).get("pieces", [])
    return found.get("page") == asdict(page) and all((out / piece).is_file() for piece in pieces)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what a job asks for.

    Returns:
        0 if all of it is trained, 1 if the job cannot be, 3 if the minutes were too few.
    """
    options = _parser().parse_args(arguments)
    work = options.work or options.out.with_name(f"{options.out.name}-work")
    allow_work()
    timer = threading.Timer(60 * options.minutes, request_stop) if options.minutes else None
    try:
        if timer:
            timer.start()
        return _train_all(options, work)
    except ValueError as error:  # what was given: a job, a device, parts of a batch
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 1
    finally:
        if timer:
            timer.cancel()


def _train_all(options: argparse.Namespace, work: Path) -> int:
    for name, page in read_pages(options.job).items():
        try:
            new = train_page(
                page,
                options.job / EPISODES_FILE,
                options.out,
                name,
                device=options.device,
                devices=options.devices,
                parts=options.accumulate,
                work_dir=work,
                piece_bytes=int(options.piece_mib * 2**20),
                capture=not options.no_capture,
            )
        except StoppedError:
            task = page.task(options.job / EPISODES_FILE, options.accumulate, work)
            print(f"{name}: not finished; {_kept(task, options.device)}")  # noqa: T201
            return 3
        print(f"{name}: {'trained' if new else 'was there'}", flush=True)  # noqa: T201
    return 0


def _kept(task: WorldModelTask, device: Device) -> str:
    """What a training that was ended goes on from."""
    for part in (task.work_dir / "recurrent_phase", task.work_dir):
        state = load_state(part, resume_key(task, resolve_device(device)))
        if state is not None:
            return f"the same command goes on after step {state.step} of {part.name}"
    return (
        "no checkpoint was due yet, so the same command begins again; give it more minutes, or pack "
        "with a lower world_model_training.checkpoint_every"
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wam.world_model.remote_training")
    parser.add_argument("job", type=Path, help="folder that kedro pack made")
    parser.add_argument("out", type=Path, help="folder of what is to be brought back")
    parser.add_argument("--minutes", type=_amount, help="ends after so long, to be gone on with")
    parser.add_argument("--work", type=Path, help="folder of checkpoints; beside OUT by default")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--devices", type=_count, default=1, help="that train one world model together")
    parser.add_argument("--accumulate", type=_count, default=1, help="parts of a batch, for less memory")
    parser.add_argument("--no-capture", action="store_true", help="launch a step's kernels one by one")
    parser.add_argument("--piece-mib", type=_amount, default=PIECE_MIB, help="of the largest file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
