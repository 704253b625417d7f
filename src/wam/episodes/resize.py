"""Camera images at the size that world models see."""

import cv2
import numpy as np
from numpy.typing import NDArray

from wam.contracts import IMAGE_SIZE
from wam.episodes.frame_arrays import IMAGE_SHAPE


def resize_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image at 64x64 by area interpolation; unchanged if it has that size.

    Args:
        image: ``(h, w, 3)`` uint8.

    Returns:
        ``(64, 64, 3)`` uint8.
    """
    if image.shape == IMAGE_SHAPE:
        return image
    return np.asarray(cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def resize_images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images ``(n, h, w, 3)``, n at least 1, each as by :func:`resize_image`: ``(n, 64, 64, 3)``."""
    return np.stack([resize_image(image) for image in images])
