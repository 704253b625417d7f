"""What no page of configuration can check alone: settings of several pages that must fit together."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wam.contracts import config_from_dict
from wam.parallel.ray_crew import RAY_MISSING
from wam.pipelines.pages import ComputeConfig, TaskRow, WorldModelRow
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.rl.config import PPOConfig
from wam.sight.conditions import missing_decoders, no_decoder
from wam.sim.play_config import PlayConfig
from wam.tasks.selection import SelectionConfig
from wam.tasks.table import task
from wam.world_model.config import WorldModelConfig
from wam.world_model.part import split_streams
from wam.world_model.training_config import WorldModelTrainingConfig, check_scene


def _check_selection(pages: Mapping[str, Any]) -> None:
    if pages["evaluation"].checkpoints_on == "selection" and pages["selection"].selection_starts == 0:
        raise ValueError(
            "selection.selection_starts is 0, so nothing is left to choose PPO's checkpoint on; raise it, or "
            "set evaluation.checkpoints_on to test (published) or none"
        )
    if pages["calibration"].beyond == "stop" and pages["selection"].selection_starts == 0:
        raise ValueError(
            "calibration.beyond is stop, but selection.selection_starts is 0, so no imagined success is "
            "compared with a real one and nothing would ever stop PPO; raise the latter, or set the former "
            "to warn"
        )


def _check_compute(compute: ComputeConfig, trainings: Sequence[WorldModelTrainingConfig]) -> None:
    if compute.executor == "ray" and find_spec("ray") is None:
        raise ValueError(f"compute.executor is 'ray', but {RAY_MISSING}")
    if compute.remote is not None and not any(Path(compute.remote).glob("*.json")):
        raise ValueError(
            f"compute.remote is {compute.remote}, which holds no world model (*.json); name the folder that "
            "was brought back, or set it to null"
        )
    for training in trainings:
        split_streams(training.batch, compute.devices * compute.accumulate)


def _check_sight(
    policy: DiffusionConfig, models: Mapping[str, WorldModelConfig], *, imagined: bool = True
) -> None:
    """Check that world models can show what policies are to see.

    Args:
        policy: Page of the policies.
        models: By name, as they will be trained.
        imagined: Whether policies are to see it in imagination too.

    Raises:
        ValueError: Naming those that cannot, the setting and the remedy.
    """
    lacking = {
        name: missing_decoders(policy.sees, model, imagined=imagined) for name, model in models.items()
    }
    mute = [name for name, missing in lacking.items() if missing]
    if mute:
        missing = sorted(set().union(*lacking.values()))
        raise ValueError(no_decoder(policy.sees, missing, f"world model {' and '.join(mute)}"))


def _check_tasks(rows: Mapping[str, TaskRow]) -> None:
    for key, row in rows.items():
        if task(row.name).name != key:
            raise ValueError(
                f"row {key} of parameters_tasks.yml is named {row.name}: its cells would be of another task "
                f"than they say; set tasks.{key}.name to {key}"
            )


def _check_demonstrations(cloning: CloningConfig, selection: SelectionConfig) -> None:
    """Check that there will be as many demonstrations as are to be cloned.

    Raises:
        ValueError: Naming both numbers and the remedy.
    """
    if cloning.demonstrations is not None and cloning.demonstrations > selection.demos:
        raise ValueError(
            f"behavior_cloning.demonstrations {cloning.demonstrations} is above selection.demos "
            f"{selection.demos}; lower it"
        )


def _check_refinement(policy: DiffusionConfig, ppo: PPOConfig) -> None:
    """Check that policies can be refined as ``ppo`` says.

    Raises:
        ValueError: If ``imagine_steps`` is no multiple of ``act_steps``, or more denoising steps are
            fine-tuned than there are.
    """
    ppo.decisions(policy.act_steps)
    if ppo.ft_denoising_steps > policy.denoising_steps:
        raise ValueError(
            f"ppo.ft_denoising_steps {ppo.ft_denoising_steps} is above policy.denoising_steps "
            f"{policy.denoising_steps}; lower it"
        )


def cell_world_model(pages: Mapping[str, Any]) -> tuple[WorldModelConfig, WorldModelTrainingConfig]:
    """The world model of an ablation's cell, and its training, as they will be.

    Args:
        pages: Plain values of all pages that the cell reads, its row of the table of world models as ``row``.

    Raises:
        ValueError: Naming every setting of the row that a page does not have, and every wrong value.
    """
    model = config_from_dict(WorldModelConfig, pages["world_model"])
    training = config_from_dict(WorldModelTrainingConfig, pages["world_model_training"])
    return config_from_dict(WorldModelRow, pages["row"]).applied(model, training)


def check_cell(name: str, pages: Mapping[str, Any], *, refined: bool) -> None:
    """Check what no page of an ablation's cell can check alone, as :func:`check_pages` does for the grid.

    Args:
        name: Of its world model, for the message.
        pages: As in :func:`cell_world_model`.
        refined: Whether PPO refines its policies.

    Raises:
        ValueError: Naming the settings that do not fit together.
    """
    cloning = config_from_dict(CloningConfig, pages["behavior_cloning"])
    _check_demonstrations(cloning, config_from_dict(SelectionConfig, pages["selection"]))
    policy = config_from_dict(DiffusionConfig, pages["policy"])
    if refined:
        _check_refinement(policy, config_from_dict(PPOConfig, pages["ppo"]))
    model, training = cell_world_model(pages)
    check_scene(model, training)
    _check_compute(config_from_dict(ComputeConfig, pages["compute"]), [training])
    _check_sight(policy, {name: model}, imagined=refined)


def check_pages(pages: Mapping[str, Any]) -> None:
    """Check what no page can check alone.

    Args:
        pages: Validated pages by name.

    Raises:
        ValueError: If a task is unknown or not its row's, Ray is asked for and not installed, a batch has
            fewer streams than it is to be cut into parts, ``imagine_steps`` is no multiple of ``act_steps``,
            more denoising steps are fine-tuned than there are, more demonstrations are cloned than selected,
            checkpoints are to be chosen on no starts, a gate is to shut on none, policies are to see what a
            world model cannot imagine, nothing says how a carried scene is learned, or a row of the world
            models has a setting that its page has not.
    """
    _check_tasks(pages["tasks"])
    applied = {
        name: row.applied(pages["world_model"], pages["world_model_training"])
        for name, row in pages["world_models"].items()
    }
    for model, training in applied.values():
        check_scene(model, training)
    _check_compute(pages["compute"], [training for _, training in applied.values()])
    _check_sight(pages["policy"], {name: model for name, (model, _) in applied.items()})
    _check_selection(pages)
    _check_demonstrations(pages["behavior_cloning"], pages["selection"])
    _check_refinement(pages["policy"], pages["ppo"])


def check_play(selection: SelectionConfig, play: PlayConfig) -> None:
    """Refuse play that would be too little for what is to be selected from it.

    Raises:
        ValueError: Naming both settings.
    """
    wanted = {
        "demos": "min_training_segments",
        "test_starts": "test_starts",
        "selection_starts": "selection_starts",
    }
    for name, collected in wanted.items():
        selected, made = getattr(selection, name), getattr(play, collected)
        if selected is not None and selected > made:
            raise ValueError(
                f"selection.{name} {selected} is above play.{collected} {made}; raise the latter"
            )
