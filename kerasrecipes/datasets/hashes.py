"""What tells one version of a data set from another."""

import hashlib

from kerasrecipes.datasets.bundled import BUNDLED, read_bundled
from kerasrecipes.datasets.docstrings import read_docstrings


def data_hash(name):
    """SHA-256 of a data set as it was read, to be kept with results.

    Args:
        name: string, one of `"breast_cancer"`, `"diabetes"`, `"digits"`,
            `"docstrings"`, `"iris"`, `"wine"`. The docstrings are those of
            the installed packages, and change with their versions.

    Returns:
        A string of 64 hexadecimal digits, over the type, the shape and the
        bytes of the inputs and then of the targets.

    Raises:
        ValueError: if `name` is none of these.
    """
    known = tuple(sorted([*BUNDLED, "docstrings"]))
    if name not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(
            f"Invalid value for argument `name`: expected one of {names}. "
            f"Received: name={name!r}"
        )
    digest = hashlib.sha256()
    is_text = name == "docstrings"
    for array in read_docstrings() if is_text else read_bundled(name):
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
