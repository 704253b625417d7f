"""A machine with torch and a few small packages beside it: a program from which all others are hidden."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]

CARRIED = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection", "jaxtyping", "wadler_lindig"}
CARRIED |= {"safetensors", "tqdm", "gymnasium", "cloudpickle", "farama_notifications"}
WITH_TORCH = {"torch", "torchgen", "functorch", "triton", "numpy", "typing_extensions", "sympy", "mpmath"}
WITH_TORCH |= {"networkx", "jinja2", "markupsafe", "filelock", "fsspec", "setuptools", "pkg_resources"}

NAMED = "blocked = {'kedro', 'mlflow', 'zarr', 'pybullet'}"
ALL_OTHERS = f"""
import importlib.metadata
blocked = set(importlib.metadata.packages_distributions()) - {CARRIED | WITH_TORCH | {"wam"}!r}
"""
HIDING = {"named": NAMED, "all others": ALL_OTHERS}


def run_module_without(
    hidden: str, module: str, arguments: Sequence[str]
) -> "subprocess.CompletedProcess[str]":
    """Run a module in a process to which some packages are not installed, warnings being errors.

    Args:
        hidden: ``named`` for those that a GPU machine lacks, ``all others`` for all that are not listed here.
        module: As after ``python -m``.
        arguments: Of the command line.
    """
    program = f"""
import runpy, sys, warnings
warnings.simplefilter("error")
{HIDING[hidden]}
class WithoutBlocked:
    def __init__(self, finders):
        self.finders = finders
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            return None
        return next(filter(None, (finder.find_spec(name, path, target) for finder in self.finders)), None)
    def find_distributions(self, *arguments):
        known = [finder for finder in self.finders if hasattr(finder, "find_distributions")]
        return [found for finder in known for found in finder.find_distributions(*arguments)]
sys.meta_path[:] = [WithoutBlocked(list(sys.meta_path))]
sys.argv = {["module", *arguments]!r}
runpy.run_module({module!r}, run_name="__main__")
"""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
