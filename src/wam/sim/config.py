"""Configuration page of the simulator."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from wam.contracts import config


@config
class SimConfig:
    """What may be chosen about the play table; physics is published and lives in `constants`.

    Attributes:
        backend: "own" is our simulator; "calvin" drives the official calvin_env, with its own task oracle.
        calvin_env: Folder of a checkout of calvin_env, for backend "calvin"; None takes the importable one.
        renderer: "tiny" draws in software; "egl" draws with OpenGL as CALVIN's recordings were, and is for
            assets "calvin" only.
        assets: "primitives" is our own table of boxes (nothing to download); "calvin" is CALVIN's `data/`.
        calvin_data: CALVIN's `data` folder with `calvin_table_D`, `blocks`, `franka_panda` and `plane`; for
            assets "calvin" only. None means the folder of the checkout.
        layout: "varied" moves furniture and blocks from episode to episode, so that a policy has to look;
            "fixed" is CALVIN's scene D (the only choice for CALVIN's own table).
        image_size_static: Height and width of the static image in pixels (CALVIN records 200).
        image_size_gripper: Height and width of the wrist image in pixels (CALVIN records 84).
    """

    backend: Literal["own", "calvin"] = "own"
    calvin_env: str | None = None
    renderer: Literal["tiny", "egl"] = "tiny"
    assets: Literal["primitives", "calvin"] = "primitives"
    calvin_data: str | None = None
    layout: Literal["fixed", "varied"] = "varied"
    image_size_static: int = Field(default=64, ge=8, le=1024)
    image_size_gripper: int = Field(default=64, ge=8, le=1024)

    @model_validator(mode="after")
    def _assets_and_layout_agree(self) -> "SimConfig":
        if self.backend == "calvin" and self.assets != "calvin":
            raise ValueError("backend 'calvin' plays on CALVIN's own table: set assets to 'calvin'")
        if self.assets != "calvin" and self.renderer == "egl":
            raise ValueError("our own table is drawn in software: set renderer 'tiny' or assets 'calvin'")
        if self.assets == "calvin" and self.backend == "own" and self.calvin_folder is None:
            raise ValueError(
                "assets 'calvin' needs calvin_data, the path of CALVIN's data folder, or calvin_env, a "
                "checkout that holds it"
            )
        if self.assets == "calvin" and self.layout == "varied":
            raise ValueError("CALVIN's own table cannot be varied: set layout to 'fixed'")
        return self

    @property
    def calvin_folder(self) -> Path | None:
        """CALVIN's data folder: as named, else that of the checkout; None without either."""
        if self.calvin_data is not None:
            return Path(self.calvin_data)
        return None if self.calvin_env is None else Path(self.calvin_env) / "data"
