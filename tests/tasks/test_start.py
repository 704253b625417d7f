import numpy as np
import pytest

from wam.tasks.starts import Start


def test_vectors_are_copied_and_read_only() -> None:
    robot, scene = np.zeros(15), np.zeros(24)
    start = Start(robot_obs=robot, scene_state=scene)
    robot[0] = 1.0
    assert start.robot_obs[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        start.scene_state[0] = 1.0


def test_equality_is_by_value_layout_included() -> None:
    def make(layout: list[float] | None, x: float = 0.0) -> Start:
        return Start(np.full(15, x), np.zeros(24), None if layout is None else np.array(layout))

    assert make([1.0]) == make([1.0])
    assert hash(make([1.0])) == hash(make([1.0]))
    assert len({make([1.0]), make([2.0]), make(None), make(None, 1.0), make(None)}) == 4
    assert make(None) != "start"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((np.zeros(14), np.zeros(24), None), r"robot_obs of a start must have shape \(15,\), got \(14,\)"),
        ((np.zeros(15), np.zeros((1, 24)), None), r"scene_state of a start must have shape \(24,\)"),
        ((np.zeros(15), np.zeros(24), np.zeros((2, 2))), "layout of a start"),
        (
            (np.zeros(15), np.full(24, np.nan), None),
            "scene_state of a start holds a value that is not finite",
        ),
    ],
)
def test_bad_vectors_are_refused(
    values: tuple[np.ndarray, np.ndarray, np.ndarray | None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Start(*values)
