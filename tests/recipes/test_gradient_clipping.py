"""Clipped updates as they are applied, against NumPy; and the cliff."""

import itertools
import re

import keras
import numpy as np
import pytest
from keras import layers

from kerasrecipes.callbacks import GradientNorms
from kerasrecipes.recipes.optimization import gradient_clipping as recipe

LIMITS = ("clipvalue", "clipnorm", "global_clipnorm")
BACKEND = keras.config.backend()

every_limit = pytest.mark.parametrize("name", LIMITS)


def twin(gradients, name, limit):
    """Clipped gradients, number by number."""
    squares = [sum(float(v) ** 2 for v in np.ravel(g)) for g in gradients]
    clipped = []
    for gradient, square in zip(gradients, squares, strict=True):
        if name == "global_clipnorm":
            square = sum(squares)
        norm = square**0.5
        values = []
        for value in np.ravel(gradient).astype(float):
            if name == "clipvalue":
                value = min(max(value, -limit), limit)
            elif norm > limit:
                value = value * limit / norm
            values.append(value)
        clipped.append(np.reshape(values, np.shape(gradient)))
    return clipped


def make_gradients(scale, seed=0):
    """Variables of every rank, one of a single number, of uneven sizes."""
    generator = np.random.default_rng(seed)
    shapes = [(), (1,), (5,), (4, 3), (1, 7), (2, 3, 4), (3, 2, 2, 2)]
    sizes = scale * 10.0 ** generator.uniform(-1, 1, len(shapes))
    return [
        generator.normal(size=shape) * size
        for shape, size in zip(shapes, sizes, strict=True)
    ]


@every_limit
@pytest.mark.parametrize("limit", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_updates_by_formula(name, limit, scale):
    gradients = make_gradients(scale)
    expected = twin(gradients, name, limit)
    update = recipe.clipped(gradients, **{name: limit})
    # In float32, with a sum of 60 squares.
    np.testing.assert_allclose(update, recipe.flat(expected), rtol=1e-5)
    by_formula = recipe.by_formula(gradients, name, limit)
    for one, other in zip(by_formula, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True])
@every_limit
def test_training_clips(name, jit_compile):
    """`train_on_batch` and `fit` apply what the formula says."""
    if jit_compile and BACKEND == "torch":
        pytest.skip("PyTorch needs a C++ compiler and a minute for it.")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)]
    )
    generator = np.random.default_rng(0)
    x, y = 5 * generator.normal(size=(8, 3)), generator.normal(size=(8, 2))
    start = model.get_weights()
    raw = recipe.step_of(model, x, y)
    limit = 0.3
    expected = recipe.flat(twin(raw, name, limit))
    # It does clip.
    assert np.abs(expected - recipe.flat(raw)).max() > 0.1
    model.set_weights(start)
    model.compile(
        keras.optimizers.SGD(1.0, **{name: limit}),
        "mse",
        jit_compile=jit_compile,
    )
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    fitted = list(map(np.subtract, start, model.get_weights()))
    # Weights of about 1 are rounded to a ten-millionth before and after.
    np.testing.assert_allclose(recipe.flat(fitted), expected, atol=1e-6)


