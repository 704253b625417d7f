import pytest

from wam.tasks.table import JOINT_LIMITS, TASK_NAMES, TASKS, task

PUBLISHED_ORDER = (
    "open_drawer",
    "close_drawer",
    "move_slider_left",
    "move_slider_right",
    "turn_on_lightbulb",
    "turn_off_lightbulb",
    "turn_on_led",
    "turn_off_led",
)


def test_order_is_the_published_one() -> None:
    assert TASK_NAMES == PUBLISHED_ORDER


@pytest.mark.parametrize("name", TASK_NAMES)
def test_contract_of_a_task(name: str) -> None:
    row = task(name)
    assert row.name == name
    assert row.instruction
    assert row.is_light == (row.quantity not in JOINT_LIMITS)
    assert abs(row.delta) == (1.0 if row.is_light else {0: 0.15, 1: 0.12}[row.quantity])
    opposite = [
        other for other in TASKS.values() if other.quantity == row.quantity and other.delta == -row.delta
    ]
    assert len(opposite) == 1


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown task 'open_drawr'; did you mean 'open_drawer'"):
        task("open_drawr")
    with pytest.raises(ValueError, match="known tasks: open_drawer, close_drawer"):
        task("xyz")
