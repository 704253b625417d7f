import pytest

from wam.parallel.progress import LOG_INTERVAL_S, progress


def test_a_log_file_gets_few_lines_with_rate_and_total(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(1000, "pack", "frame") as bar:
        assert bar.mininterval == LOG_INTERVAL_S
        for _ in range(1000):
            bar.update()
    lines = [line for line in capsys.readouterr().err.split("\r") if line.strip()]
    assert len(lines) <= 3
    assert "pack: 100%" in lines[-1]
    assert "1000/1000" in lines[-1]
    assert "frame/s" in lines[-1]


def test_earlier_work_is_shown_and_not_counted_in_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, "resume", "step", initial=9) as bar:
        assert bar.n == 9
        bar.update()
    assert "10/10" in capsys.readouterr().err
