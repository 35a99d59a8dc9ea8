"""Waves in noise, told apart by their direction, so many of each class."""

import numpy as np

from kerasrecipes.checks import (
    check_seed,
    invalid_argument,
    is_finite_number,
    is_integer,
)


def make_gratings(counts, noise=1.2, seed=0):
    """Images of waves in noise; the class is the direction they run in.

    An image has 8 x 8 pixels. Its wave is four pixels long, from -1 to 1,
    begins anywhere (the phase is uniform) and has normal noise added. With
    `n` classes, class `k` runs at an angle of `180 * k / n` degrees to the
    columns. The mean image of every class is zero.

    Chance level: an accuracy of `1 / n` on equal counts.

    Baseline: an accuracy of 0.992 for six classes of equal counts and noise
    of the default size, by the direction in which the image has most power at
    the wave's length, which knows the waves. Of 60,000 images.

    Args:
        counts: sequence of positive integers, how many images of each class.
        noise: non-negative number, the standard deviation of the noise.
            Defaults to `1.2`.
        seed: non-negative integer below 2 ** 32. Equal seeds give equal
            images. Defaults to `0`.

    Returns:
        `x, y`: `x` is float32 of shape `(n, 8, 8, 1)` for `n = sum(counts)`;
        `y` is int32 of shape `(n,)`, the class, in ascending order.

    Raises:
        ValueError: if an argument is not as described above.
    """
    expected = "at least two positive integers"
    if not np.iterable(counts) or isinstance(counts, str):
        raise invalid_argument("counts", expected, counts)
    counts = [*counts]
    if len(counts) < 2 or not all(is_integer(n) and n > 0 for n in counts):
        raise invalid_argument("counts", expected, counts)
    if not is_finite_number(noise) or noise < 0:
        raise invalid_argument("noise", "a non-negative number", noise)
    # NumPy keeps the stream of this older generator the same in every version,
    # and recorded results need the same images again.
    generator = np.random.RandomState(check_seed("seed", seed))
    y = np.repeat(np.arange(len(counts)), counts)
    angle = (np.pi * y / len(counts))[:, np.newaxis, np.newaxis]
    phase = generator.uniform(0, 2 * np.pi, size=(len(y), 1, 1))
    row, column = np.mgrid[:8, :8]
    place = row * np.cos(angle) + column * np.sin(angle)
    x = np.cos(np.pi / 2 * place + phase)
    x += noise * generator.normal(size=x.shape)
    return x[..., np.newaxis].astype("float32"), y.astype("int32")
