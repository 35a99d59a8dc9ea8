"""The n-gram model: what a language model has to be better than."""

import numpy as np

from kerasrecipes.checks import check_integer, invalid_input


class NGramModel:
    r"""Probabilities of the next sign, counted in a text.

    A sign :math:`s` is as probable after a context :math:`h`, the `order - 1`
    signs before it, as it was in the text. What was never there must not be
    impossible, so every context is mixed with the one that is a sign shorter,
    :math:`h'`, after Witten and Bell:

    .. math:: P(s \mid h) = \frac{c(h s) + k(h) \, P(s \mid h')}
        {c(h) + k(h)}

    with :math:`c` for how often something was in the text, and :math:`k(h)`
    for how many different signs came after :math:`h`. A context after which
    much was new is trusted less. Below the empty context all signs are equally
    probable. Where a context was never there, the shorter one decides.

    Example:

    ```python
    model = NGramModel(train, order=5, signs=28)
    probabilities = model.predict(test[:4])
    bits = model.bits(test).mean()
    ```

    Args:
        text: integers from 0 on, of shape `(length,)`: the text to count in.
        order: positive integer, the length of the longest n-gram: the sign and
            `order - 1` signs before it. Defaults to `5`.
        signs: positive integer, how many signs there are. Defaults to `None`:
            one more than the largest in `text`.

    Raises:
        ValueError: if an argument is not as described above, or if there are
            more possible n-grams than int64 can count.

    Reference:
        - [Witten and Bell, 1991](https://doi.org/10.1109/18.87000), their
          method C.
        - [Chen and Goodman, 1999](https://doi.org/10.1006/csla.1999.0128), who
          compare it with others.
    """

    def __init__(self, text, order=5, signs=None):
        text = _as_signs("text", text)
        if not len(text):
            raise invalid_input("text", "at least one sign", "none")
        largest = int(text.max())
        signs = largest + 1 if signs is None else signs
        expected = f"an integer above {largest}, the largest of the text"
        self.signs = check_integer("signs", signs, largest + 1, expected)
        most = int(63 / np.log2(max(self.signs, 2)))
        expected = f"an integer from 1 to {most} with {self.signs} signs"
        self.order = check_integer("order", order, 1, expected, most)
        self._levels = [
            self._count(text, length)
            for length in range(1, min(self.order, len(text)) + 1)
        ]

    def _count(self, text, length):
        """N-grams and contexts of a length that are in the text, counted."""
        windows = np.lib.stride_tricks.sliding_window_view(text, length)
        grams, counts = np.unique(self._key(windows), return_counts=True)
        contexts, places = np.unique(grams // self.signs, return_inverse=True)
        totals = np.bincount(places, counts)
        return grams, counts, contexts, totals, np.bincount(places)

    def _key(self, windows):
        """One integer for each row of signs."""
        powers = self.signs ** np.arange(windows.shape[-1])[::-1]
        return windows.astype("int64") @ powers

    def predict(self, contexts):
        """Probabilities of the next sign.

        Args:
            contexts: integers of shape `(length,)` or `(contexts, length)`,
                the signs before; of more than `order - 1` the last ones count.

        Returns:
            float64 array of shape `(signs,)` or `(contexts, signs)`.

        Raises:
            ValueError: if `contexts` are no signs.
        """
        contexts = _as_signs("contexts", contexts, self.signs, ranks=(1, 2))
        rows = np.atleast_2d(contexts)
        found = np.full((len(rows), self.signs), 1 / self.signs)
        for length, level in enumerate(self._levels):
            if length > rows.shape[1]:
                break
            grams, counts, known, totals, kinds = level
            key = self._key(rows[:, rows.shape[1] - length :])
            total, kind = _look_up(key, known, totals, kinds)
            key = key[:, np.newaxis] * self.signs + np.arange(self.signs)
            (count,) = _look_up(key, grams, counts)
            total, kind = total[:, np.newaxis], kind[:, np.newaxis]
            mixed = (count + kind * found) / np.maximum(total + kind, 1)
            found = np.where(total > 0, mixed, found)
        return found[0] if contexts.ndim == 1 else found

    def bits(self, text):
        """How many bits each sign of a text takes.

        Args:
            text: integers of shape `(length,)`, at least `order` of them.

        Returns:
            float64 array of shape `(length - order + 1,)`: minus the binary
            logarithm of the probability of each sign that has `order - 1`
            signs before it.

        Raises:
            ValueError: if `text` is too short, or holds what is no sign.
        """
        text = _as_signs("text", text, self.signs)
        if len(text) < self.order:
            expected = f"at least {self.order} signs"
            raise invalid_input("text", expected, f"{len(text)}")
        windows = np.lib.stride_tricks.sliding_window_view(text, self.order)
        found = self.predict(windows[:, :-1])
        return -np.log2(found[np.arange(len(found)), windows[:, -1]])


def _look_up(keys, known, *values):
    """The values of keys, 0 where a key is unknown."""
    places = np.searchsorted(known, keys).clip(max=len(known) - 1)
    is_known = known[places] == keys
    return [np.where(is_known, value[places], 0) for value in values]


def _as_signs(name, signs, count=np.inf, ranks=(1,)):
    """Signs as an array, or an error that names the argument."""
    signs = np.asarray(signs)
    if signs.ndim not in ranks:
        expected = f"an array of rank {' or '.join(map(str, ranks))}"
        raise invalid_input(name, expected, f"shape {signs.shape}")
    if signs.size and (
        signs.dtype.kind not in "iu" or signs.min() < 0 or signs.max() >= count
    ):
        most = "" if count == np.inf else f" to {count - 1}"
        expected = f"integers from 0{most or ' on'}"
        received = f"{signs.dtype} from {signs.min()} to {signs.max()}"
        raise invalid_input(name, expected, received)
    return signs.astype("int64")
