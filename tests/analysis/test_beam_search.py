"""Beam search against every sequence there is, scored one by one."""

import itertools
import re

import numpy as np
import pytest
from keras import ops

from kerasrecipes.analysis import beam_search

START, END, SIGNS, LENGTH = 0, 2, 4, 4


def make_tables(batch=3, seed=0, sharp=1.0):
    """Log probabilities of a sign (batch, sum, signs), the sum modulo 7."""
    logits = np.random.default_rng(seed).normal(size=(batch, 7, SIGNS)) * sharp
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return logs.astype("float32")


def make_step(tables):
    """Signs depend on all before them, through a state that adds them up."""

    def step(signs, states):
        rows = ops.convert_to_numpy(states["row"])
        total = ops.convert_to_numpy(states["total"])
        total = (3 * total + ops.convert_to_numpy(signs) + 1) % 7
        found = tables[rows, total]
        return ops.convert_to_tensor(found), {"row": rows, "total": total}

    return step


def make_states(batch):
    return {
        "row": np.arange(batch, dtype="int32"),
        "total": np.zeros(batch, "int32"),
    }


def score_all(table):
    """Every sequence that can be written, and its log probability."""
    scores = {}
    for signs in itertools.product(range(SIGNS), repeat=LENGTH):
        total, score, last, over = 0, 0.0, START, False
        for sign in signs:
            if over:
                score = score if sign == END else -np.inf
                continue
            total = (3 * total + last + 1) % 7
            score += float(table[total, sign])
            last, over = sign, sign == END
        if np.isfinite(score):
            scores[signs] = score
    return scores


def search(tables, width, length=LENGTH):
    states = make_states(len(tables))
    return beam_search(make_step(tables), states, START, END, length, width)


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all(seed):
    """In their order, with their probabilities, which add up to one."""
    tables = make_tables(seed=seed)
    width = SIGNS ** (LENGTH - 1)
    sequences, logs = search(tables, width)
    assert sequences.shape == (3, width, LENGTH)
    assert sequences.dtype == "int32" and logs.shape == (3, width)
    for table, rows, found in zip(tables, sequences, logs, strict=True):
        scores = score_all(table)
        assert np.exp([*scores.values()]).sum() == pytest.approx(1, abs=1e-5)
        best = sorted(scores.values(), reverse=True)[:width]
        np.testing.assert_allclose(found, best, atol=1e-5)
        # Which is which, where several are as probable, says the probability.
        written = [tuple(row) for row in rows.tolist()]
        assert len(set(written)) == width
        expected = [scores[signs] for signs in written]
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_width_one_is_greedy(seed):
    tables = make_tables(seed=seed)
    sequences, logs = search(tables, 1)
    for table, row, log in zip(tables, sequences[:, 0], logs, strict=True):
        total, score, last, written = 0, 0.0, START, []
        while len(written) < LENGTH and last != END:
            total = (3 * total + last + 1) % 7
            last = int(table[total].argmax())
            score += table[total, last]
            written.append(last)
        written += [END] * (LENGTH - len(written))
        assert row.tolist() == written
        assert log[0] == pytest.approx(score, abs=1e-5)


def test_probabilities_are_those_of_the_sequences():
    tables = make_tables(seed=5)
    sequences, logs = search(tables, 3)
    assert (np.diff(logs, axis=1) <= 0).all()
    for table, rows, found in zip(tables, sequences, logs, strict=True):
        scores = score_all(table)
        assert len({tuple(row) for row in rows.tolist()}) == 3
        expected = [scores[tuple(row)] for row in rows.tolist()]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sequences_do_not_see_each_other():
    tables = make_tables(batch=4, seed=6)
    together, logs = search(tables, 2)
    for row in range(4):
        alone, log = search(tables[row : row + 1], 2)
        np.testing.assert_array_equal(alone[0], together[row])
        np.testing.assert_array_equal(log[0], logs[row])


def test_greed_can_miss_the_best():
    """The best sign leads to two poor ones, the second best to a sure one."""
    tables = np.full((1, 7, SIGNS), -50.0, "float32")
    tables[0, 1, [0, 1]] = np.log([0.6, 0.4])  # the first sign
    tables[0, 4, [0, 1]] = np.log([0.5, 0.5])  # behind 0
    tables[0, 5, 3] = 0.0  # behind 1
    greedy, _ = search(tables, 1, length=2)
    beam, logs = search(tables, 2, length=2)
    assert greedy[0, 0].tolist() == [0, 0]
    assert beam[0, 0].tolist() == [1, 3]
    assert logs[0, 0] == pytest.approx(np.log(0.4), abs=1e-6)


def test_equal_signs_the_first_is_taken():
    tables = np.full((2, 7, SIGNS), -np.log(SIGNS), "float32")
    sequences, _ = search(tables, 1)
    np.testing.assert_array_equal(sequences, 0)


def test_fewer_sequences_than_width():
    tables = make_tables()
    sequences, logs = search(tables, SIGNS + 2, length=1)
    assert np.isfinite(logs[:, :SIGNS]).all()
    assert np.isneginf(logs[:, SIGNS:]).all()
    found = np.sort(sequences[:, :SIGNS, 0], axis=1)
    np.testing.assert_array_equal(found, [range(SIGNS)] * 3)


def test_it_stops_when_all_have_ended():
    calls = []

    def step(signs, states):
        calls.append(tuple(signs.shape))
        logs = np.full((len(states), SIGNS), -50.0, "float32")
        logs[:, END] = 0.0
        return ops.convert_to_tensor(logs), states

    sequences, logs = beam_search(step, np.zeros((5, 2)), 0, END, 50, 1)
    assert calls == [(5,)]
    assert sequences.shape == (5, 1, 50) and (sequences == END).all()
    np.testing.assert_array_equal(logs, 0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"length": 0}, "`length`: expected a positive integer. Received: "),
        ({"width": 1.0}, "`width`: expected a positive integer. Received: "),
        ({"start": -1}, "`start`: expected a non-negative integer. Received"),
        ({"end": None}, "`end`: expected a non-negative integer. Received"),
        ({"end": 4}, "`end`: expected an integer below 4. Received: end=4"),
        (
            {"states": [np.zeros((2, 3)), np.zeros(3)]},
            "`states`: expected arrays with the same number of rows, at least "
            "one. Received: shapes [(2, 3), (3,)]",
        ),
        (
            {"states": np.zeros((0, 3))},
            "`states`: expected arrays with the same number of rows, at least "
            "one. Received: shapes [(0, 3)]",
        ),
    ],
)
def test_bad_arguments(arguments, expected):
    given = {
        "step": make_step(make_tables()),
        "states": make_states(3),
        "start": START,
        "end": END,
        "length": 2,
        "width": 2,
    }
    message = f"Invalid value for argument {expected}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        beam_search(**given | arguments)
