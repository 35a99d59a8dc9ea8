"""Step imbalance, and rows that are left out or repeated."""

import re

import numpy as np
import pytest

from kerasrecipes.datasets import sample_rows, step_counts

LABELS = np.random.default_rng(4).permutation(np.repeat([0, 1, 2], [4, 30, 9]))


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_half_of_the_classes_are_rare(classes):
    counts = step_counts(100, classes, ratio=30, seed=3)
    assert counts.shape == (classes,)
    assert sorted(counts) == classes // 2 * [3] + (classes + 1) // 2 * [100]
    np.testing.assert_array_equal(step_counts(100, classes, 1), 100)
    again = step_counts(100, classes, ratio=np.int64(30), seed=3)
    np.testing.assert_array_equal(counts, again)


def test_every_class_is_rare_for_some_seed():
    rare = [step_counts(10, 6, 10, seed=seed) == 1 for seed in range(200)]
    # A share of 200 halves has the standard error 0.035.
    assert np.abs(np.mean(rare, axis=0) - 0.5).max() < 0.18


@pytest.mark.parametrize("kind", ["uint8", "int32", "uint64"])
def test_types_of_labels(kind):
    rows = sample_rows(LABELS, [4, 40, 2], seed=1)
    labels = LABELS.astype(kind)
    np.testing.assert_array_equal(sample_rows(labels, [4, 40, 2], 1), rows)


@pytest.mark.parametrize("counts", [[4, 4, 4], [30, 30, 30], [2, 40, 0]])
def test_counts_and_rows(counts):
    rows = sample_rows(LABELS, counts, seed=1)
    np.testing.assert_array_equal(LABELS[rows], np.repeat(range(3), counts))
    for label, count in enumerate(counts):
        taken = rows[LABELS[rows] == label]
        there = np.bincount(LABELS)[label]
        # None twice where there are enough; else none is left out.
        assert len(set(taken)) == min(count, there)
    np.testing.assert_array_equal(rows, sample_rows([*LABELS], counts, seed=1))
    assert not np.array_equal(rows, sample_rows(LABELS, counts, seed=2))


def test_rows_are_equally_likely():
    """3 of 4 rows each, then 2 copies among 4, from 2,000 seeds."""
    under = [sample_rows(LABELS, [3, 0, 0], seed=seed) for seed in range(2000)]
    over = [
        sample_rows(LABELS, [6, 0, 0], seed=seed)[4:] for seed in range(2000)
    ]
    for drawn, each in ((under, 1500), (over, 1000)):
        _, times = np.unique(drawn, return_counts=True)
        assert len(times) == 4
        assert np.abs(times - each).max() < 5 * np.sqrt(each)


def test_rows_are_those_of_the_recorded_results():
    """Where this fails, every recorded result must be recorded again."""
    assert step_counts(50, 6, 10, seed=7).tolist() == [5, 50, 50, 5, 50, 5]
    y = [0, 1, 1, 1, 1, 0]
    assert sample_rows(y, [4, 3], seed=7).tolist() == [0, 5, 0, 5, 4, 2, 1]


@pytest.mark.parity
def test_parity_with_imbalanced_learn():
    """The same counts, from rows of the right classes alone."""
    reason = "needs imbalanced-learn"
    over = pytest.importorskip("imblearn.over_sampling", reason=reason)
    under = pytest.importorskip("imblearn.under_sampling", reason=reason)
    x = np.arange(len(LABELS))[:, np.newaxis]
    for sampler, count in (
        (over.RandomOverSampler(random_state=0), 30),
        (under.RandomUnderSampler(random_state=0), 4),
    ):
        rows, labels = sampler.fit_resample(x, LABELS)
        rows = rows[:, 0]
        ours = sample_rows(LABELS, [count] * 3, seed=0)
        np.testing.assert_array_equal(
            np.bincount(labels), np.bincount(LABELS[ours])
        )
        np.testing.assert_array_equal(LABELS[rows], labels)
        for label in range(3):
            theirs, own = rows[labels == label], ours[LABELS[ours] == label]
            # As many different rows: all of them, or none of them twice.
            assert len(set(theirs)) == len(set(own))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"frequent": 0}, "a positive integer. Received: frequent=0"),
        ({"classes": 1}, "an integer of at least 2. Received: classes=1"),
        (
            {"ratio": 11},
            "an integer from 1 to 10 (`frequent`). Received: ratio=11",
        ),
        (
            {"ratio": 2.5},
            "an integer from 1 to 10 (`frequent`). Received: ratio=2.5",
        ),
        (
            {"seed": -1},
            "a non-negative integer below 2 ** 32. Received: seed=-1",
        ),
    ],
)
def test_bad_arguments_of_step_counts(bad, message):
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        step_counts(**{"frequent": 10, "classes": 4, "ratio": 2, **bad})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"y": [0.5, 1.0]},
            "an array of integers from 0 of shape (n,). "
            "Received: y=array([0.5, 1. ])",
        ),
        (
            {"y": [-1, 1]},
            "an array of integers from 0 of shape (n,). "
            "Received: y=array([-1,  1])",
        ),
        (
            {"y": [[1]]},
            "an array of integers from 0 of shape (n,). "
            "Received: y=array([[1]])",
        ),
        (
            {"y": [[0], [0, 1]]},
            "an array of integers from 0 of shape (n,). "
            "Received: y=[[0], [0, 1]]",
        ),
        (
            {"counts": [1, -1]},
            "a sequence of non-negative integers, at least one. "
            "Received: counts=[1, -1]",
        ),
        (
            {"counts": 3},
            "a sequence of non-negative integers, at least one. "
            "Received: counts=3",
        ),
        (
            {"counts": []},
            "a sequence of non-negative integers, at least one. "
            "Received: counts=[]",
        ),
        (
            {"counts": [1]},
            "a count for each of 2 classes. Received: counts=[1]",
        ),
        (
            {"counts": [1, 1, 1]},
            "0 for class 2, which `y` lacks. Received: counts=[1, 1, 1]",
        ),
        (
            {"counts": [1, 1, 0, 1]},
            "0 for class 3, which `y` lacks. Received: counts=[1, 1, 0, 1]",
        ),
        (
            {"seed": 0.5},
            "a non-negative integer below 2 ** 32. Received: seed=0.5",
        ),
    ],
)
def test_bad_arguments_of_sample_rows(bad, message):
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sample_rows(**{"y": [0, 1, 1], "counts": [1, 1], **bad})
