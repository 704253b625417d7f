"""Moving and still pictures as bytes: labelled WebP clips, and PNG strips with real above imagined."""

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wam.contracts import CONTROL_HZ

SUCCESS_RGB: Final = (46, 160, 67)
FAILURE_RGB: Final = (207, 34, 46)
NEUTRAL_RGB: Final = (87, 96, 106)
UPSCALE: Final = 3
"""64-pixel pictures are shown three times larger, nearest neighbour: every pixel stays visible."""
BORDER: Final = 4
"""Border in pixels of the enlarged picture, green or red."""
LABEL_HEIGHT: Final = 14
"""Height in pixels of the line of text under a clip."""
STRIP_FONT_SIZE: Final = 24
"""Pixels; a page shows strips at half their size."""
EVERY: Final = 2
"""Frames of which an animation shows one; the last is always shown."""
FRAMES_PER_SECOND: Final = CONTROL_HZ / EVERY
"""Of an animation: what is shown of 30 Hz is then shown at the speed at which it happened."""
HOLD_S: Final = 1.0
"""Seconds that the last frame stays before a clip starts again."""


def _check_clip(frames: NDArray[np.uint8]) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"a clip is (T, h, w, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}")


def enlarge(image: NDArray[np.uint8], factor: int = UPSCALE) -> NDArray[np.uint8]:
    """Nearest-neighbour enlargement of (..., h, w, 3) by a whole factor."""
    return np.asarray(image.repeat(factor, axis=-3).repeat(factor, axis=-2))


def _framed(frame: NDArray[np.uint8], label: str, rgb: tuple[int, int, int]) -> Image.Image:
    height, width = frame.shape[:2]
    page = Image.new("RGB", (width + 2 * BORDER, height + 2 * BORDER + LABEL_HEIGHT), rgb)
    page.paste(Image.fromarray(frame), (BORDER, BORDER))
    ImageDraw.Draw(page).text((BORDER, height + 2 * BORDER - 1), label, fill=(255, 255, 255))
    return page


def clip_bytes(
    frames: NDArray[np.uint8],
    *,
    success: bool | None,
    label: str = "",
) -> bytes:
    """An endless animation of one episode with a border and a line of text.

    Args:
        frames: (T, h, w, 3) uint8 at 30 Hz.
        success: Green border and "success", red and "failure", or None for a neutral clip.
        label: Text under the picture, before the outcome.

    Returns:
        A WebP file.

    Raises:
        ValueError: If frames are not (T, h, w, 3) uint8 with T >= 1.
    """
    _check_clip(frames)
    outcome = {True: "success", False: "failure", None: ""}[success]
    rgb = {True: SUCCESS_RGB, False: FAILURE_RGB, None: NEUTRAL_RGB}[success]
    text = ": ".join(part for part in (label, outcome) if part)
    kept = sorted({*range(0, len(frames), EVERY), len(frames) - 1})
    pages = [_framed(enlarge(frames[row]), text, rgb) for row in kept]
    durations = [round(1000 / FRAMES_PER_SECOND)] * (len(pages) - 1) + [round(1000 * HOLD_S)]
    file = io.BytesIO()
    pages[0].save(file, format="WEBP", save_all=True, append_images=pages[1:], duration=durations, loop=0)
    return file.getvalue()


def strip_bytes(
    rows: Sequence[NDArray[np.uint8]], *, labels: Sequence[str] = (), columns: Sequence[int] | None = None
) -> bytes:
    """A PNG with clips as rows of stills, e.g. real frames above imagined ones.

    Args:
        rows: Clips (T, h, w, 3) uint8 of equal shape.
        labels: One line of text per row, left of it; none by default.
        columns: Frames shown; all by default.

    Returns:
        The encoded PNG.

    Raises:
        ValueError: If there are no rows, shapes differ or labels do not match.
    """
    if not rows or len({row.shape for row in rows}) != 1 or (labels and len(labels) != len(rows)):
        raise ValueError(
            "a strip needs rows of one shape and a label each, "
            f"got {[row.shape for row in rows]} and {list(labels)}"
        )
    for row in rows:
        _check_clip(row)
    shown = list(range(len(rows[0]))) if columns is None else list(columns)
    picture = np.concatenate([np.concatenate(list(row[shown]), axis=1) for row in rows], axis=0)
    picture = enlarge(picture, 2)
    font = ImageFont.load_default(STRIP_FONT_SIZE)
    margin = 16 + max((int(font.getlength(text)) for text in labels), default=-16)
    page = Image.new("RGB", (picture.shape[1] + margin, picture.shape[0]), (255, 255, 255))
    page.paste(Image.fromarray(picture), (margin, 0))
    for index, text in enumerate(labels):
        middle = (index * 2 + 1) * picture.shape[0] // (2 * len(rows))
        ImageDraw.Draw(page).text((4, middle), text, fill=(31, 41, 51), font=font, anchor="lm")
    file = io.BytesIO()
    page.save(file, format="PNG", optimize=True)
    return file.getvalue()
