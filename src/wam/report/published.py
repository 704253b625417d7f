"""The papers' success rates, for orientation: measured on CALVIN D, not on our play table."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Final

from wam.tasks.table import TASK_NAMES

ANOTHER_DATA_SET: Final = "CALVIN D"


@dataclass(frozen=True)
class Published:
    """One column of a paper's table.

    Attributes:
        title: Method and stage.
        source: Paper and table.
        percent: Success in percent by task.
    """

    title: str
    source: str
    percent: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Unweighted mean over the eight tasks, percent."""
        return mean(self.percent.values())


def _column(title: str, source: str, *percent: float) -> Published:
    return Published(title, source, dict(zip(TASK_NAMES, percent, strict=True)))


PUBLISHED: Final = (
    _column("DiWA cloning", "DiWA paper, 3 seeds", 57.78, 59.14, 62.15, 62.55, 60.61, 35.63, 48.43, 55.25),
    _column("DiWA cloning", "WAM paper, table III", 53.3, 58.6, 50.0, 51.7, 42.4, 3.4, 44.8, 62.5),
    _column("WAM cloning", "WAM paper, table III", 73.3, 89.7, 68.8, 82.8, 51.5, 17.2, 41.4, 68.8),
    _column("DiWA PPO", "DiWA paper, 3 seeds", 74.44, 91.95, 83.33, 82.76, 91.92, 77.01, 86.21, 82.33),
    _column("WAM PPO", "WAM paper, table IV", 96.7, 96.6, 87.5, 89.7, 100.0, 75.9, 96.6, 100.0),
)
"""In the order of the tasks' table."""


@dataclass(frozen=True)
class PublishedQuality:
    """Generation quality of the WAM paper's table I: 50 steps from one frame, 100 sequences.

    Attributes:
        name: Metric, as in our own figures.
        title: For a reader, with its unit and the better direction.
        wam: Of WAM, with its deviation.
        dreamer: Of the DreamerV2 baseline (DiWA's world model).
    """

    name: str
    title: str
    wam: str
    dreamer: str


PUBLISHED_QUALITY: Final = (
    PublishedQuality("psnr", "PSNR, dB, higher", "22.10 ± 2.22", "21.66 ± 2.20"),
    PublishedQuality("ssim", "SSIM, higher", "0.814 ± 0.061", "0.807 ± 0.067"),
    PublishedQuality("lpips", "LPIPS, lower", "0.144 ± 0.072", "0.149 ± 0.073"),
    PublishedQuality("fvd", "FVD, lower", "10.82", "12.13"),
)
