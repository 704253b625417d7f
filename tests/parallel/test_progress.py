import threading

import pytest

from wam.parallel import progress as module
from wam.parallel.progress import LOG_INTERVAL_S, name_bars, progress
from wam.parallel.stop import StoppedError, allow_work, request_stop


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines without waiting for them."""
    monkeypatch.setattr(module, "LOG_INTERVAL_S", 1e-6)


def test_a_short_loop_leaves_a_log_file_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(1000, "pack", "frame") as bar:
        assert bar.mininterval == LOG_INTERVAL_S
        for _ in range(1000):
            bar.update()
            bar.set_postfix(loss=1.0)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("eager")
def test_a_log_file_gets_whole_lines_with_rate_and_total(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, "pack", "frame") as first, progress(20, "train", "step") as second:
        for _ in range(10):
            first.update()
            second.update(2)
    lines = capsys.readouterr().err.splitlines()
    assert "\r" not in "".join(lines)
    assert all(line.startswith(("pack: ", "train: ")) for line in lines)
    last = next(line for line in reversed(lines) if line.startswith("pack"))
    assert "pack: 100%" in last
    assert "10/10" in last
    assert "frame/s" in last


@pytest.mark.usefixtures("eager")
def test_earlier_work_is_shown_and_not_counted_in_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, "resume", "step", initial=9) as bar:
        assert bar.n == 9
        bar.update()
    assert "10/10" in capsys.readouterr().err


def test_bars_carry_the_name_their_thread_chose() -> None:
    seen: dict[str, str] = {}

    def work(owner: str) -> None:
        name_bars(owner)
        with progress(1, "world model", "step") as bar:
            seen[owner] = str(bar.desc)

    for owner in ("wam", "diwa"):
        thread = threading.Thread(target=work, args=(owner,))
        thread.start()
        thread.join()
    with progress(1, "world model", "step") as bar:
        assert bar.desc == "world model"
    assert seen == {"wam": "wam: world model", "diwa": "diwa: world model"}


def test_a_requested_stop_ends_a_loop_at_its_next_step() -> None:
    request_stop()
    try:
        with pytest.raises(StoppedError), progress(3, "long", "step") as bar:
            bar.update()
    finally:
        allow_work()
