"""Pieces of a photograph, where images of something real are wanted."""

import functools

import numpy as np
from sklearn.datasets import load_sample_image

from kerasrecipes.checks import check_integer, check_seed

_PHOTO = "china.jpg"


def make_photo_patches(count, size=8, seed=0):
    """Grey square pieces of a photograph of a Chinese temple.

    They are cut at random places of scikit-learn's `china.jpg`, 427 by 640
    pixels, and may overlap. Of those of 8 pixels about half are sky or nearly
    plain, the others are roofs, stones and trees. Grey is the mean of red,
    green and blue.

    Args:
        count: positive integer, the number of pieces.
        size: integer, height and width in pixels, from 1 to 427. Defaults to
            `8`, as large as the digits of `load_digits`.
        seed: non-negative integer, the seed of the places. Defaults to `0`.

    Returns:
        float32 array in [0, 1] of shape `(count, size, size, 1)`.

    Raises:
        ValueError: if an argument is no integer or out of range.

    Reference:
        - [scikit-learn, sample images](
          https://scikit-learn.org/stable/datasets/loading_other_datasets.html)
    """
    photo = _read_photo()
    most = min(photo.shape)
    count = check_integer("count", count, 1, "a positive integer")
    size = check_integer("size", size, 1, f"an integer from 1 to {most}", most)
    generator = np.random.RandomState(check_seed("seed", seed))
    windows = np.lib.stride_tricks.sliding_window_view(photo, (size, size))
    rows, columns = (
        generator.randint(places, size=count) for places in windows.shape[:2]
    )
    return windows[rows, columns][..., np.newaxis]


@functools.cache
def _read_photo():
    return load_sample_image(_PHOTO).mean(-1, dtype="float32") / 255
