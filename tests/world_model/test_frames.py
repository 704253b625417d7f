import numpy as np
import pytest
import torch
from toy_world import tiny_config, tiny_training, toy_episodes

from wam.episodes.sampler import gather_batch
from wam.training.device import has_bf16
from wam.world_model.frames import HostFrames, ResidentFrames, make_frames
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", [HostFrames, ResidentFrames])
def test_every_source_gives_the_same_frames(kind):
    episodes = toy_episodes()
    rows = np.array([[0, 1, 2], [19, 20, 21]])
    batch, want = kind(episodes, CPU).batch(rows), gather_batch(episodes, rows)
    assert batch.keys() == want.keys()
    for key, values in want.items():
        assert batch[key].dtype == torch.from_numpy(values).dtype
        assert np.array_equal(batch[key].numpy(), values)


def test_a_cpu_keeps_no_second_copy():
    assert isinstance(make_frames(toy_episodes(), CPU), HostFrames)


def test_bf16_gives_nearly_the_loss_of_fp32_and_gradients_in_fp32():
    losses = {}
    for precision in ("fp32", "bf16", "auto"):
        model = WorldModel(tiny_config(), seed=1)
        objective = WorldModelObjective(model, toy_episodes(), tiny_training(precision=precision), seed=0)
        loss = objective.loss(0).loss
        loss.backward()
        losses[precision] = loss.item()
        assert model.encoder.image_static.layers[0].weight.grad.isfinite().all()
        assert model.rssm.cell.weight_hh.grad.dtype == torch.float32
        assert objective.state_dict()["deter"].dtype == torch.float32
    assert losses["auto"] == losses["bf16" if has_bf16(CPU) else "fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    assert losses["bf16"] != losses["fp32"]
