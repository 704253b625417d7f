import copy

import pytest
import torch

from wam.pipelines.ppo.choice import imagination_evaluator
from wam.reward.config import ReadoutConfig
from wam.reward.readout import ReadoutJudge, SceneReadout
from wam.rl.finetune import finetune
from wam.rl.imagined_practice import Imagination
from wam.tasks.table import TASKS
from wam.training import metrics
from wam.training.checkpoint import Checkpoint


class KilledError(Exception):
    pass


def digest(module: torch.nn.Module) -> str:
    return Checkpoint("x", dict(module.state_dict()), {}).digest


def run(world, config, *, evaluate=None, **kwargs):
    args = {"seed": 5} | kwargs
    return finetune(world.policy(), imagination(world), config, evaluate=evaluate, **args)


def imagination(world):
    return Imagination(world.model, world.classifier, world.starts, "features")


def test_work_with_another_judge_or_of_another_task_is_told_apart(world):
    readout = SceneReadout(world.classifier.feat_dim, ReadoutConfig(hidden=(4,), length_unit=0.05))
    judges = [world.classifier, *(ReadoutJudge(readout, task) for task in TASKS.values())]
    identities = [Imagination(world.model, judge, world.starts, "features").identity() for judge in judges]
    digests = {Checkpoint("work", one.weights, one.page).digest for one in identities}
    assert len(digests) == len(judges)


