"""One process for each device: they work together, and none outlives the run, however it ends."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import team_work
import torch
from processes import alive, wait_until

from wam.parallel.stop import StoppedError, allow_work, request_stop
from wam.training import metrics
from wam.training.launch import LostRankError, check_devices, run_team
from wam.training.team import ALONE


def test_a_team_of_one_needs_no_other() -> None:
    x = torch.tensor([1.5, 2.5])
    assert ALONE.leads
    assert ALONE.mean(x) is x
    assert ALONE.sum(x) is x
    assert ALONE.gather_rows(x, slice(0, 2), 2) is x


def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="devices is 4, but torch sees 1 GPUs"):
        check_devices(4, "auto")
    check_devices(4, "cpu")


@pytest.mark.slow
def test_ranks_work_together_and_what_the_first_publishes_arrives_here(tmp_path: Path) -> None:
    seen: list[tuple[dict[str, float], int]] = []
    stop = metrics.subscribe(lambda values, step: seen.append((values, step)))
    run_team(team_work.sum_ranks, tmp_path, devices=2, device="cpu")
    stop()
    assert seen == [({"mean": 0.5, "rows": 2.0}, 7)]
    threads = max(1, torch.get_num_threads() // 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{rank} cpu {threads}" for rank in (0, 1)]


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(LostRankError, match=r"(?s)rank 1 of 2 was ended by SIGKILL.*Run again"):
        run_team(team_work.die_in_the_middle, tmp_path, devices=2, device="cpu")
    assert not alive(tmp_path)


@pytest.mark.slow
def test_a_rank_that_fails_is_named_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(LostRankError, match=r"(?s)rank 1 of 2 failed.*one is bad"):
        run_team(team_work.fail_in_the_middle, tmp_path, devices=2, device="cpu")
    assert not alive(tmp_path)


@pytest.mark.slow
def test_a_requested_stop_ends_the_ranks(tmp_path: Path) -> None:
    def stop_when_ready() -> None:
        wait_until((tmp_path / "ready 1").exists)
        request_stop()

    stopper = threading.Thread(target=stop_when_ready)
    stopper.start()
    try:
        with pytest.raises(StoppedError):
            run_team(team_work.last, tmp_path, devices=2, device="cpu")
    finally:
        stopper.join()
        allow_work()
    assert not alive(tmp_path)


@pytest.mark.slow
def test_ranks_end_when_the_run_is_killed_outright(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wam.training.launch import run_team\n"
        f"sys.path.insert(0, {str(Path(team_work.__file__).parent)!r}); import team_work\n"
        f"if __name__ == '__main__':\n"
        f"    run_team(team_work.last, Path({str(tmp_path)!r}), devices=2, device='cpu')"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    run = subprocess.Popen([sys.executable, str(script)])
    wait_until(lambda: (tmp_path / "ready 0").exists() and (tmp_path / "ready 1").exists())
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: not alive(tmp_path))
