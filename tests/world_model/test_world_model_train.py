import pytest
import torch
from toy_world import random_batch, tiny_config, tiny_training, toy_episodes

from wam.seeding import torch_generator
from wam.training.config import Intervals
from wam.training.loop import train
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective, WorldModelValidation, zero_state

EPISODES = toy_episodes()


def objective_of(action_coef=10.0, **values) -> WorldModelObjective:
    model = WorldModel(tiny_config(action_coef=action_coef), seed=2)
    return WorldModelObjective(model, EPISODES, tiny_training(**values), seed=5)


def fit(objective, work_dir=None, **options):
    page = tiny_training()
    options = {"steps": page.steps, "every": Intervals(log=4, checkpoint=4)} | options
    return train(objective, optimizer=page.optimizer, work_dir=work_dir, description="wm", **options)


class Stopped(WorldModelObjective):
    """Is killed at a step."""

    def loss(self, step):
        if step == 6:
            raise KeyboardInterrupt
        return super().loss(step)


@pytest.mark.slow
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(tmp_path):
    whole = objective_of(reset_probability=0.1)
    want = fit(whole)
    page = tiny_training(reset_probability=0.1)
    with pytest.raises(KeyboardInterrupt):
        fit(Stopped(WorldModel(tiny_config(), seed=2), EPISODES, page, seed=5), tmp_path)
    resumed = objective_of(reset_probability=0.1)
    assert fit(resumed, tmp_path).history == want.history
    assert resumed.modules().to_checkpoint().digest == whole.modules().to_checkpoint().digest


def test_states_are_carried_within_an_episode_and_dropped_at_its_end():
    objective, seen = objective_of(), []
    for step in range(4):
        carried = objective.inputs(step).state.deter.abs().sum(dim=1) > 0
        assert torch.equal(carried, torch.from_numpy(~objective._sampler.rows(step)[1]))
        seen.append(carried)
        objective.loss(step)
    assert not seen[0].any()
    assert torch.stack(seen).any()


def test_two_models_of_one_seed_see_the_same_frames():
    with_head, without = objective_of(), objective_of(action_coef=0.0)
    for step in range(3):
        one, two = with_head.loss(step).metrics, without.loss(step).metrics
        assert torch.equal(one["image_loss"], two["image_loss"])
        assert torch.equal(one["kl_loss"], two["kl_loss"])


@pytest.mark.slow
def test_training_fits_one_batch():
    model, batch = WorldModel(tiny_config(), seed=0), random_batch(2, 4)
    batch = {k: v[:, :1].expand_as(v).contiguous() if "image" in k else v for k, v in batch.items()}
    batch["image_static"] = batch["image_static"] // 8
    batch["image_gripper"] = batch["image_gripper"] // 8
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(30):
        (loss, _), _ = model.loss(batch, zero_state(model, 2), torch_generator(0, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_validation_repeats_and_changes_nothing():
    objective = objective_of()
    validation = WorldModelValidation(
        objective.modules(), toy_episodes(seed=1), tiny_training(validation_batches=2), seed=0
    )
    digest = objective.modules().to_checkpoint().digest
    with torch.no_grad():
        first, second = validation(), validation()
    assert first == second
    assert {"validation_loss", "validation_image_loss", "validation_action_error"} <= set(first)
    assert objective.modules().to_checkpoint().digest == digest


def test_windows_longer_than_every_episode_are_refused():
    with pytest.raises(ValueError, match="sequence_steps is 27"):
        objective_of(sequence_steps=27)
