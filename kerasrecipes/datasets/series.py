"""Real series that come with the package, as plain files of figures.

The files are in `data/`, each with a text beside it that says where the
figures are from, and `data/make_series.py` makes them again.
"""

import csv
import functools
import hashlib
from importlib import resources

import numpy as np

from kerasrecipes.checks import check_integer, check_seed, invalid_argument
from kerasrecipes.datasets.folds import FOLDS

# SHA-256 of each file. Who makes a file again changes it here and in its text.
SERIES = {
    "co2": "957cb985a7fd7d5f15aae8d54ab1db9ee05ed1a6a8eae2d0aa0b2bec1a7f6ccf",
    "eeg": "c19a64bf119c72bb050ba476b2e93b3857d36f6067ec80926e1ad9b03a9047ea",
    "monthly_stocks": (
        "2b56ba76e229ad0d41251e284cb298c76ac119077801be57a3d67d80d1f310a2"
    ),
}
_BLOCK = 80  # samples of the EEG that one fold tests on
_SPAN = 27  # months that one fold tests on
_GAP = 4  # years that are missing in one fold
# What the first column holds where it holds dates, by its name.
_DATES = {"month": "datetime64[M]", "week": "datetime64[D]"}


def load_eeg(steps=20, every=1, fold=0):
    """A human EEG on four channels, in windows to forecast the next sample.

    800 samples of the electrodes PG3, PG5, PG7 and PG9, which matplotlib's
    example "MRI with EEG" draws over ten seconds: 80 samples a second. Each
    channel has mean 0 and standard deviation 1, which is the unit; a sample
    ranges from -5.2 to 5.3. Nothing is known of the person and the microvolts.

    The series is split by time, into ten blocks of 80 samples. A fold tests on
    windows within its block and trains on windows within what is before it and
    within what is after it: no window reaches across an edge. Training on what
    came later is no look into the future here, as the folds compare networks
    and no sample is in both parts.

    Chance level: an RMSE of 1.0, the standard deviation of each channel.

    Baseline: an RMSE of 0.468 by saying that the sample stays as it was, and
    of 0.414 by scikit-learn's `Ridge(alpha=1.0)` on the last four samples of
    all channels. Both are means over the folds 0 to 9, at the last step of
    `load_eeg(steps=4)`.

    Args:
        steps: integer, samples of a window, from 1 to 79. Defaults to `20`.
        every: positive integer, samples from the start of a window to that of
            the next one. Defaults to `1`.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on block `s % 10`. Defaults to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: all are float32 of shape
        `(windows, steps, 4)`, and `y` is `x` one sample later.

    Raises:
        ValueError: if an argument is no integer or out of range, or if the
            file of figures is damaged.
        FileNotFoundError: if it is missing.

    Reference:
        - `data/eeg.md`: origin, licence and units.
        - [Bergmeir and Benitez, 2012](
          https://doi.org/10.1016/j.ins.2011.12.028): blocks of a series as
          folds.
    """
    most = _BLOCK - 1
    steps = check_integer(
        "steps", steps, 1, f"an integer from 1 to {most}", most
    )
    every = check_integer("every", every, 1, "a positive integer")
    block = check_seed("fold", fold) % FOLDS
    (samples,) = read_series("eeg")
    start, end = _BLOCK * block, _BLOCK * (block + 1)
    parts = samples[:start], samples[start:end], samples[end:]
    before, test, after = (_windows(part, steps, every) for part in parts)
    train = np.concatenate([before, after])
    return _pair(train), _pair(test)


def _windows(samples, steps, every):
    """Windows of shape `(windows, steps + 1, channels)`."""
    starts = np.arange(0, max(len(samples) - steps, 0), every)
    return samples[starts[:, np.newaxis] + np.arange(steps + 1)]


def _pair(windows):
    """Windows without their last sample, and without their first one."""
    return windows[:, :-1].copy(), windows[:, 1:].copy()


