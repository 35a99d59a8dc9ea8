"""Codes of the recipe against scikit-learn's and Keras' own."""

import numpy as np
import pytest
from keras import layers
from sklearn.preprocessing import OneHotEncoder

from kerasrecipes.recipes.preparation.one_hot import (
    from_one_hot,
    measure,
    one_hot,
)

STRINGS = np.array(["pear", "fig", "apple", "fig", "Fig", "quince"])


def test_equals_scikit_learn():
    encoder = OneHotEncoder(sparse_output=False).fit(STRINGS[:, None])
    rows = one_hot(STRINGS, np.unique(STRINGS))
    np.testing.assert_array_equal(rows, encoder.transform(STRINGS[:, None]))
    back = from_one_hot(rows, np.unique(STRINGS))
    np.testing.assert_array_equal(back, encoder.inverse_transform(rows).ravel())


def test_equals_string_lookup():
    categories = np.unique(STRINGS)
    lookup = layers.StringLookup(
        vocabulary=categories.tolist(), num_oov_indices=0, output_mode="one_hot"
    )
    rows = np.array(lookup(STRINGS.tolist()))
    np.testing.assert_array_equal(one_hot(STRINGS, categories), rows)


def test_one_string_of_many_categories():
    rows = one_hot(["fig"], np.unique(STRINGS))
    np.testing.assert_array_equal(rows, [[0, 0, 1, 0, 0]])


@pytest.mark.parametrize("unseen", [["plum"], ["PEAR", "plum"], [""]])
def test_unseen_categories_are_named(unseen):
    with pytest.raises(ValueError) as error:
        one_hot(["fig", *unseen], np.unique(STRINGS))
    assert str(error.value) == (
        "Invalid value for argument `strings`: expected categories among "
        "['Fig', 'apple', 'fig', 'pear', 'quince']. "
        f"Received: {sorted(unseen)}"
    )


def test_facts():
    found = measure(seed=12)
    assert found["the unseen category is named"] == 1.0
    assert found["wrong after the round trip"] == 0.0
    for score in ("losses", "weights", "embedding"):
        assert found[score] <= 1e-6
