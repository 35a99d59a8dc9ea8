"""Two-sided tasks: labels by hand, and what one side alone can tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import make_marked_words, make_share_of_sum

DECIDED_BY = ("next", "previous", "both")
few_runs = settings(max_examples=25, deadline=None)
lengths = st.integers(2, 9)
seeds = st.integers(0, 2**32 - 1)


def tags_by_hand(words, decided_by):
    """Tag of each word of one sequence; None at a mark."""
    tags = []
    for step, word in enumerate(words):
        before = [mark for mark in words[:step] if mark < 3]
        after = [mark for mark in words[step + 1 :] if mark < 3]
        if word < 3:
            tags.append(None)
        elif decided_by == "both":
            tags.append(int(before[-1] == after[0]))
        else:
            mark = after[0] if decided_by == "next" else before[-1]
            tags.append(int(mark == 2))
    return tags


@few_runs
@given(lengths, st.sampled_from(DECIDED_BY), seeds)
def test_tags_of_words(length, decided_by, seed):
    x, y, weights = make_marked_words(7, length, decided_by, seed)
    for words, tags, counted in zip(x, y, weights, strict=True):
        by_hand = tags_by_hand(words.tolist(), decided_by)
        assert [tag is not None for tag in by_hand] == (counted == 1).tolist()
        assert [tag or 0 for tag in by_hand] == tags.tolist()


@few_runs
@given(lengths, st.floats(0.01, 0.99), seeds)
def test_labels_of_a_sum(length, share, seed):
    x, y, _ = make_share_of_sum(7, length, share, seed)
    for values, labels in zip(x[:, :, 0].astype(float), y, strict=True):
        total = sum(values.tolist())
        for step in range(length):
            margin = sum(values[: step + 1].tolist()) - share * total
            if abs(margin) > 1e-12:
                assert labels[step] == (margin > 0)
        assert np.all(np.diff(labels) >= 0) and labels[-1] == 1


def test_shapes_types_and_ranges():
    x, y, weights = make_share_of_sum(500, 5)
    assert x.shape == (500, 5, 1) and y.shape == weights.shape == (500, 5)
    assert (x.dtype, y.dtype, weights.dtype) == ("float32", "int32", "float32")
    assert x.min() >= 0 and x.max() <= 1 and np.all(weights == 1)

    x, y, weights = make_marked_words(500, 5)
    assert x.shape == y.shape == weights.shape == (500, 5)
    assert (x.dtype, y.dtype, weights.dtype) == ("int32", "int32", "float32")
    assert set(np.unique(x)) == set(range(1, 11))
    assert np.all(x[:, [0, -1]] < 3)
    np.testing.assert_array_equal(weights, x > 2)


def test_seeds():
    for make in (make_share_of_sum, make_marked_words):
        first, again, other = (make(20, seed=seed) for seed in (3, 3, 4))
        for one, two in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, two)
        assert not np.array_equal(first[0], other[0])


def test_what_decides_does_not_change_the_words():
    sets = [make_marked_words(20, decided_by=one) for one in DECIDED_BY]
    for x, _, weights in sets[1:]:
        np.testing.assert_array_equal(x, sets[0][0])
        np.testing.assert_array_equal(weights, sets[0][2])
    assert not np.array_equal(sets[0][1], sets[1][1])


def test_chance_levels_of_a_sum():
    """The numbers of the docstring, each in its second digit."""
    x, y, _ = make_share_of_sum(50_000)
    past = x[:, :, 0].cumsum(axis=1)
    future = past[:, -1:] - past
    by_position = y.mean(axis=0)
    assert abs(y.mean() - 0.54) < 0.01
    assert abs(np.maximum(by_position, 1 - by_position).mean() - 0.85) < 0.01
    # What is to come does not depend on what was: its median divides best.
    forward = (past >= np.median(future, axis=0)) == y
    assert abs(forward.mean() - 0.90) < 0.01
    here = x[:, :, 0]
    backward = (future <= np.median(past - here, axis=0) + here) == y
    assert abs(backward.mean() - 0.90) < 0.01


@pytest.mark.parametrize("decided_by", DECIDED_BY)
def test_one_side_does_not_tell_a_tag(decided_by):
    x, y, weights = make_marked_words(100_000, 6, decided_by)
    middle = (weights[:, 2] == 1) & (x[:, 1] < 3) & (x[:, 3] < 3)
    before, after, tag = x[middle, 1], x[middle, 3], y[middle, 2]
    assert abs(np.average(y, weights=weights) - 0.5) < 0.01
    for side, tells in ((before, "previous"), (after, "next")):
        means = [tag[side == mark].mean() for mark in (1, 2)]
        if decided_by == tells:
            assert means == [0, 1]
        else:
            np.testing.assert_allclose(means, 0.5, atol=0.05)


@pytest.mark.parametrize("make", [make_share_of_sum, make_marked_words])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"sequences": 0}, "a positive integer. Received: sequences=0"),
        ({"sequences": 2.5}, "a positive integer. Received: sequences=2.5"),
        ({"length": 1}, "an integer of at least 2. Received: length=1"),
        ({"length": True}, "an integer of at least 2. Received: length=True"),
        ({"seed": -1}, "a non-negative integer below 2 ** 32. Received: seed"),
    ],
)
def test_bad_arguments(make, arguments, expected):
    (name,) = arguments
    message = f"Invalid value for argument `{name}`: expected {expected}"
    with pytest.raises(ValueError) as caught:
        make(**{"sequences": 3, **arguments})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("share", [0, 1, -0.5, "half", None, float("nan")])
def test_bad_share(share):
    with pytest.raises(ValueError) as caught:
        make_share_of_sum(3, share=share)
    assert str(caught.value) == (
        "Invalid value for argument `share`: expected a number between 0 and "
        f"1. Received: share={share!r}"
    )


def test_bad_decided_by():
    with pytest.raises(ValueError) as caught:
        make_marked_words(3, decided_by="last")
    assert str(caught.value) == (
        "Invalid value for argument `decided_by`: expected one of ('next', "
        "'previous', 'both'). Received: decided_by='last'"
    )
