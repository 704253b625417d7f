import cv2
import numpy as np
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


def test_psnr_is_opencvs(images):
    other = (images + 0.1 * torch.randn(3, 3, 64, 64, generator=torch_generator(2))).clamp(-1, 1)
    as_unit = [((x + 1) / 2).permute(0, 2, 3, 1).double().numpy() for x in (other, images)]
    for value, one, two in zip(psnr(other, images).tolist(), *as_unit, strict=True):
        assert value == pytest.approx(cv2.PSNR(one, two, 1.0), abs=1e-3)


def test_ssim_is_that_of_wang_and_others(images):
    """Their formula, window by window: 11 x 11 Gaussian of deviation 1.5, K1 0.01, K2 0.03, no padding."""
    other = (images + 0.2 * torch.randn(3, 3, 64, 64, generator=torch_generator(3))).clamp(-1, 1)
    x, y = (((z[0] + 1) / 2).double().numpy() for z in (other, images))
    place = np.arange(11) - 5
    window = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for channel in range(3):
        for i in range(54):
            for j in range(54):
                a, b = (z[channel, i : i + 11, j : j + 11] for z in (x, y))
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
                cov = (window * (a - ma) * (b - mb)).sum()
                top = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4)
                values.append(top / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    assert ssim(other, images)[0].item() == pytest.approx(np.mean(values), abs=2e-3)


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
