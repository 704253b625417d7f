import numpy as np
import pytest
import torch

from wam.demonstrations.imagined import imagine_demonstrations
from wam.seeding import torch_generator


def actions_of(*lengths):
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (n, 7)).astype(np.float32) for n in lengths]


def starts(world_model, count):
    state = world_model.initial_state(count)
    return state.feat.numpy().copy()


def test_one_imagined_frame_per_recorded_frame_but_the_first(world_model):
    imagined = imagine_demonstrations(world_model, starts(world_model, 3), actions_of(4, 1, 2), seed=0)
    assert imagined.demonstration.tolist() == [0, 0, 0, 2]
    assert imagined.step.tolist() == [1, 2, 3, 1]
    assert imagined.feat.shape == (4, world_model.feat_dim)
    assert imagined.feat.dtype == np.float32


def test_it_is_the_prior_with_the_recorded_actions(world_model):
    actions = actions_of(3)
    imagined = imagine_demonstrations(world_model, starts(world_model, 1), actions, seed=0)
    state = world_model.initial_state(1)
    generator = torch_generator(0, "imagine_demonstrations")
    for t in range(2):
        state = world_model.imagine_step(state, torch.from_numpy(actions[0][t : t + 1]), generator)
        np.testing.assert_array_equal(imagined.feat[t], state.feat.numpy()[0])


def test_it_repeats_by_seed(world_model):
    first, again, other = (
        imagine_demonstrations(world_model, starts(world_model, 2), actions_of(5, 5), seed=seed).feat
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_every_demonstration_needs_its_actions(world_model):
    with pytest.raises(ValueError, match="2 start features but 1 action"):
        imagine_demonstrations(world_model, starts(world_model, 2), actions_of(3), seed=0)