def test_the_network_of_the_recipe_is_clipped_at_the_notes_limits():
    """So that its claims are about something."""
    scores = recipe.measure(0)
    for name, limit in recipe.LIMITS.items():
        assert recipe.VARIANTS[name][name] == limit
        assert limit == (0.5 if name == "clipvalue" else 1.0)
    raw = recipe.step_of(
        recipe.build_model(), *recipe.make_adding_problem(32, 15, 0)
    )
    assert np.linalg.norm(recipe.flat(raw)) > 1
    assert scores["norm, global_clipnorm"] == pytest.approx(1, abs=1e-6)
    assert scores["norm, clipnorm"] > 1
    assert scores["cosine, global_clipnorm"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", recipe.ADAPTIVE)
def test_other_optimizers_show_whether_they_clip(kind):
    make = getattr(keras.optimizers, kind)
    steps = [[[3.0, 4.0], [0.3, 0.4]], [[-0.3, 0.5], [0.1, -0.2]]]
    unclipped = recipe.applied(make(0.1), *steps)
    for name, limit in recipe.LIMITS.items():
        found = recipe.applied(make(0.1, **{name: limit}), *steps)
        by_hand = [twin(gradients, name, limit) for gradients in steps]
        expected = recipe.applied(make(0.1), *by_hand)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert np.abs(found - unclipped).max() > 1e-5


@pytest.mark.parametrize("count", [2, 3])
def test_two_limits_at_once_are_refused(count):
    message = (
        "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set"
    )
    for names in itertools.combinations(LIMITS, count):
        for kind in ("SGD", *recipe.ADAPTIVE):
            with pytest.raises(ValueError, match=re.escape(message)):
                getattr(keras.optimizers, kind)(**dict.fromkeys(names, 1.0))


@every_limit
def test_zero_and_tiny_gradients_are_unharmed(name):
    limit = recipe.LIMITS[name]
    nothing = recipe.clipped([[0.0, 0.0], [0.0]], **{name: limit})
    np.testing.assert_array_equal(nothing, 0)
    # No square of these is more than zero in float32.
    tiny = np.array([1e-30, -2e-30, 3e-25, 0.0])
    update = recipe.clipped([tiny[:2], tiny[2:]], **{name: limit})
    np.testing.assert_allclose(update, tiny, rtol=1e-6)
    below = np.array([0.3, -0.2, 0.1])
    update = recipe.clipped([below], **{name: limit})
    np.testing.assert_allclose(update, below, rtol=1e-6)


def test_a_small_variable_beside_a_large_one():
    """What the limits do to ([3, 4], [0.3, 0.4])."""
    gradients = [[3.0, 4.0], [0.3, 0.4]]
    whole = np.sqrt(25.25)
    for name, expected in (
        ("clipvalue", [1, 1, 0.3, 0.4]),
        ("clipnorm", [0.6, 0.8, 0.3, 0.4]),
        ("global_clipnorm", np.array([3, 4, 0.3, 0.4]) / whole),
    ):
        update = recipe.clipped(gradients, **{name: 1.0})
        np.testing.assert_allclose(update, expected, rtol=1e-6)


@pytest.mark.parametrize("value", [1e25, np.inf])
def test_overflow(value):
    """A norm that overflows makes NaN of everything that it is a norm of."""
    gradients = [[value], [0.3]]
    found = {
        name: recipe.clipped(gradients, **{name: limit})
        for name, limit in recipe.LIMITS.items()
    }
    np.testing.assert_array_equal(np.isnan(found["global_clipnorm"]), True)
    np.testing.assert_allclose(found["clipvalue"], [0.5, 0.3], rtol=1e-6)
    assert found["clipnorm"][1] == pytest.approx(0.3)
    # The other variable's gradient is lost: 1e25 over infinity.
    lost = 0 if np.isfinite(value) else np.nan
    np.testing.assert_array_equal(found["clipnorm"][0], lost)


def read_one_row(times, **limit):
    """Takes a step with a gradient of -0.4 for each reading of a row."""
    table = keras.Sequential(
        [
            keras.Input((times,)),
            layers.Embedding(3, 1, embeddings_initializer="zeros"),
        ]
    )
    wanted = np.full((1, times, 1), 0.2 * times)
    data = np.ones((1, times)), wanted
    return -recipe.step_of(table, *data, **limit)[0][:, 0], table, data


def test_rows_of_an_embedding():
    """TensorFlow clips every reading of a row on its own."""
    sparse = BACKEND == "tensorflow"
    for limit, apart, together in (
        ({}, 1.6, 1.6),
        ({"clipvalue": 0.5}, 1.6, 0.5),
        ({"clipvalue": 0.3}, 1.2, 0.3),
        # The four readings have a norm of 0.8, their sum one of 1.6.
        ({"clipnorm": 1.0}, 1.6, 1.0),
        ({"global_clipnorm": 1.0}, 1.6, 1.0),
    ):
        rows, table, data = read_one_row(4, **limit)
        expected = [0, apart if sparse else together, 0]
        np.testing.assert_allclose(rows, expected, rtol=1e-6)
    # The helper adds them up on every backend.
    table.set_weights([np.zeros((3, 1))])
    norms = GradientNorms(data)
    norms.set_model(table)
    assert norms.evaluate()["gradient_norm"] == pytest.approx(1.6)
    rows, _, _ = read_one_row(1, clipvalue=0.3)
    np.testing.assert_allclose(rows, [0, 0.3, 0], rtol=1e-6)


def slopes_at(point, distance=1e-6):
    """The derivatives of the cliff's loss, by central differences."""
    steps = distance * np.eye(2)
    return np.array(
        [
            (recipe.height(*(point + e)) - recipe.height(*(point - e)))
            / (2 * distance)
            for e in steps
        ]
    )


@pytest.mark.parametrize("name", recipe.WALKS)
def test_every_step_on_the_cliff_follows_its_slope(name):
    limit = recipe.WALKS[name]
    curves = recipe.walk(3, **limit)["curves"]
    path = np.transpose([curves["weight"], curves["bias"]])
    assert path.shape == (61, 2)
    taken = np.diff(path, axis=0)
    steepest = 0
    for point, step in zip(path, taken, strict=False):
        slopes = slopes_at(point)
        norm = np.linalg.norm(slopes)
        steepest = max(steepest, norm)
        if norm < 50:  # on the wall itself differences are too coarse
            clipped = slopes / max(norm, 1) if limit else slopes
            np.testing.assert_allclose(
                step, -0.5 * clipped, rtol=1e-3, atol=2e-6
            )
    # The walk meets the wall.
    assert steepest > 2
    if limit:
        assert np.linalg.norm(taken, axis=1).max() <= 0.5 + 1e-5


def test_the_cliff_has_two_plains():
    """Far from the wall the unit is all on or all off."""
    assert recipe.height(7.0, -1.0) == pytest.approx(0.09, abs=1e-2)
    assert recipe.height(4.0, -4.0) == pytest.approx(0.49, abs=5e-2)
    derivative = recipe.height(4.2 + 1e-30j, -2.3).imag / 1e-30
    assert derivative == pytest.approx(slopes_at([4.2, -2.3])[0], rel=1e-6)


def test_a_network_that_diverges_has_finite_scores():
    scores = recipe.train(0, epochs=1, rate=1e3)
    assert scores["diverged"] == 1 and scores["survived"] == 0
    assert scores["error"] == 1e3
    numbers = [v for k, v in scores.items() if k != "curves"]
    assert np.all(np.isfinite([*numbers, *scores["curves"]["error"]]))
    calm = recipe.train(0, epochs=1, rate=1e-3)
    assert calm["diverged"] == 0 and calm["survived"] == 1
