import io

import numpy as np
import pytest
from PIL import Image

from wam.evaluation.video import (
    BORDER,
    FAILURE_RGB,
    LABEL_HEIGHT,
    SUCCESS_RGB,
    clip_bytes,
    enlarge,
    strip_bytes,
)


def clip(frames=7):
    return np.random.default_rng(0).integers(0, 256, (frames, 8, 16, 3), np.uint8)


@pytest.mark.parametrize(("success", "rgb"), [(True, SUCCESS_RGB), (False, FAILURE_RGB)])
def test_clips_move_and_show_the_outcome(success, rgb):
    picture = Image.open(io.BytesIO(clip_bytes(clip(), success=success, label="a")))
    assert picture.format == "WEBP"
    assert picture.n_frames == 4
    assert picture.size == (16 * 3 + 2 * BORDER, 8 * 3 + 2 * BORDER + LABEL_HEIGHT)
    corner = np.array(picture.convert("RGB").getpixel((0, 0)), int)
    assert np.abs(corner - rgb).max() < 30


def test_the_last_frame_is_always_shown():
    frames = np.zeros((6, 8, 8, 3), np.uint8)
    frames[-1] = 255
    picture = Image.open(io.BytesIO(clip_bytes(frames, success=None)))
    picture.seek(picture.n_frames - 1)
    assert min(picture.convert("RGB").getpixel((BORDER + 10, BORDER + 10))) > 250


def test_a_clip_must_be_pictures():
    with pytest.raises(ValueError, match="uint8"):
        clip_bytes(np.zeros((3, 8, 8, 3)), success=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="T >= 1"):
        clip_bytes(np.zeros((0, 8, 8, 3), np.uint8), success=True)


def test_strips_have_real_above_imagined():
    real, imagined = np.full((4, 8, 8, 3), 255, np.uint8), np.zeros((4, 8, 8, 3), np.uint8)
    picture = Image.open(io.BytesIO(strip_bytes([real, imagined], columns=[0, 2])))
    assert picture.format == "PNG"
    assert picture.size == (2 * 8 * 2, 2 * 8 * 2)
    pixels = np.asarray(picture)
    assert pixels[:16].min() == 255
    assert pixels[16:].max() == 0


def test_strip_labels_get_room():
    picture = Image.open(io.BytesIO(strip_bytes([clip(), clip()], labels=["real", "imagined"])))
    assert picture.size[0] > 7 * 16 * 2


def test_strips_need_rows_of_one_shape():
    with pytest.raises(ValueError, match="one shape"):
        strip_bytes([clip(3), clip(4)])
    with pytest.raises(ValueError, match="label"):
        strip_bytes([clip(3)], labels=["a", "b"])


def test_enlarging_repeats_pixels():
    image = clip(1)[0]
    np.testing.assert_array_equal(enlarge(image)[1::3, 2::3], image)
