import pytest
import torch

from wam.world_model.losses import image_loss, weighted_sum


def test_image_loss_is_half_the_squared_error_of_both_cameras_per_frame():
    zeros = torch.zeros(2, 3, 64, 64)
    assert image_loss((zeros + 1, zeros + 2), (zeros, zeros)) == 0.5 * 12_288 * (1 + 4)


def test_terms_and_weights_must_have_the_same_names():
    assert weighted_sum({"a": torch.tensor(2.0), "b": torch.tensor(1.0)}, {"a": 3.0, "b": 0.5}) == 6.5
    with pytest.raises(ValueError, match=r"\['a'\] and coefficients \['b'\]"):
        weighted_sum({"a": torch.tensor(1.0)}, {"b": 1.0})
