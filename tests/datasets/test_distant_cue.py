"""The distant cue: what its docstring says is true, and windows in order."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.datasets import cut_windows, make_distant_cue

few_runs = settings(max_examples=30, deadline=None, derandomize=True)


@pytest.mark.parametrize("marked", [False, True])
def test_shapes_types_and_ranges(marked):
    x, y = make_distant_cue(500, 7, marked, seed=3)
    assert x.shape == (500, 7, 2) and x.dtype == "float32"
    assert y.shape == (500,) and y.dtype == "int32"
    assert set(np.unique(x[..., 0])) == {-1.0, 1.0}
    assert set(np.unique(y)) == {0, 1}
    mark = np.zeros((500, 7))
    mark[:, 0] = marked
    np.testing.assert_array_equal(x[..., 1], mark)


def test_the_label_is_the_first_sign():
    x, y = make_distant_cue(200, 5, seed=1)
    np.testing.assert_array_equal(y, [int(row[0, 0] == 1) for row in x])


def test_nothing_after_the_cue_tells_of_the_label():
    """Signs of 40,000 sequences: five standard errors are 0.025."""
    x, y = make_distant_cue(40_000, 6)
    sign = 2.0 * y - 1
    assert abs(sign.mean()) < 0.025
    for step in range(1, 6):
        assert abs(x[:, step, 0].mean()) < 0.025
        assert abs((x[:, step, 0] * sign).mean()) < 0.025
        for earlier in range(1, step):
            both = x[:, step, 0] * x[:, earlier, 0]
            assert abs(both.mean()) < 0.025
            assert abs((both * sign).mean()) < 0.025


def test_seeds_and_marks():
    x, y = make_distant_cue(50, 10, seed=4)
    again = make_distant_cue(50, 10, seed=np.int64(4))
    np.testing.assert_array_equal(x, again[0])
    marked, same_y = make_distant_cue(50, 10, True, seed=4)
    np.testing.assert_array_equal(x[..., 0], marked[..., 0])
    np.testing.assert_array_equal(y, same_y)
    assert not np.array_equal(x, make_distant_cue(50, 10, seed=5)[0])


def test_sequences_are_those_of_the_recorded_results():
    """Where this fails, every recorded result must be recorded again."""
    x, y = make_distant_cue(64, 30, seed=7)
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    assert digest == (
        "d3adc16a3599c5bbb2183dd6e1bbbbf51ec1c8b39e58b2c265815839edfe7401"
    )


@few_runs
@given(st.data())
def test_windows_lie_where_carried_state_needs_them(data):
    """The order as three loops, where the code turns axes."""
    draw = lambda most: data.draw(st.integers(1, most))  # noqa: E731
    groups, batch_size, windows, length = draw(3), draw(4), draw(5), draw(3)
    features = data.draw(st.sampled_from([(), (2,), (2, 3)]))
    targets = data.draw(st.sampled_from([(), (1,), (3,)]))
    sequences, steps = groups * batch_size, windows * length
    x = np.arange(sequences * steps * np.prod(features, dtype=int))
    x = x.reshape(sequences, steps, *features)
    y = np.arange(sequences * np.prod(targets, dtype=int))
    y = y.reshape(sequences, *targets)
    expected_x, expected_y = [], []
    for group in range(groups):
        for window in range(windows):
            for row in range(batch_size):
                sequence = group * batch_size + row
                start = window * length
                expected_x.append(x[sequence, start : start + length])
                expected_y.append(y[sequence])
    cut_x, cut_y = cut_windows(x, y, windows, batch_size)
    np.testing.assert_array_equal(cut_x, expected_x)
    np.testing.assert_array_equal(cut_y, expected_y)
    assert cut_x.dtype == x.dtype and cut_y.dtype == y.dtype


def test_one_window_and_one_batch_leave_sequences_as_they_are():
    x, y = make_distant_cue(6, 4)
    for ours, theirs in zip(cut_windows(x, y, 1, 6), (x, y), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sequences": 0}, "a positive integer. Received: sequences=0"),
        ({"sequences": 2.0}, "a positive integer. Received: sequences=2.0"),
        ({"steps": 1}, "an integer of at least 2. Received: steps=1"),
        ({"steps": True}, "an integer of at least 2. Received: steps=True"),
        ({"marked": 1}, "a boolean. Received: marked=1"),
        (
            {"seed": -1},
            "an integer from 0 to 2 ** 32 - 1. Received: seed=-1",
        ),
        (
            {"seed": 2**32},
            "an integer from 0 to 2 ** 32 - 1. Received: seed=4294967296",
        ),
    ],
)
def test_bad_arguments_of_the_generator(bad, message):
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_distant_cue(**{"sequences": 4, "steps": 6, **bad})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            {"x": np.zeros(4)},
            "an array of shape (sequences, steps, ...). Received: shape (4,)",
        ),
        (
            {"y": np.zeros(3)},
            "a target for each of 4 sequences. Received: shape (3,)",
        ),
        (
            {"windows": 4},
            "a positive integer that divides the 6 steps. Received: windows=4",
        ),
        (
            {"windows": 0},
            "a positive integer that divides the 6 steps. Received: windows=0",
        ),
        (
            {"batch_size": 3},
            "a positive integer that divides the 4 sequences. "
            "Received: batch_size=3",
        ),
        (
            {"batch_size": 2.0},
            "a positive integer that divides the 4 sequences. "
            "Received: batch_size=2.0",
        ),
    ],
)
def test_bad_arguments_of_the_windows(bad, message):
    x, y = make_distant_cue(4, 6)
    arguments = {"x": x, "y": y, "windows": 3, "batch_size": 2, **bad}
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cut_windows(**arguments)
