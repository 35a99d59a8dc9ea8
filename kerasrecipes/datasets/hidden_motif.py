"""A short shape that is hidden somewhere in a noisy series."""

import numpy as np

from kerasrecipes.checks import invalid_argument, is_integer, is_number

_LAST_SEED = 2**32 - 1
# Steps of the shape.
_WIDTH = 9


def make_hidden_motifs(sequences, decided_by="shape", noise=0.5, seed=0):
    """Series of noise with a ramp in it, which rises or falls.

    A series has 64 steps of normal noise. Nine of them, which begin anywhere
    from step 0 to 55, have a ramp added: from -1 to 1, or from 1 to -1, as
    often the one as the other. Both have the same values, in another order,
    so that neither the sum nor the squares of a series tell them apart.

    With `decided_by="shape"` the label says which of them it is, wherever it
    is: a task that does not change when a series is shifted. With `"place"`
    it says whether the ramp, of either kind, begins in the second half of its
    places.

    Chance level: an accuracy of 0.5.

    Baseline: an accuracy of 0.922 for shapes, by the ramp that fits better at
    its best place, the matched filter, which knows both shapes. With noise of
    the default size, of 100,000 series.

    Args:
        sequences: positive integer, how many.
        decided_by: string, `"shape"` or `"place"`. Defaults to `"shape"`.
        noise: non-negative number, the standard deviation of the noise.
            Defaults to `0.5`.
        seed: integer from 0 to 2 ** 32 - 1. Equal seeds give equal series,
            whatever decides. Defaults to `0`.

    Returns:
        `x, y`: `x` is float32 of shape `(sequences, 64, 1)`; `y` is int32 of
        shape `(sequences,)`, 1 for a ramp that rises, or begins late, else 0.

    Raises:
        ValueError: if an argument is not as described above.
    """
    if not is_integer(sequences) or sequences < 1:
        raise invalid_argument("sequences", "a positive integer", sequences)
    if decided_by not in ("shape", "place"):
        raise invalid_argument(
            "decided_by", "one of ('shape', 'place')", decided_by
        )
    if not is_number(noise) or not 0 <= noise < np.inf:
        raise invalid_argument("noise", "a non-negative number", noise)
    if not is_integer(seed) or not 0 <= seed <= _LAST_SEED:
        raise invalid_argument("seed", "an integer from 0 to 2 ** 32 - 1", seed)
    # NumPy keeps the stream of this older generator the same in every version,
    # and recorded results need the same series again.
    generator = np.random.RandomState(seed)
    steps, places = 64, 64 - _WIDTH + 1
    x = noise * generator.normal(size=(sequences, steps))
    rises = generator.randint(2, size=sequences)
    starts = generator.randint(places, size=sequences)
    ramps = np.linspace(-1, 1, _WIDTH) * (2 * rises[:, np.newaxis] - 1)
    rows = np.arange(sequences)[:, np.newaxis]
    x[rows, starts[:, np.newaxis] + np.arange(_WIDTH)] += ramps
    y = rises if decided_by == "shape" else starts >= places // 2
    return x[:, :, np.newaxis].astype("float32"), y.astype("int32")
