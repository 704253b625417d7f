"""Configuration page of the simulator."""

from typing import Literal

from pydantic import Field, model_validator

from wam.contracts import config


@config
class SimConfig:
    """What may be chosen about the play table; physics is published and lives in `constants`.

    Attributes:
        assets: "primitives" is our own table of boxes (nothing to download); "calvin" is CALVIN's `data/`.
        calvin_data: Folder with CALVIN's `calvin_table_D`, `blocks` and `franka_panda`; for "calvin" only.
        layout: "varied" moves furniture and blocks from episode to episode, so that a policy has to look;
            "fixed" is CALVIN's scene D (the only choice for CALVIN's own table).
        image_size_static: Height and width of the static image in pixels (CALVIN records 200).
        image_size_gripper: Height and width of the wrist image in pixels (CALVIN records 84).
    """

    assets: Literal["primitives", "calvin"] = "primitives"
    calvin_data: str | None = None
    layout: Literal["fixed", "varied"] = "varied"
    image_size_static: int = Field(default=64, ge=8, le=1024)
    image_size_gripper: int = Field(default=64, ge=8, le=1024)

    @model_validator(mode="after")
    def _assets_and_layout_agree(self) -> "SimConfig":
        if self.assets == "calvin" and self.calvin_data is None:
            raise ValueError("assets 'calvin' needs calvin_data, the path of CALVIN's data folder")
        if self.assets == "calvin" and self.layout == "varied":
            raise ValueError("CALVIN's own table cannot be varied: set layout to 'fixed'")
        return self
