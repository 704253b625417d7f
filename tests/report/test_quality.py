import pandas as pd

from wam.report.quality import QUALITY_NOTE, generation_quality, quality_note


def test_measured_and_missing_metrics_stand_beside_the_papers() -> None:
    lines = [
        ("wam", "psnr_mean", 20.123),
        ("wam", "psnr_std", 1.5),
        ("wam", "ssim_mean", 0.7),
        ("wam", "ssim_std", 0.05),
        ("diwa", "psnr_mean", 19.0),
        ("diwa", "psnr_std", 1.0),
        ("diwa", "lpips_mean", 0.2),
        ("diwa", "lpips_std", 0.01),
        ("diwa", "fvd", 33.333),
    ]
    table = generation_quality(pd.DataFrame(lines, columns=["condition", "name", "value"])).set_index(
        "metric"
    )
    assert table.loc["PSNR, dB, higher"].tolist() == [
        "20.12 ± 1.50",
        "19.00 ± 1.00",
        "22.10 ± 2.22",
        "21.66 ± 2.20",
    ]
    assert table.loc["LPIPS, lower", "DiWA"] == "0.200 ± 0.010"
    assert table.loc["FVD, lower", "DiWA"] == "33.33"
    assert table.loc["FVD, lower", "WAM"].startswith("not available: name its weight file in open_loop")


def test_a_world_model_that_was_brought_back_rounded_is_named() -> None:
    here = [("wam", "psnr_mean", 20.0), ("diwa", "psnr_mean", 19.0)]
    columns = ["condition", "name", "value"]
    assert quality_note(pd.DataFrame(here, columns=columns)) == QUALITY_NOTE
    note = quality_note(pd.DataFrame([*here, ("diwa", "brought_back", 1.0)], columns=columns))
    assert "rounded to bfloat16: DiWA;" in note
    assert "WAM;" not in note
