"""Short clips of real digit images, of different lengths."""

import numpy as np

from kerasrecipes.datasets.bundled import load_digits
from kerasrecipes.datasets.folds import _checked

_TEST_CLIPS = 500


def load_digit_clips(examples=1000, frames=4, fold=0):
    """Clips of one to four handwritten digits, to tell the largest.

    A clip shows 1 to `frames` images of `load_digits`, each length as often as
    every other, drawn with replacement from the fold's training images for
    training and from its test images for testing. Shorter clips end with blank
    frames. The label is the largest digit that was shown, so that frames must
    be read and remembered.

    Chance level: with four frames, an accuracy of 0.23, the share of clips
    with a nine.

    Baseline: an accuracy of 0.70, the mean over the folds 0 to 9 of
    scikit-learn's `LogisticRegression(max_iter=1000)` on 1,000 flattened clips.

    Args:
        examples: positive integer, how many clips to train on. Defaults to
            `1000`.
        frames: positive integer, the most frames of a clip. Defaults to `4`.
        fold: non-negative integer, as a rule the seed of a trial: see
            `load_digits`. Defaults to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 in [0, 1] of
        shape `(n, frames, 64)`, zero in blank frames alone; `y` is int32 of
        shape `(n,)`, from 0 to 9. There are 500 clips to test on.

    Raises:
        ValueError: if an argument is no integer or out of range.

    Reference:
        - [Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)
    """
    _checked("examples", examples, 1, np.inf, "a positive integer")
    _checked("frames", frames, 1, np.inf, "a positive integer")
    train, test = load_digits(fold=fold, flat=True)
    # NumPy keeps the stream of this older generator the same in every version.
    generator = np.random.RandomState(fold)
    return (
        _draw_clips(*train, examples, frames, generator),
        _draw_clips(*test, _TEST_CLIPS, frames, generator),
    )


def _draw_clips(x, y, clips, frames, generator):
    """Draws clips from the images of one part."""
    chosen = generator.randint(0, len(x), (clips, frames))
    lengths = generator.randint(1, frames + 1, (clips, 1))
    is_shown = np.arange(frames) < lengths
    # A blank frame shows no digit, so that it is never the largest.
    largest = np.where(is_shown, y[chosen], -1).max(axis=1)
    return x[chosen] * is_shown[:, :, None], largest.astype("int32")