def test_history_has_a_row_per_iteration_and_figures_where_evaluated(world):
    rows = []
    unsubscribe = metrics.subscribe(lambda values, step: rows.append((step, values)))
    result = run(world, world.config(iterations=5), evaluate=lambda _: {"success": 0.5, "steps": 9.0})
    unsubscribe()
    assert [row["iteration"] for row in result.history] == [0, 1, 2, 3, 4, 5]
    assert [row["iteration"] for row in result.history if "real_success" in row] == [0, 2, 4, 5]
    assert result.history[0]["steps"] == 9
    expected = {"imagined_success", "policy_loss", "value_loss", "bc_loss", "approx_kl", "clip_fraction"}
    assert all(expected <= row.keys() for row in result.history[1:])
    assert [step for step, _ in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[2][1]["real_success"] == 0.5


def test_best_evaluation_is_selected_and_the_earliest_of_equals(world):
    scores = iter([0.3, 0.6, 0.6, 0.1])
    seen = []

    def evaluate(policy):
        seen.append(digest(policy))
        return {"success": next(scores)}

    result = run(world, world.config(iterations=5), evaluate=evaluate)
    assert result.selected_iteration == 2
    assert digest(result.selected) == seen[1]
    assert digest(result.last) == seen[3]


def test_the_policy_may_be_chosen_in_imagination(world):
    practice, config = imagination(world), world.config(iterations=5, chosen_in="imagination")
    evaluate = imagination_evaluator(practice, config, world.policy().config.act_steps, seed=3)
    result = finetune(world.policy(), practice, config, seed=5, evaluate=evaluate)
    acting = {row["iteration"]: row["acting_success"] for row in result.history if "acting_success" in row}
    assert list(acting) == [0, 2, 4, 5]
    assert not any("real_success" in row for row in result.history)
    assert result.selected_iteration == max(acting, key=lambda iteration: acting[iteration])
    assert evaluate(result.selected)["success"] == max(acting.values()), "the same episodes in every call"


class Pushes:
    """A policy that pushes to the right or to the left, whatever it sees."""

    def __init__(self, direction):
        self.direction = direction

    def sample(self, cond, *, deterministic, **_):
        assert deterministic, "as in evaluation"
        return torch.full((len(cond), 4, 7), self.direction)


def test_choosing_in_imagination_tells_who_solves_the_task(world):
    practice, config = imagination(world), world.config(imagine_steps=12)
    evaluate = imagination_evaluator(practice, config, 4, seed=3)
    assert [evaluate(Pushes(direction))["success"] for direction in (1.0, -1.0)] == [1, 0]


def test_unchanged_policy_can_win(world):
    scores = iter([1.0, 0.6, 0.6, 0.1])
    result = run(world, world.config(iterations=5), evaluate=lambda _: {"success": next(scores)})
    assert result.selected_iteration == 0
    assert digest(result.selected.actor) == digest(world.policy())


def test_frozen_parts_stay_frozen_and_the_cloned_policy_too(world):
    policy = world.policy()
    parts = (policy, world.model, world.classifier)
    before = [digest(part) for part in parts]
    finetune(policy, imagination(world), world.config(), seed=0, evaluate=None)
    assert [digest(part) for part in parts] == before


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted_to_the_bit(world, tmp_path):
    config = world.config(iterations=6, envs=3, update_epochs=1, bc_coef=0.1, minibatch=60)
    scores = {0: 0.1, 2: 0.4, 4: 0.2, 6: 0.3}

    def evaluator(stop_at):
        state = {"calls": 0}

        def evaluate(_):
            iteration = state["calls"] * 2
            state["calls"] += 1
            if iteration == stop_at:
                raise KilledError
            return {"success": scores[iteration]}

        return evaluate

    whole = run(world, config, evaluate=evaluator(None))
    with pytest.raises(KilledError):
        run(world, config, evaluate=evaluator(4), work_dir=tmp_path)
    later = iter([0.2, 0.3])
    resumed = run(world, config, evaluate=lambda _: {"success": next(later)}, work_dir=tmp_path)
    assert resumed.history == whole.history
    assert digest(resumed.last) == digest(whole.last)
    assert digest(resumed.selected) == digest(whole.selected)
    assert resumed.selected_iteration == whole.selected_iteration == 2


def test_a_finished_run_is_only_read(world, tmp_path):
    first = run(world, world.config(), work_dir=tmp_path)
    again = run(world, world.config(), work_dir=tmp_path)
    assert digest(first.last) == digest(again.last)
    other = run(world, world.config(), work_dir=tmp_path, seed=6)
    assert digest(other.last) != digest(first.last)


def test_critic_warms_up_alone(world):
    result = run(world, world.config(iterations=2, critic_warmup_iterations=2))
    assert digest(result.last.actor) == digest(world.policy())
    assert result.history[1]["value_loss"] > 0


def test_evaluator_without_success_is_refused(world):
    with pytest.raises(ValueError, match="without 'success'"):
        run(world, world.config(), evaluate=lambda _: {"steps": 3.0})


def test_steps_that_do_not_fit_stop_before_work(world):
    with pytest.raises(ValueError, match="imagine_steps 18 is not a multiple of act_steps 4"):
        run(world, world.config(imagine_steps=18), evaluate=lambda _: pytest.fail("work was started"))


def test_more_denoising_steps_than_there_are_stop_before_work(world):
    with pytest.raises(ValueError, match="ft_denoising_steps 21 is above the policy's denoising_steps 20"):
        run(world, world.config(ft_denoising_steps=21), evaluate=lambda _: pytest.fail("work was started"))


def test_nan_stops_naming_the_iteration(world):
    world.starts.deter[:, 1] = float("nan")
    with pytest.raises(FloatingPointError, match="iteration 1"):
        run(world, world.config())


@pytest.mark.slow
def test_ppo_learns_to_push_right(world):
    config = world.config(
        iterations=16,
        envs=40,
        eval_every=16,
        update_epochs=8,
        minibatch=800,
        actor_learning_rate=3e-3,
        clip_coef=0.2,
        clip_base=0.1,
    )
    result = run(world, config)
    imagined = [row["imagined_success"] for row in result.history[1:]]
    assert imagined[0] < 0.2
    assert sum(imagined[-3:]) / 3 > 0.85
    base = copy.deepcopy(result.last.base)
    feat, generator = world.starts.feat, torch.Generator().manual_seed(0)
    before, after = (p.sample(feat, generator=generator, deterministic=True) for p in (base, result.last))
    assert after[..., 0].mean() > before[..., 0].mean() + 0.3
