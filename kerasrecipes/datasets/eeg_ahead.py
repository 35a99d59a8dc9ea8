"""A human EEG, cut so that nobody sees what came later."""

from kerasrecipes.checks import check_seed
from kerasrecipes.datasets.folds import FOLDS
from kerasrecipes.datasets.series import read_series

_FIRST = 400  # samples before the first one that is tested on
_AHEAD = 40  # samples that one fold tests on


def load_eeg_ahead(fold=0):
    """A human EEG on four channels, as one who forecasts it would meet it.

    The same 800 samples as in `load_eeg`, 80 a second. A fold tests on 40 of
    them, half a second, and trains on all samples before: fold 0 on the first
    400, fold 9 on the first 760. What comes after the tested samples is left
    out.

    Chance level: an RMSE of 1.0, the standard deviation of each channel.

    Baseline: an RMSE of 0.521 by saying that the sample stays as it was, and
    of 0.475 by scikit-learn's `LinearRegression()` of each sample's change on
    the eight changes before it, one regression for all channels. Both are
    means over the folds 0 to 9.

    Args:
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on span `s % 10`. Defaults to `0`.

    Returns:
        `past, ahead`: float32 of shapes `(n, 4)` and `(40, 4)`, with 400
        samples before the first span and 40 more before each later one.

    Raises:
        ValueError: if `fold` is no integer or negative, or if the file of
            figures is damaged.
        FileNotFoundError: if it is missing.

    Reference:
        - `data/eeg.md`: origin, licence and units.
        - [Tashman, 2000](https://doi.org/10.1016/S0169-2070%2800%2900065-0):
          forecasts from one origin after another.
    """
    start = _FIRST + _AHEAD * (check_seed("fold", fold) % FOLDS)
    (samples,) = read_series("eeg")
    return samples[:start].copy(), samples[start : start + _AHEAD].copy()
