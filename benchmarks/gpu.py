"""A GPU's training step, imagination and PPO: checks, then rates, in one command of nine minutes.

    python -m benchmarks gpu --save docs/results [--lumos DIR] [--extra DIR] [--minutes 9] [--toy]

Every figure is printed and written (to a file that replaces the one before) as soon as it is there, so a
machine that goes away leaves what was measured. Each section has its share of the minutes and hands on what
it does not use; one whose time is gone is skipped with a line that says so. Without a GPU only ``--toy``
runs: every section, at sizes that say nothing about speed.

It runs in a checkout, nothing installed: of the library it uses neither Kedro, MLflow, Zarr, pandas nor
PyBullet. Beyond torch and NumPy it needs pydantic (the library's configuration pages), jaxtyping,
safetensors, tqdm and Gymnasium. Where the GPU's machine has them not and no way to get them, make a folder
elsewhere (here for Python 3.12) and name it with ``--extra``; LUMOS needs the last two lines::

    pip install -t DIR --only-binary :all: --python-version 3.12 pydantic jaxtyping safetensors tqdm pyyaml
    pip install -t DIR --no-deps gymnasium cloudpickle farama-notifications packaging
    pip install -t DIR --no-deps hydra-core "omegaconf<2.4" antlr4-python3-runtime==4.9.3
    pip install -t DIR --no-deps pytorch-lightning lightning-utilities torchmetrics
"""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # what is named by --extra must be on the path before these are imported
    from benchmarks.gpu_run import Figure, Run

BEGAN = time.monotonic()
SECTIONS = {
    "ceilings": ("gpu_training", "ceilings", 0.04),
    "checks": ("gpu_checks", "checks", 0.16),
    "step": ("gpu_training", "steps", 0.30),
    "parts": ("gpu_training", "parts", 0.10),
    "rssm": ("gpu_training", "rssm", 0.06),
    "data": ("gpu_training", "data", 0.06),
    "imagination": ("gpu_imagination", "imagination", 0.06),
    "ppo": ("gpu_imagination", "fine_tuning", 0.08),
    "lumos": ("gpu_peer", "lumos", 0.14),
}
"""Module and function of each section, and its share of the minutes."""
METHOD = (
    "Wall seconds, the device idle before and after each block of calls, median of the blocks; training "
    "steps by the library's own loop on random frames that lie in the device's memory. Rates in percent are "
    "of the rate that large matrix products reached on the same device in the same run."
)
HEADER = ["section", "what", "value", "bar", "", "note"]
Section = Callable[["Run"], Iterator["Figure"]]


class NoGPUError(RuntimeError):
    """Full size was asked for where there is no GPU."""


@dataclass
class Result:
    """What was found so far, and its files.

    Attributes:
        facts: Machine, device, versions.
        stem: Path of the files without suffix; None keeps nothing.
        figures: In the order they were measured.
        lines: On what was skipped or failed.
    """

    facts: dict[str, str]
    stem: Path | None
    figures: list["Figure"] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, figure: "Figure") -> None:
        """Print and keep a figure."""
        print(" | ".join(filter(None, figure.cells())), flush=True)
        self.figures.append(figure)
        self.write()

    def say(self, line: str) -> None:
        """Print and keep a line."""
        print(line, flush=True)
        self.lines.append(line)
        self.write()

    def page(self) -> str:
        """All of it as Markdown."""
        rows = [HEADER, ["---"] * len(HEADER), *(figure.cells() for figure in self.figures)]
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        table = ["| " + " | ".join(cells) + " |" for cells in rows]
        notes = [f"- {line}" for line in self.lines]
        return "\n".join(["# On a GPU", "", f"{facts}.", "", METHOD, "", *table, "", *notes, ""])

    def write(self) -> None:
        """Replace the files by what is known now."""
        if self.stem is None:
            return
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"machine": self.facts, "method": METHOD, "lines": self.lines}
        content |= {"figures": [asdict(figure) for figure in self.figures]}
        for suffix, text in ((".json", json.dumps(content, indent=1) + "\n"), (".md", self.page())):
            partial = self.stem.with_suffix(f"{suffix}.partial")
            partial.write_text(text)
            os.replace(partial, self.stem.with_suffix(suffix))


