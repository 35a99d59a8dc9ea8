"""Orders of the curriculum, and its sequences, by hand."""

import numpy as np
import pytest

from kerasrecipes.recipes.preparation import curriculum as recipe


def lessons(mix, is_reversed=False, shortest=4, sequences=1300, seed=5):
    return recipe.make_lessons(sequences, mix, is_reversed, shortest, seed)


@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_sums_of_the_marked_numbers(mix):
    x, y, lengths = lessons(mix)
    for sequence, total, length in zip(x, y, lengths, strict=True):
        assert not sequence[:-length].any()
        numbers, marks = sequence[-length:].T
        assert marks.sum() == 2
        assert numbers[marks == 1].sum() == pytest.approx(total[0], abs=1e-6)


def test_each_length_as_often_as_any_other():
    _, _, lengths = lessons(1.0)
    assert np.bincount(lengths)[4:].tolist() == [100] * 13


def test_strict_curricula_are_sorted():
    _, _, easy = lessons(0.0)
    _, _, hard = lessons(0.0, is_reversed=True)
    assert np.all(np.diff(easy) >= 0)
    assert np.all(np.diff(hard) <= 0)


def test_a_random_order_is_no_curriculum():
    _, _, lengths = lessons(1.0)
    # A correlation of 1,300 random pairs has a standard error of 0.028.
    assert abs(np.corrcoef(lengths, np.arange(1300))[0, 1]) < 0.1


def test_a_stochastic_curriculum_is_in_between():
    """Sums of two even numbers in [0, 1]: one is correlated by 0.707."""
    _, _, lengths = lessons(0.5, sequences=13_000)
    found = np.corrcoef(lengths, np.arange(13_000))[0, 1]
    # The rank of a sum is all but a linear function of it.
    assert found == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_hard_only_has_the_longest_alone():
    _, _, lengths = lessons(1.0, shortest=16)
    assert set(lengths) == {16}


def test_equal_lengths_are_in_no_order():
    """Strictly sorted, a seed's order within a length is still its own."""
    first, second = (lessons(0.0, seed=seed)[1] for seed in (5, 6))
    assert not np.array_equal(first, second)
    again = lessons(0.0, seed=5)[1]
    np.testing.assert_array_equal(first, again)
