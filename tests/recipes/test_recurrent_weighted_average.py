"""The tasks, their scores, and the two forms of the running sums."""

import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING

from kerasrecipes.recipes.recurrent import recurrent_weighted_average as recipe

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)


def test_noise():
    x, y = recipe.make_noise(2000, 30, seed=0)
    assert x.shape == (2000, 30, 1) and y.shape == (2000, 1)
    lengths = (x[:, :, 0] != 0).sum(axis=1)
    # No zero within a sequence, and none but zeros behind it.
    np.testing.assert_array_equal(
        x[:, :, 0] != 0, np.arange(30) < lengths[:, None]
    )
    assert (lengths.min(), lengths.max()) == (1, 30)
    np.testing.assert_array_equal(y[:, 0], lengths > 15)
    assert 0.45 < y.mean() < 0.55
    again, _ = recipe.make_noise(2000, 30, seed=1)
    assert (again != x).any()


@pytest.mark.parametrize("task", ["length", "adding", "copy"])
def test_scores_of_perfect_answers_and_of_guessing(task):
    _, y = recipe.load(task, 600, seed=0)
    if task == "adding":
        perfect, guess = y, np.full_like(y, y.mean())
        awful = y + 100
    else:
        outputs = {"length": 2, "copy": 5}[task]
        perfect = np.eye(outputs)[y if task == "copy" else y[:, 0]]
        guess = np.zeros_like(perfect)
        guess[..., -1] = 1
        awful = -perfect
    assert recipe.score(task, y, perfect) == pytest.approx(1)
    expected = {"length": 0.5, "adding": 0, "copy": 0.25}[task]
    assert recipe.score(task, y, guess) == pytest.approx(expected, abs=0.07)
    bounds = {"length": 0, "adding": -1, "copy": 0}
    assert recipe.score(task, y, awful) == bounds[task]


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_statements(seed):
    found = recipe.measure(seed)
    assert found["off the formula"] < 1e-5
    assert found["finite"] == 1
    assert found["plain sums finite"] == 0


def test_what_was_published_first_forgets():
    """With equal powers of one, a step counts e times less than the next."""
    # Of u the input itself, of g a constant beyond the slope of tanh.
    kernel = np.array([[1.0, 0, 0], [0, 0, 1.0]])
    weights = [kernel, np.zeros((1, 2)), np.array([0, 50.0]), np.zeros(1)]
    x = np.zeros((10, 2))
    x[:, 1] = 1.0
    ends = {"plain": [], "published first": []}
    for form, found in ends.items():
        for place in (0, 9):
            changed = x.copy()
            changed[place, 0] = 1e-3
            found.append(recipe.by_formula(changed, weights, form)[-1, 0])
    first, last = ends["plain"]
    assert first == pytest.approx(last, rel=1e-6)
    first, last = ends["published first"]
    assert first == pytest.approx(last * np.exp(-9), rel=1e-3)


@pytest.mark.parametrize("cell", ["LSTM", "RWA"])
@pytest.mark.parametrize("task", ["length", "adding", "copy"])
def test_networks_answer(task, cell):
    x, y = recipe.load(task, 7, seed=0)
    model = recipe.build_model(task, cell, x.shape[-1])
    answers = model.predict(x, verbose=0)
    assert answers.shape[:-1] == (y.shape if task == "copy" else (7,))
    assert np.isfinite(recipe.score(task, y, answers))
