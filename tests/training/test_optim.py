import platform
import subprocess
import sys

import pydantic
import pytest
import torch
from torch import nn

from wam.training.config import OptimizerConfig
from wam.training.device import resolve_device
from wam.training.memory import keep_freed_memory
from wam.training.optim import learning_rate_at, make_optimizer


def test_constant_schedule_after_the_warm_up():
    page = OptimizerConfig(learning_rate=1.0, warmup_steps=4)
    assert [learning_rate_at(page, step, 10) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_starts_at_the_peak_and_ends_at_the_final_rate():
    page = OptimizerConfig(learning_rate=1.0, final_learning_rate=0.1, schedule="cosine", warmup_steps=2)
    assert learning_rate_at(page, 2, 13) == 1.0
    assert learning_rate_at(page, 7, 13) == pytest.approx(0.55)
    assert learning_rate_at(page, 12, 13) == pytest.approx(0.1)


def test_frozen_parameters_are_left_out():
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    optimizer = make_optimizer(OptimizerConfig(learning_rate=1.0), net.parameters())
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]


def test_a_final_rate_above_the_peak_is_refused():
    with pytest.raises(
        pydantic.ValidationError, match=r"final_learning_rate 0\.2 lies above learning_rate 0\.1"
    ):
        OptimizerConfig(learning_rate=0.1, final_learning_rate=0.2)


def test_an_unknown_key_is_named():
    with pytest.raises(pydantic.ValidationError, match="momentum"):
        OptimizerConfig(learning_rate=0.1, momentum=0.9)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="no GPU"):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="'tpu'"):
        resolve_device("tpu")


def test_keeping_memory_says_whether_it_can():
    assert isinstance(keep_freed_memory(), bool)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the settings")
def test_freed_memory_is_kept_while_working_and_given_back_between():
    script = """
import torch
from wam.training.memory import give_back_freed_memory, keep_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
keep_freed_memory()
before = resident()
parts = [torch.ones(1_000_000) for _ in range(200)]
last = torch.ones(1000)
del parts
kept = resident()
give_back_freed_memory()
print(kept - before, resident() - before)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    kept, left = map(int, found.stdout.split())
    assert kept > 700e6
    assert left < 100e6
