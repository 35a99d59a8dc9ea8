"""The split: disjoint test parts, nested subsets, the same in every process."""

import hashlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import FOLDS
from kerasrecipes.datasets.folds import fold_indices

# Every class has a member in each fold, as in the sets that we bundle.
class_counts = st.lists(st.integers(10, 40), min_size=1, max_size=5)
quantities = st.integers(10, 80).map(lambda size: np.linspace(0, 1, size))
folds = st.integers(0, 2**32 - 1)

few_runs = settings(max_examples=25, deadline=None)


@st.composite
def classes(draw):
    labels = np.repeat(*np.array([*enumerate(draw(class_counts))]).T)
    return np.random.RandomState(draw(st.integers(0, 9))).permutation(labels)


def least_examples(y):
    return len(np.unique(y)) if y.dtype.kind == "i" else 1


def digest_of_folds():
    """Hash of the indices of twenty folds, for classes and for a quantity."""
    digest = hashlib.sha256()
    for y in (np.arange(300) % 7 % 5, np.linspace(0, 1, 150)):
        for fold in range(2 * FOLDS):
            for indices in fold_indices(y, examples=50, fold=fold):
                digest.update(indices.astype("<i8").tobytes())
    return digest.hexdigest()


@few_runs
@given(st.one_of(classes(), quantities), folds)
def test_a_fold_is_a_partition(y, fold):
    train, test = fold_indices(y, fold=fold)
    together = np.sort(np.concatenate([train, test]))
    np.testing.assert_array_equal(together, np.arange(len(y)))


@few_runs
@given(st.one_of(classes(), quantities), st.integers(0, 99))
def test_ten_seeds_test_on_every_example_once(y, shuffle):
    seeds = range(shuffle * FOLDS, (shuffle + 1) * FOLDS)
    parts = [fold_indices(y, fold=seed)[1] for seed in seeds]
    together = np.sort(np.concatenate(parts))
    np.testing.assert_array_equal(together, np.arange(len(y)))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_another_shuffle_has_other_parts():
    y = np.arange(200) % 4
    first, second = (fold_indices(y, fold=fold)[1] for fold in (3, 13))
    assert not np.array_equal(first, second)


@few_runs
@given(classes(), st.integers(0, 9))
def test_test_parts_hold_the_classes_in_their_shares(y, shuffle):
    seeds = range(shuffle * FOLDS, (shuffle + 1) * FOLDS)
    counts = np.array(
        [np.bincount(y[fold_indices(y, fold=seed)[1]]) for seed in seeds]
    )
    assert np.ptp(counts, axis=0).max() <= 1


@few_runs
@given(st.one_of(classes(), quantities), folds, st.data())
def test_smaller_subsets_lie_within_larger_ones(y, fold, data):
    whole, test = fold_indices(y, fold=fold)
    sizes = st.integers(least_examples(y), len(whole))
    small, large = sorted([data.draw(sizes), data.draw(sizes)])
    subset, same_test = fold_indices(y, small, fold)
    superset, _ = fold_indices(y, large, fold)
    assert len(set(subset)) == small
    assert set(subset) <= set(superset) <= set(whole)
    np.testing.assert_array_equal(same_test, test)


@few_runs
@given(classes(), folds)
def test_subsets_are_as_balanced_as_can_be(y, fold):
    """Each example more goes to the class with the highest quotient.

    That is Sainte-Laguë's rule as parliaments use it, step by step, where
    the code computes all places at once.
    """
    train = fold_indices(y, fold=fold)[0]
    members = np.bincount(y[train])
    seats = np.bincount(y[fold_indices(y, len(members), fold)[0]])
    np.testing.assert_array_equal(seats, 1)
    for examples in range(len(members) + 1, min(40, len(train)) + 1):
        taken = np.bincount(y[fold_indices(y, examples, fold)[0]])
        (winner,) = np.flatnonzero(taken - seats)
        quotients = members / (2 * seats + 1)
        assert quotients[winner] == pytest.approx(quotients.max())
        seats = taken


def test_all_examples_and_none_are_the_same():
    y = np.arange(100) % 3
    np.testing.assert_array_equal(
        fold_indices(y, 90, fold=4)[0], fold_indices(y, fold=4)[0]
    )


def test_training_order_is_mixed():
    """Keras' `validation_split` takes the last rows: they hold all classes."""
    y = np.repeat([0, 1, 2], 100)
    train = fold_indices(y, fold=0)[0]
    assert set(y[train[-20:]]) == {0, 1, 2}
    assert not np.array_equal(train, np.sort(train))


def test_integers_of_numpy_are_integers():
    y = np.arange(100) % 3
    same = zip(
        fold_indices(y, np.int64(20), np.uint8(7)),
        fold_indices(y, 20, 7),
        strict=True,
    )
    assert all(np.array_equal(one, other) for one, other in same)


def test_folds_are_those_of_the_recorded_results():
    """Where this fails, every recorded result must be recorded again."""
    assert digest_of_folds() == (
        "ea383b829471698f6f48c04a783cc565f4113d1ad5561e42c3872538b6b6a965"
    )


def test_folds_are_the_same_in_another_process():
    script = "from test_folds import digest_of_folds; print(digest_of_folds())"
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=os.path.dirname(__file__),
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == digest_of_folds()


@pytest.mark.parametrize("fold", [-1, 2**32, 1.0, True, "1", None])
def test_bad_folds_are_refused(fold):
    message = (
        "Invalid value for argument `fold`: expected a non-negative integer "
        f"below 2 ** 32. Received: fold={fold!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fold_indices(np.arange(30) % 3, fold=fold)


@pytest.mark.parametrize("examples", [-1, 0, 2, 28, 5.0, True, "5"])
def test_bad_numbers_of_examples_are_refused(examples):
    message = (
        "Invalid value for argument `examples`: expected an integer between "
        "3 and 27 (the size of the training part). "
        f"Received: examples={examples!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fold_indices(np.arange(30) % 3, examples=examples)
