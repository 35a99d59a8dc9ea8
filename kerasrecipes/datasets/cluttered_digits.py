"""Real digits somewhere on a canvas, among pieces of other digits."""

import numpy as np

from kerasrecipes.checks import check_integer, invalid_argument
from kerasrecipes.datasets.bundled import load_digits

_DIGIT = 8  # height and width in pixels
_PIECE = 3
_TEST_IMAGES = 1000


def load_cluttered_digits(
    examples=3000, canvas=20, pieces=4, places=False, fold=0
):
    """One whole digit to be read, on a canvas full of pieces of others.

    An image of `load_digits`, 8 by 8 pixels, lies at a random place of a black
    canvas. Pieces of 3 by 3 pixels, cut at random places out of random other
    images, lie at random places too. Where things overlap the brighter pixel
    is seen. Digits and pieces come from the fold's training images for
    training and from its test images for testing. It is the small form of the
    cluttered and translated MNIST of the paper below.

    With more pieces a canvas keeps those that it has with fewer, and its digit
    stays where it is.

    Chance level: an accuracy of 0.10, all ten digits being nearly as frequent.

    Baseline: an accuracy of 0.960, the mean over the folds 0 to 9 of
    scikit-learn's `SVC()` that has learned from `load_digits` and is shown the
    8 by 8 pixels where the digit is, with all that covers them: a ceiling for
    whoever has to find it.

    Args:
        examples: positive integer, how many images to train on. Defaults to
            `3000`.
        canvas: integer, height and width of the canvas in pixels, at least 8.
            Defaults to `20`.
        pieces: non-negative integer, how many pieces lie on a canvas. Defaults
            to `4`.
        places: boolean, whether to return where the digits are. Defaults to
            `False`.
        fold: non-negative integer, as a rule the seed of a trial: see
            `load_digits`. Defaults to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 in [0, 1] of
        shape `(n, canvas, canvas, 1)`; `y` is int32 of shape `(n,)`, from 0 to
        9. There are 1,000 images to test on. With `places` each part has a
        third array, float32 of shape `(n, 2)`: row and column of the centre of
        the digit in pixels, 3.5 where it lies at the upper or left edge.

    Raises:
        ValueError: if an argument is not as described above.

    Reference:
        - [Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)
        - [Mnih, Heess, Graves and Kavukcuoglu, 2014](
          https://arxiv.org/abs/1406.6247): cluttered, translated MNIST.
    """
    check_integer("examples", examples, 1, "a positive integer")
    check_integer("canvas", canvas, _DIGIT, f"an integer of at least {_DIGIT}")
    check_integer("pieces", pieces, 0, "a non-negative integer")
    if not isinstance(places, bool):
        raise invalid_argument("places", "a boolean", places)
    parts = []
    for number, (images, labels) in enumerate(load_digits(fold=fold)):
        # NumPy keeps the stream of this older generator the same in every
        # version.
        generator = np.random.RandomState([number, fold])
        count = _TEST_IMAGES if number else examples
        chosen = generator.randint(0, len(images), count)
        corners = generator.randint(0, canvas - _DIGIT + 1, (count, 2))
        x = np.zeros((count, canvas, canvas), "float32")
        _lay(x, images[chosen, :, :, 0], corners)
        for _ in range(pieces):
            _lay(x, *_cut_pieces(images[:, :, :, 0], chosen, canvas, generator))
        centres = (corners + (_DIGIT - 1) / 2).astype("float32")
        part = (x[..., np.newaxis], labels[chosen], centres)
        parts.append(part if places else part[:2])
    return tuple(parts)


def _cut_pieces(images, chosen, canvas, generator):
    """A piece of another image for each canvas, and its upper left corner."""
    count = len(chosen)
    # Any image but the one that is to be read.
    others = (chosen + generator.randint(1, len(images), count)) % len(images)
    windows = np.lib.stride_tricks.sliding_window_view(
        images, (_PIECE, _PIECE), axis=(1, 2)
    )
    top, left = generator.randint(0, _DIGIT - _PIECE + 1, (2, count))
    corners = generator.randint(0, canvas - _PIECE + 1, (count, 2))
    return windows[others, top, left], corners


def _lay(canvases, patches, corners):
    """Lays a square patch on each canvas, in place; the brighter shows."""
    side = np.arange(patches.shape[1])
    rows = corners[:, 0, None, None] + side[:, None]
    columns = corners[:, 1, None, None] + side
    where = np.arange(len(canvases))[:, None, None], rows, columns
    canvases[where] = np.maximum(canvases[where], patches)