def measure(run: "Run", sections: dict[str, tuple[Section, float]], seconds: float, result: Result) -> bool:
    """Run the sections, each until its share of the time is gone.

    Args:
        run: What they measure on.
        sections: Function and share of each.
        seconds: From :data:`BEGAN` to the end.
        result: Takes what they find.

    Returns:
        Whether no section failed; one that does is reported and the next one begins.
    """
    shares, sound = 0.0, True
    whole = sum(share for _, share in sections.values())
    for name, (section, share) in sections.items():
        shares += share
        run.deadline = BEGAN + seconds * shares / whole
        if run.left() <= 0:
            result.say(f"{name}: skipped, its share of the {seconds / 60:g} minutes is gone")
            continue
        try:
            with closing(section(run)) as figures:  # type: ignore[type-var]
                for figure in figures:
                    result.add(figure)
                    if run.left() <= 0:
                        result.say(f"{name}: ended early or just in time, its share of the time is gone")
                        break
        except Exception as error:  # noqa: BLE001 - the next section may still say something; this one is reported
            traceback.print_exc()
            result.say(f"{name}: FAILED with {type(error).__name__}: {error}")
            sound = False
    result.say(f"done after {time.monotonic() - BEGAN:.0f} s")
    return sound


def facts_of(device: torch.device, commit: str | None) -> dict[str, str]:
    """Machine, device and versions."""
    from benchmarks.measure import machine  # noqa: PLC0415 - see the import above

    facts = machine() | ({"commit": commit} if commit else {})
    facts["python"] = sys.version.split()[0]
    if device.type != "cuda":
        return facts | {"device": "CPU, no GPU"}
    seen = torch.cuda.get_device_properties(device)
    facts |= {"device": seen.name, "memory": f"{seen.total_memory / 1e9:.0f} GB"}
    facts |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]
    return facts | {"triton": "yes" if importlib.util.find_spec("triton") else "no"}


def load_sections() -> dict[str, tuple[Section, float]]:
    """The sections' functions.

    Raises:
        ModuleNotFoundError: If a package is missing, saying how it is carried.
    """
    try:
        return {
            name: (getattr(importlib.import_module(f"benchmarks.{module}"), function), share)
            for name, (module, function, share) in SECTIONS.items()
        }
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}; make a folder with the packages that the head of benchmarks/gpu.py lists and name it "
            "with --extra"
        ) from error


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="small sizes, on a CPU where there is no GPU")
    parser.add_argument("--lumos", type=Path, help="folder that holds lumos")
    parser.add_argument("--extra", type=Path, help="folder with packages that are not installed")
    parser.add_argument("--minutes", type=float, default=9.0, help="that it may take")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), help="sections to run")
    parser.add_argument("--commit", help="to state where the copy has no history")
    parser.add_argument("--save", type=Path, help="folder for the page, docs/results")
    return parser.parse_args(arguments)


def device_for(*, toy: bool) -> torch.device:
    """The GPU; without one the CPU, for a trial only.

    Raises:
        NoGPUError: If full size is asked for without a GPU.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if not toy:
        raise NoGPUError(
            "torch sees no GPU, and full size on a CPU would take hours and say nothing about a GPU; "
            "run with --toy to try every section, or python -m benchmarks world_model for CPUs"
        )
    return torch.device("cpu")


def main(arguments: list[str]) -> int:
    """Measure, print and keep; returns the exit status."""
    args = parse(arguments)
    device = device_for(toy=args.toy)
    for folder in (Path(__file__).parents[1] / "src", args.extra):  # a checkout needs no installation
        if folder is not None:
            sys.path.insert(0, str(folder.resolve()))
    sections = load_sections()
    from benchmarks.gpu_run import FULL, TOY, Run  # noqa: PLC0415 - see the import above
    from benchmarks.measure import MISSED  # noqa: PLC0415

    facts: dict[str, Any] = facts_of(device, args.commit)
    name = f"{facts['date']}-gpu{'-toy' if args.toy else ''}"
    result = Result(facts, args.save / name if args.save else None)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    if device.type != "cuda":
        result.say("no GPU: every section at toy size on the CPU; these figures say nothing about a GPU")
    run = Run(device, TOY if args.toy else FULL, args.toy, args.lumos)
    chosen = {name: sections[name] for name in args.only or sections}
    sound = measure(run, chosen, 60 * args.minutes, result)
    checked = [figure for figure in result.figures if figure.section == "checks"]
    missed = [figure.what for figure in checked if figure.mark == MISSED]
    if missed:
        result.say(f"checks missed: {'; '.join(missed)}")
    return int(not sound or bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
