"""Beam search: the most probable answers of a network that writes by steps."""

import keras
import numpy as np

from kerasrecipes.checks import check_integer, invalid_argument, invalid_input


def beam_search(step, states, start, end, length, width=4):
    r"""Writes the most probable sequences, sign by sign, several at a time.

    A network that writes one sign after another gives the probability of a
    whole sequence :math:`y` as a product,

    .. math:: \log P(y) = \sum_t \log P(y_t \mid y_1, \ldots, y_{t-1})

    Whoever takes the most probable sign at every step, the greedy way, can end
    with a sequence that is not the most probable one. A beam carries on the
    `width` best beginnings: all of them are continued by every sign, and of
    what results the best `width` are kept. A sequence that has its `end` stays
    as it is, and competes with the others by its probability. Width 1 is the
    greedy way; a beam that is wide enough for all beginnings finds the best.

    All beginnings of all sequences of a batch are rows of one call of `step`.

    Example:

    ```python
    def step(signs, states):
        logits, *states = decoder([signs[:, None], *states])
        return keras.ops.log_softmax(logits[:, -1]), states

    answers, log_probabilities = beam_search(
        step, encoder(questions), start=11, end=11, length=4
    )
    best = answers[:, 0]
    ```

    Args:
        step: callable that is given the last signs, an int32 tensor of shape
            `(rows,)`, and the states, tensors as well. It returns the log
            probabilities of the next sign, of shape `(rows, signs)`, and the
            states behind it.
        states: array, or a list, tuple or dict of arrays, at least one, with
            one row for each sequence to write: what the first call of `step`
            needs. Also what stays the same, such as the memory of an encoder,
            belongs to it.
        start: integer, the sign that `step` is first given.
        end: integer, the sign that ends a sequence, and fills up its row.
        length: positive integer, how many signs a sequence has at most.
        width: positive integer, how many beginnings are kept. Defaults to `4`.

    Returns:
        `sequences, log_probabilities`: int32 of shape `(batch, width, length)`
        and float64 of shape `(batch, width)`, the best first. Where there are
        fewer sequences than `width`, the rest has a log probability of minus
        infinity.

    Raises:
        ValueError: if `length` or `width` is no positive integer, if `start`
            or `end` is no sign, or if the states have different numbers of
            rows.

    Reference:
        - [Sutskever, Vinyals and Le, 2014](https://arxiv.org/abs/1409.3215),
          section 3.2.
    """
    length = check_integer("length", length, 1, "a positive integer")
    width = check_integer("width", width, 1, "a positive integer")
    start = check_integer("start", start, 0, "a non-negative integer")
    end = check_integer("end", end, 0, "a non-negative integer")
    shapes = [tuple(state.shape) for state in keras.tree.flatten(states)]
    counts = {shape[0] if shape else 0 for shape in shapes}
    if len(counts) != 1 or counts == {0}:
        expected = "arrays with the same number of rows, at least one"
        raise invalid_input("states", expected, f"shapes {shapes}")
    (batch,) = counts

    states = _take(states, np.repeat(np.arange(batch), width))
    sequences = np.full((batch, width, length), end, "int32")
    # All rows of a sequence begin alike: only one of them may go on.
    totals = np.full((batch, width), -np.inf)
    totals[:, 0] = 0.0
    signs = np.full(batch * width, start, "int32")
    is_over = np.zeros((batch, width), bool)
    for place in range(length):
        found, states = step(keras.ops.convert_to_tensor(signs), states)
        found = keras.ops.convert_to_numpy(found).astype("float64")
        count = found.shape[-1]
        if end >= count:
            raise invalid_argument("end", f"an integer below {count}", end)
        found = found.reshape(batch, width, count)
        stays = np.where(np.arange(count) == end, 0.0, -np.inf)
        found = np.where(is_over[:, :, np.newaxis], stays, found)
        candidates = (totals[:, :, np.newaxis] + found).reshape(batch, -1)
        # Stable, so that of equal signs the first is taken, as argmax does.
        best = np.argsort(-candidates, axis=1, kind="stable")[:, :width]
        totals = np.take_along_axis(candidates, best, axis=1)
        parents, written = np.divmod(best, count)
        sequences = np.take_along_axis(
            sequences, parents[:, :, np.newaxis], axis=1
        )
        sequences[:, :, place] = written
        is_over = written == end
        signs = written.ravel().astype("int32")
        rows = np.arange(batch)[:, np.newaxis] * width + parents
        states = _take(states, rows.ravel())
        if is_over.all():
            break
    return sequences, totals


def _take(states, rows):
    """These rows of every array, as tensors."""
    return keras.tree.map_structure(
        lambda state: keras.ops.take(state, rows, axis=0), states
    )
