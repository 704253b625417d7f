"""How policies and tasks are called and coloured, the same in every table and plot."""

from dataclasses import dataclass
from typing import Final

TITLES: Final = {"wam": "WAM", "diwa": "DiWA"}
COLORS: Final = {"wam": "#2456c7", "diwa": "#c2670c"}
GREYS: Final = ("#4b5563", "#8a93a1", "#b4bac4", "#d3d7dd")
STAGES: Final = {"cloned": "cloning", "finetuned": "PPO, last", "selected": "PPO, selected"}
CONTROLS: Final = {
    "expert": "scripted expert",
    "privileged": "privileged cloning",
    "proprio": "proprio-only cloning",
    "random": "random",
}


@dataclass(frozen=True)
class PolicyName:
    """A policy's key taken apart.

    Attributes:
        condition: World model or control.
        stage: ``cloned``, ``finetuned``, ``selected``; the condition again where nothing is learned.
    """

    condition: str
    stage: str

    @classmethod
    def parse(cls, key: str) -> "PolicyName":
        """From ``wam.cloned`` or ``expert``."""
        condition, _, stage = key.partition(".")
        return cls(condition, stage or condition)

    @property
    def is_control(self) -> bool:
        """Whether it stands beside the world models."""
        return self.condition in CONTROLS

    @property
    def title(self) -> str:
        """For a reader."""
        if self.is_control:
            return CONTROLS[self.condition]
        return f"{world_model_title(self.condition)} {STAGES[self.stage]}"


def policy_key(condition: str, stage: str) -> str:
    """``wam.cloned`` for a world model's policies, ``expert`` for a control's only one."""
    return condition if condition in CONTROLS else f"{condition}.{stage}"


def world_model_title(name: str) -> str:
    """A world model as the papers call it, or its own name."""
    return TITLES.get(name, name)


def task_title(task: str) -> str:
    """``open_drawer`` as words."""
    return task.replace("_", " ").replace(" led", " LED")


def color_of(condition: str) -> str:
    """A world model's colour, grey for controls."""
    if condition in COLORS:
        return COLORS[condition]
    return GREYS[list(CONTROLS).index(condition) % len(GREYS)] if condition in CONTROLS else "#0f766e"


def ordered_policies(keys: list[str]) -> list[str]:
    """World models first (WAM before DiWA), by stage; then controls."""
    stages, controls = list(STAGES), list(CONTROLS)

    def rank(key: str) -> tuple[int, int, str, int]:
        name = PolicyName.parse(key)
        if name.is_control:
            return 1, controls.index(name.condition), "", 0
        known = list(TITLES)
        place = known.index(name.condition) if name.condition in known else len(known)
        return 0, place, name.condition, stages.index(name.stage)

    return sorted(keys, key=rank)