def load_monthly_stocks(names=None, fold=0):
    """Prices of eight shares and two indices in US dollars, month by month.

    390 months, from January 1990 to June 2022, in columns by their symbols at
    the exchange: `IBM`, `AAPL`, `MSFT`, `XRX`, `AMZN` (from June 1997),
    `DELL` (from September 2016), `GOOGL` (from September 2004), `ADBE`, and
    the indices `^GSPC` (S&P 500) and `^IXIC` (NASDAQ Composite), which are
    points rather than dollars. Prices of shares are adjusted for splits and
    dividends, so that only their ratios mean something. A price is that of the
    month's end; the last one, of June 2022, is that of the 28th.

    The series is split by time, and nobody looks into the future: a fold tests
    on 27 months and trains on all months before them. Fold 0 tests on January
    2000 and what follows, after 120 months of training; fold 9 tests on the
    last 27 months.

    Baseline: for `^GSPC` one month ahead, an RMSE of 0.043 of the price's
    logarithm by saying that it stays as it was, the mean over the folds 0
    to 9.

    Args:
        names: list of different column names. Defaults to `None`: all ten.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on span `s % 10`. Defaults to `0`.

    Returns:
        `(months, prices), (test_months, test_prices)`: months are
        `datetime64[M]` of shape `(n,)`, prices are float32 of shape
        `(n, names)`, NaN where there was no such share yet.

    Raises:
        ValueError: if `names` has an unknown name or one twice, if `fold` is
            no integer or negative, or if the file of figures is damaged.
        FileNotFoundError: if it is missing.

    Reference:
        - `data/monthly_stocks.md`: origin, licence and units.
    """
    months, prices = read_series("monthly_stocks")
    known = _columns("monthly_stocks")[1:]
    names = known if names is None else names
    is_list = isinstance(names, list | tuple) and len(names) > 0
    if not is_list or not all(
        name in known and names.count(name) == 1 for name in names
    ):
        listed = ", ".join(map(repr, known))
        raise invalid_argument(
            "names", f"a list of different names among {listed}", names
        )
    span = check_seed("fold", fold) % FOLDS
    start = len(months) - (FOLDS - span) * _SPAN
    prices = prices[:, [known.index(name) for name in names]]
    train, test = slice(0, start), slice(start, start + _SPAN)
    return (
        (months[train].copy(), prices[train].copy()),
        (months[test].copy(), prices[test].copy()),
    )


def load_co2(fold=0):
    """Carbon dioxide in the air above Hawaii, with a gap of four years.

    2,225 weekly averages from Mauna Loa, from March 1958 to December 2001, in
    parts per million (ppm), from 313.0 to 373.9. It rises, faster and faster,
    and swings by about three to either side in the course of a year.

    A fold leaves out four whole years and tests on them: fold 0 the years 1960
    to 1963, fold 9 the years 1996 to 1999. There are two years or nearly so on
    either side of every gap, so that it is filled rather than forecast.

    Chance level: an RMSE of 2.186 ppm, by a straight line from the last week
    before the gap to the first one after it.

    Baseline: an RMSE of 0.877 ppm by scikit-learn's `LinearRegression` on the
    time, its square, and the sines and cosines of one and two turns a year.
    Both are means over the folds 0 to 9.

    Args:
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on gap `s % 10`. Defaults to `0`.

    Returns:
        `(weeks, co2), (gap_weeks, gap_co2)`: weeks are `datetime64[D]` of
        shape `(n,)`, rising, and a few of them are missing; concentrations
        are float32 of shape `(n,)`.

    Raises:
        ValueError: if `fold` is no integer or negative, or if the file of
            figures is damaged.
        FileNotFoundError: if it is missing.

    Reference:
        - `data/co2.md`: origin, licence and units.
        - [Keeling et al., 1976](
          https://doi.org/10.1111/j.2153-3490.1976.tb00701.x)
    """
    weeks, figures = read_series("co2")
    start = 1960 + _GAP * (check_seed("fold", fold) % FOLDS)
    years = weeks.astype("datetime64[Y]").astype(int) + 1970
    gap = (start <= years) & (years < start + _GAP)
    co2 = figures[:, 0]
    return (weeks[~gap], co2[~gap]), (weeks[gap], co2[gap])


@functools.cache
def read_series(name):
    """The figures of a file, read once and read-only.

    Args:
        name: string, one of `SERIES`.

    Returns:
        A tuple of arrays: the months as `datetime64[M]` or the weeks as
        `datetime64[D]` where the file has them, and the figures as float32 of
        shape `(rows, columns)`.
    """
    rows = _rows(name)[1:]
    arrays = []
    unit = _DATES.get(_columns(name)[0])
    if unit:
        arrays.append(np.array([row[0] for row in rows], unit))
        rows = [row[1:] for row in rows]
    # An empty cell is a price that was not there yet.
    figures = [[float(cell or "nan") for cell in row] for row in rows]
    arrays.append(np.array(figures, "float32"))
    for array in arrays:
        array.flags.writeable = False
    return tuple(arrays)


def _columns(name):
    return _rows(name)[0]


@functools.cache
def _rows(name):
    """Cells of a file as text, after a look at its hash."""
    file = resources.files("kerasrecipes.data") / f"{name}.csv"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: install kerasrecipes again."
        )
    # A checkout may have another system's ends of lines.
    content = file.read_bytes().replace(b"\r\n", b"\n")
    digest = hashlib.sha256(content).hexdigest()
    if digest != SERIES[name]:
        raise ValueError(
            f"{file} is damaged: install kerasrecipes again. Its SHA-256 is "
            f"{digest}, expected {SERIES[name]}."
        )
    return list(csv.reader(content.decode("ascii").splitlines()))
