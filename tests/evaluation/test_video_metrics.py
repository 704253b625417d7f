import pytest
import torch

from wam.evaluation.video_metrics import NOT_AVAILABLE, psnr, ssim
from wam.seeding import torch_generator


@pytest.fixture
def images():
    return torch.rand(3, 3, 64, 64, generator=torch_generator(0)) * 2 - 1


def test_psnr_is_the_textbook_formula_per_image(images):
    other = images.clone()
    other[1] = (images[1] + 0.2).clamp(max=1.0)
    other[2] = 0.0
    error = ((images - other) / 2).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(psnr(other, images)[1:], -10 * error[1:].log10(), atol=1e-3, rtol=0)
    assert psnr(other, images)[0] > 80


def test_values_outside_the_range_are_clipped(images):
    white = torch.ones_like(images)
    torch.testing.assert_close(psnr(white * 5, images), psnr(white, images))


def test_ssim_is_one_for_equal_images_and_falls_with_noise(images):
    noise = 0.3 * torch.randn(3, 3, 64, 64, generator=torch_generator(1))
    torch.testing.assert_close(ssim(images, images), torch.ones(3))
    assert (ssim(images + noise, images) < 0.98).all()


def test_ssim_of_one_image_has_one_value(images):
    assert ssim(images[:1], images[:1]).shape == (1,)


def test_metrics_that_need_weights_say_how_to_get_them():
    assert set(NOT_AVAILABLE) == {"lpips", "fvd"}
    assert all(text.startswith("not available: ") for text in NOT_AVAILABLE.values())
