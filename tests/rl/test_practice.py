"""The same fine-tuning in the simulator: what it records, what it leaves alone, and going on after a kill."""

from itertools import pairwise

import pytest
import torch
from toy_world import CARRIED, tiny_world_model

from wam.reward.config import ReadoutConfig
from wam.reward.readout import ReadoutJudge, SceneReadout
from wam.rl import imagined_practice
from wam.rl.finetune import finetune
from wam.rl.imagined_practice import Imagination
from wam.rl.simulated_practice import Simulation
from wam.sim.config import SimConfig
from wam.tasks.table import TASKS
from wam.training.checkpoint import Checkpoint
from wam.world_model.imagination import CarriedPrior


class KilledError(Exception):
    pass


def digest(module: torch.nn.Module) -> str:
    return Checkpoint("x", dict(module.state_dict()), {}).digest


def simulation(tables, **changes):
    page = {"starts": tables.starts, "task": "open_drawer", "world_model": tables.model, "start_repeats": 2}
    page["sees"] = "features"
    return Simulation(pool=tables.pool, simulator=SimConfig(), **(page | changes))


def run(world, tables, *, iterations=4, evaluate=None, seed=5, **kwargs):
    config = world.config(iterations=iterations, envs=3, update_epochs=1, imagine_steps=8)
    return finetune(tables.policy(), simulation(tables), config, seed=seed, evaluate=evaluate, **kwargs)


def test_history_counts_real_steps_and_success(world, tables):
    result = run(world, tables, evaluate=lambda _: {"success": 0.5})
    steps = [row.get("real_steps", 0) for row in result.history]
    assert steps[0] == 0
    assert all(0 < later - earlier <= 3 * 8 for earlier, later in pairwise(steps))
    assert steps[-1] == sum(tables.pool.moved)
    assert all(
        {"simulated_success", "first_success", "policy_loss"} <= row.keys() for row in result.history[1:]
    )
    assert [row["iteration"] for row in result.history if "real_success" in row] == [0, 2, 4]
    assert digest(result.last.actor) != digest(tables.policy())


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted_to_the_bit(world, tables, tmp_path):
    def evaluator(results, *, kill_at=None):
        calls = iter(results)

        def evaluate(_):
            success = next(calls)
            if success == kill_at:
                raise KilledError
            return {"success": success}

        return evaluate

    whole = run(world, tables, evaluate=evaluator([0.1, 0.4, 0.2]))
    with pytest.raises(KilledError):
        run(world, tables, evaluate=evaluator([0.1, 0.4, 0.2], kill_at=0.2), work_dir=tmp_path)
    resumed = run(world, tables, evaluate=evaluator([0.2]), work_dir=tmp_path)
    assert resumed.history == whole.history
    assert digest(resumed.last) == digest(whole.last)
    assert digest(resumed.selected) == digest(whole.selected)


def test_work_of_other_scenes_or_another_task_is_not_gone_on_with(world, tables, tmp_path):
    config = world.config(iterations=1, envs=2, update_epochs=1, imagine_steps=8)
    changes = [{}, {}, {"starts": tables.starts[1:]}, {"task": "close_drawer"}, {"start_repeats": 1}]
    worked = []
    for change in changes:
        before = len(tables.pool.moved)
        finetune(
            tables.policy(), simulation(tables, **change), config, seed=0, evaluate=None, work_dir=tmp_path
        )
        worked.append(len(tables.pool.moved) > before)
    assert worked == [True, False, True, True, True]


def test_the_world_model_stays_as_it_is(world, tables):
    before = digest(tables.model)
    run(world, tables, iterations=2)
    assert digest(tables.model) == before


def judge_of(model, *, carried: bool):
    page = ReadoutConfig(hidden=(4,), length_unit=0.05)
    at = model.config.scene_at if carried else None
    return ReadoutJudge(SceneReadout(model.feat_dim, page, at), TASKS["close_drawer"]).eval()


def outcomes(model, judge, sees, starts, config):
    """What is shown and judged in the first decisions of four environments."""
    env = Imagination(model, judge, starts, sees).environment(config, 4, seed=1, iteration=1)
    rows = torch.arange(4)
    shown, done = [env.reset(options={"rows": rows})[0]], []
    for step in range(2):
        chunk = torch.rand(4, 4, 7, generator=torch.Generator().manual_seed(step))
        cond, _, terminated, _, _ = env.step(chunk)
        shown.append(cond)
        done.append(terminated)
    return torch.stack(shown), torch.stack(done)


def test_h_and_z_are_not_imagined_where_nobody_looks_at_them(world, monkeypatch):
    """The episodes are the same, without nearly all of the work; whoever looks at h and z gets them."""
    model = tiny_world_model(**CARRIED["carries_all"])
    model.rssm.arm_motion.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(1))
    starts = model.rssm.state_from_feat(torch.rand(4, model.feat_dim))
    rolled, config = [], world.config(envs=4, imagine_steps=12)
    whole = imagined_practice.frozen_prior

    def counted(model, **options):
        rolled.append(model)
        return whole(model, **options)

    monkeypatch.setattr(imagined_practice, "frozen_prior", counted)
    for sees in ("painted_and_proprio", "scene_and_proprio"):
        alone = outcomes(model, judge_of(model, carried=True), sees, starts, config)
        assert not rolled
        monkeypatch.setattr(imagined_practice, "CarriedPrior", counted)
        both = outcomes(model, judge_of(model, carried=True), sees, starts, config)
        monkeypatch.setattr(imagined_practice, "CarriedPrior", CarriedPrior)
        assert len(rolled) == 1
        rolled.clear()
        assert all(torch.equal(x, y) for x, y in zip(alone, both, strict=True))
    outcomes(model, judge_of(model, carried=True), "features", starts, config)
    outcomes(model, judge_of(model, carried=False), "scene_and_proprio", starts, config)
    assert len(rolled) == 2
