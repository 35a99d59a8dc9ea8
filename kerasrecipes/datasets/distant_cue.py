"""A cue at the start of long sequences, and windows for stateful networks."""

import numbers

import numpy as np


def make_distant_cue(sequences, steps, marked=False, seed=0):
    """Sequences of random signs whose label is the sign of the first step.

    Every step holds a sign, +1 or -1 with equal chances and independent of
    all others. The label says which the first one was, the cue: all signs
    after it only distract. Cut into windows (see `cut_windows`), the task
    cannot be solved by a network that sees one window at a time: from the
    second window on nothing in a window tells anything of the label.

    Without a mark the cue looks like every other sign, so that a network has
    to know where a sequence begins. With a mark a second feature says so.

    Chance level: an accuracy of 0.5, in every window but the first also the
    best that can be reached without what came before.

    Args:
        sequences: positive integer, how many.
        steps: integer, the length of each, at least 2.
        marked: boolean, whether the second feature is 1 at the cue rather than
            0 throughout. Defaults to `False`.
        seed: integer from 0 to 2 ** 32 - 1. Equal seeds give equal signs,
            with a mark or without. Defaults to `0`.

    Returns:
        `x, y`: `x` is float32 of shape `(sequences, steps, 2)`, the sign (-1
        or 1) and the mark (0 or 1); `y` is int32 of shape `(sequences,)`, 1
        where the first sign is +1, else 0.

    Raises:
        ValueError: if an argument is not as described above.
    """
    _check_integer("sequences", sequences, 1, "a positive integer")
    _check_integer("steps", steps, 2, "an integer of at least 2")
    if not isinstance(marked, (bool, np.bool_)):
        raise _invalid("marked", "a boolean", marked)
    expected = "an integer from 0 to 2 ** 32 - 1"
    _check_integer("seed", seed, 0, expected, 2**32 - 1)
    # NumPy keeps the stream of this older generator the same in every version,
    # and recorded results need the same sequences again.
    generator = np.random.RandomState(seed)
    x = np.zeros((sequences, steps, 2), "float32")
    signs = generator.randint(2, size=(sequences, steps), dtype="int64")
    x[..., 0] = 2 * signs - 1
    x[:, 0, 1] = marked
    return x, (x[:, 0, 0] > 0).astype("int32")


def cut_windows(x, y, windows, batch_size):
    """Cuts sequences into windows, in the order that carried state needs.

    A stateful layer starts row `i` of a batch from the state in which row `i`
    of the batch before it ended. So the first batch holds the first windows
    of `batch_size` sequences, the next batch their second windows in the same
    rows, and so on; after `windows` batches the next sequences begin, and the
    state has to be reset:

    ```
    batch 0:  sequence 0, window 0    batch 1:  sequence 0, window 1    ...
              sequence 1, window 0              sequence 1, window 1
    ```

    Give them to `fit`, `evaluate` or `predict` with this `batch_size`, and to
    `fit` with `shuffle=False`. What `predict` returns, in the shape
    `(sequences // batch_size, windows, batch_size, ...)`, has an axis for the
    window.

    Args:
        x: array of shape `(sequences, steps, ...)`.
        y: array of shape `(sequences, ...)`, the targets. Each goes with all
            windows of its sequence.
        windows: positive integer that divides `steps`, the number of windows
            in a sequence.
        batch_size: positive integer that divides `sequences`.

    Returns:
        `x, y`: arrays of shape `(sequences * windows, steps // windows, ...)`
        and `(sequences * windows, ...)`, of the same types.

    Raises:
        ValueError: if the sizes are not as described above.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim < 2:
        raise ValueError(
            "Invalid value for argument `x`: expected an array of shape "
            f"(sequences, steps, ...). Received: shape {x.shape}"
        )
    sequences, steps, *features = x.shape
    if y.shape[:1] != (sequences,):
        raise ValueError(
            "Invalid value for argument `y`: expected a target for each of "
            f"{sequences} sequences. Received: shape {y.shape}"
        )
    for name, value, whole, what in (
        ("windows", windows, steps, "steps"),
        ("batch_size", batch_size, sequences, "sequences"),
    ):
        expected = f"a positive integer that divides the {whole} {what}"
        _check_integer(name, value, 1, expected)
        if whole % value:
            raise _invalid(name, expected, value)
    groups = sequences // batch_size
    x = x.reshape(groups, batch_size, windows, steps // windows, *features)
    x = x.swapaxes(1, 2).reshape(-1, steps // windows, *features)
    y = y.reshape(groups, 1, batch_size, *y.shape[1:])
    y = np.repeat(y, windows, axis=1)
    return x, y.reshape(-1, *y.shape[3:])


def _invalid(argument, expected, value):
    return ValueError(
        f"Invalid value for argument `{argument}`: expected {expected}. "
        f"Received: {argument}={value!r}"
    )


def _check_integer(argument, value, least, expected, most=None):
    is_integer = isinstance(value, numbers.Integral)
    is_integer &= not isinstance(value, bool)
    too_large = is_integer and most is not None and value > most
    if not is_integer or value < least or too_large:
        raise _invalid(argument, expected, value)
