"""The page is whole, self-contained, and survives missing parts."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from wam.evaluation.success import success_table
from wam.evaluation.video import clip_bytes, strip_bytes
from wam.report.page import Page, Section, picture, render
from wam.report.plots import plot_curves, plot_imagined_beside_real, plot_open_loop, plot_success
from wam.report.results import Results, choose_clips, clip_caption, results_page
from wam.tasks.selection import CheckpointsOn
from wam.tasks.table import TASK_NAMES

NAMES = [
    "open_drawer-cloned-00-failure.webp",
    "open_drawer-cloned-01-success.webp",
    "open_drawer-selected-00-success.webp",
    "close_drawer-cloned-00-failure.webp",
]


def evaluation_rows() -> pd.DataFrame:
    lines = [(task, "wam.cloned", start, start == 0, 5) for task in TASK_NAMES for start in range(2)]
    return pd.DataFrame(lines, columns=["task", "policy", "start", "success", "steps"])


@pytest.fixture(scope="module")
def empty_results() -> Results:
    """Cloning of one world model, and nothing else yet."""
    rows = evaluation_rows()
    return Results(
        title="A title",
        subtitle="some data",
        facts={"seed": "1"},
        rows=rows,
        success=success_table(rows),
        quality=pd.DataFrame(columns=["condition", "name", "value"]),
        rewards=pd.DataFrame(columns=["condition", "task", "precision", "recall"]),
        replay=pd.DataFrame({"task": ["open_drawer"], "succeeded": [1], "segments": [2], "rate": [0.5]}),
        figures={},
        diagnosis="<p>nothing was diagnosed</p>",
        strips={},
        clips={},
        ancestry=pd.DataFrame({"artefact": ["starts"], "version": ["v1"], "digest": ["d"]}),
        bootstrap_seed=0,
        checkpoints_on="selection",
        clips_per_task=2,
    )


def test_page_without_parts_says_what_is_missing(empty_results: Results) -> None:
    page = results_page(empty_results)
    for text in (
        "No world model was trained yet",
        "No policy was refined",
        "No pair of policies",
        "None is trained",
    ):
        assert text in page


def test_page_says_which_starts_selection_touched(empty_results: Results) -> None:
    shown = replace(empty_results, figures={"imagined_beside_real": "<svg></svg>"})
    pages = {on: results_page(replace(shown, checkpoints_on=on)) for on in get_args(CheckpointsOn)}
    assert "which neither training nor selection ever touched" in pages["selection"]
    assert "from the selection starts, mean over tasks" in pages["selection"]
    assert "neither training nor selection" not in pages["test"]
    assert "rates of selected policies are optimistic" in pages["test"]
    assert "from the test starts, mean over tasks" in pages["test"]
    assert "which neither training nor selection ever touched" in pages["none"]
    assert "not evaluated in the simulator meanwhile" in pages["none"]
    assert "none starts" not in pages["none"]


def test_page_fetches_nothing(empty_results: Results) -> None:
    frames = np.zeros((2, 64, 128, 3), np.uint8)
    strip = strip_bytes([frames, frames], labels=["real", "imagined"])
    clip = clip_bytes(frames, success=True)
    full = replace(
        empty_results,
        strips={"wam": {"strip-0.png": strip, "clip-0.webp": clip}},
        clips={"wam": {NAMES[1]: clip}},
    )
    page = results_page(full)
    assert page.count("data:image/webp;base64,") == 2
    assert page.count("data:image/png;base64,") == 1
    assert "http" not in page.replace("http://www.w3.org", "")


def test_sections_are_linked_from_the_top() -> None:
    page = render(Page("t", "s", {}, [Section("Some results", ["<p>x</p>"])]))
    assert '<a href="#some-results">' in page
    assert '<section id="some-results">' in page


def test_texts_are_escaped() -> None:
    assert "<script>" not in render(Page("<script>", "<script>", {"<script>": "<script>"}))


def test_unknown_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.bmp is not a picture"):
        picture("a.bmp", b"", "")


def test_refined_policies_and_both_outcomes_are_shown_first() -> None:
    chosen = choose_clips(dict.fromkeys(NAMES, b""), per_task=2)
    assert chosen == [NAMES[2], NAMES[0], NAMES[3]]


def test_captions_come_from_file_names() -> None:
    assert clip_caption(NAMES[1]) == "open drawer, cloned, start 1: success"


@pytest.mark.parametrize(
    ("imagined", "real", "labels"),
    [([0.2, 0.4], [0.1, 0.3], {"imagined", "real"}), ([0.2, 0.4], [np.nan] * 2, {"imagined"})],
)
def test_legend_names_what_was_measured(imagined: list[float], real: list[float], labels: set[str]) -> None:
    table = pd.DataFrame({"world_model": "wam", "step": [1, 2], "imagined": imagined, "real": real})
    svg = plot_imagined_beside_real(table)
    assert {name for name in ("imagined", "real") if f">{name}</text>" in svg} == labels


@pytest.mark.slow
def test_plots_are_vector_graphics_and_repeat() -> None:
    success = success_table(evaluation_rows())
    curves = pd.DataFrame({"world_model": "wam", "step": [1, 2], "name": "loss", "value": [2.0, 1.0]})
    real = pd.DataFrame(
        {"world_model": "wam", "step": [0], "imagined": [np.nan], "real": [0.5], "tasks": [8]}
    )
    steps = {"world_model": "diwa", "step": [1, 2], "psnr": [2.0, 1.0], "ssim": [0.2, 0.1]}
    open_loop = pd.DataFrame({**steps, "psnr_std": 0.1, "ssim_std": 0.1})
    for plot in (
        lambda: plot_success(success),
        lambda: plot_curves(curves, ["loss", "absent"], ["loss", "absent"]),
        lambda: plot_imagined_beside_real(real),
        lambda: plot_open_loop(open_loop),
    ):
        assert plot().startswith("<svg")
        assert plot() == plot()
