"""What tells one version of a data set from another."""

import hashlib

from kerasrecipes.checks import invalid_argument
from kerasrecipes.datasets.bundled import BUNDLED, read_bundled
from kerasrecipes.datasets.docstrings import read_docstrings
from kerasrecipes.datasets.series import SERIES, read_series

# Data sets that are made of another one by a rule.
_SOURCES = {
    "characters": "docstrings",
    "cluttered_digits": "digits",
    "digit_clips": "digits",
    "eeg_ahead": "eeg",
    "sequential_digits": "digits",
}


def data_hash(name):
    """SHA-256 of a data set as it was read, to be kept with results.

    Args:
        name: string, one of `"breast_cancer"`, `"characters"`,
            `"cluttered_digits"`, `"co2"`, `"diabetes"`, `"digit_clips"`,
            `"digits"`, `"docstrings"`, `"eeg"`, `"eeg_ahead"`, `"iris"`,
            `"monthly_stocks"`, `"sequential_digits"`, `"wine"`. The
            docstrings, and with them the characters, are those of the
            installed packages, and change with their versions.

    Returns:
        A string of 64 hexadecimal digits, over the type, the shape and the
        bytes of the inputs and then of the targets, or of a series' dates
        and then of its figures.

    Raises:
        ValueError: if `name` is none of these.
    """
    known = tuple(sorted([*BUNDLED, *SERIES, *_SOURCES, "docstrings"]))
    if name not in known:
        names = ", ".join(map(repr, known))
        raise invalid_argument("name", f"one of {names}", name)
    digest = hashlib.sha256()
    for array in _read(_SOURCES.get(name, name)):
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(name):
    """The arrays that a data set is made of."""
    if name == "docstrings":
        return read_docstrings()
    return read_series(name) if name in SERIES else read_bundled(name)
