"""What validation_split does, apart from the recipe's own three cases."""

import math

import numpy as np
import pytest

from kerasrecipes.recipes.preparation.validation_split import (
    losses_of_rows,
    measure,
)


@pytest.mark.parametrize("rows", [2, 7, 33])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_the_last_rows_are_held_back_rounded_up(rows, share):
    x = 2.0 ** -np.arange(rows, dtype="float32")[:, None]  # all sums differ
    kept = math.floor(rows * (1 - share))
    if kept == 0:
        with pytest.raises(ValueError, match="validation_split"):
            losses_of_rows(x, share)
        return
    loss, val_loss = losses_of_rows(x, share)
    # Keras adds up in float32.
    np.testing.assert_allclose(loss, np.mean(x[:kept] ** 2), rtol=1e-5)
    np.testing.assert_allclose(val_loss, np.mean(x[kept:] ** 2), rtol=1e-5)


def test_facts():
    found = measure(seed=3)
    assert found["losses off"] < 1e-5
    assert found["accuracy on the last class"] == 0.0
    assert found["a generator is refused"] == 1.0
