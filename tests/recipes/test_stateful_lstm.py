"""What the recipe says of carried state, against a NumPy LSTM."""

import importlib

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.callbacks import ResetStates, reset_model_states

BACKEND = keras.config.backend()


@pytest.fixture(scope="module")
def recipe():
    return importlib.import_module(
        "kerasrecipes.recipes.recurrent.stateful_lstm"
    )


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def numpy_lstm(x, kernel, recurrent_kernel, bias):
    """State after the last step of (batch, steps, features), by the formula."""
    units = recurrent_kernel.shape[0]
    h = c = np.zeros((len(x), units))
    for step in range(x.shape[1]):
        z = x[:, step] @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = (z[:, n * units : (n + 1) * units] for n in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h, c


def make_windows(groups=2, batch_size=3, windows=3, steps=4):
    """Sequences, and their windows in the order of batches, by loops."""
    shape = (groups, batch_size, windows * steps, 2)
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    cut = [
        x[group, row, window * steps : (window + 1) * steps]
        for group in range(groups)
        for window in range(windows)
        for row in range(batch_size)
    ]
    return x, np.array(cut)


def make_model(layer, batch_size=3):
    inputs = keras.Input((4, 2), batch_size=batch_size)
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def as_arrays(variables):
    return [ops.convert_to_numpy(variable) for variable in variables]


def assert_near(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["stateful", "explicit state"])
def test_windows_make_up_whole_sequences(recipe, kind):
    """In `predict`, one sequence after another, with resets between them.

    On JAX, `stateful=True` is lost there, and each window stands alone.
    """
    layer = (
        layers.LSTM(5, stateful=True)
        if kind == "stateful"
        else recipe.CarriedLSTM(5)
    )
    model = make_model(layer)
    x, cut = make_windows()
    predictions = model.predict(
        cut, batch_size=3, callbacks=[ResetStates(every=3)], verbose=0
    ).reshape(2, 3, 3, 5)
    alone = BACKEND == "jax" and kind == "stateful"
    weights = as_arrays(model.trainable_variables)
    for group, window in np.ndindex(2, 3):
        start = window * 4 if alone else 0
        seen = x[group, :, start : window * 4 + 4]
        assert_near(predictions[group, window], numpy_lstm(seen, *weights)[0])


def test_states_after_fit_are_those_of_the_last_sequence(recipe):
    layer = recipe.CarriedLSTM(5)
    model = make_model(layer)
    model.optimizer.learning_rate = 0.0
    x, cut = make_windows()
    model.fit(
        cut,
        np.zeros((len(cut), 5)),
        batch_size=3,
        shuffle=False,
        callbacks=[ResetStates(every=3)],
        verbose=0,
    )
    expected = numpy_lstm(x[-1], *as_arrays(model.trainable_variables))
    for ours, theirs in zip(as_arrays(layer.states), expected, strict=True):
        assert_near(ours, theirs)


@pytest.mark.skipif(
    BACKEND == "jax", reason="On JAX stateful=True is not carried in fit."
)
def test_explicit_state_trains_as_stateful_does(recipe):
    """The gradient ends at the window's edge in both."""
    _, cut = make_windows()
    y = np.random.default_rng(2).normal(size=(len(cut), 5))
    trained = []
    for layer in (
        layers.LSTM(5, stateful=True, use_cudnn=False),
        recipe.CarriedLSTM(5),
    ):
        model = make_model(layer)
        generator = np.random.default_rng(3)
        for weight in model.trainable_variables:
            weight.assign(0.5 * generator.normal(size=weight.shape))
        model.fit(
            cut,
            y,
            batch_size=3,
            epochs=2,
            shuffle=False,
            callbacks=[ResetStates(every=3)],
            verbose=0,
        )
        trained.append(as_arrays(model.trainable_variables))
    for ours, theirs in zip(*trained, strict=True):
        assert_near(ours, theirs)


@pytest.mark.parametrize("kind", ["stateful", "explicit state"])
def test_where_state_survives(recipe, kind):
    found = recipe.survive(0, kind)
    ways = [found[way] for way in ("direct call", "predict", "evaluate", "fit")]
    expected = [1, 1, 1, 1]
    if kind == "stateful":
        expected = {"jax": [1, 0, 0, 0], "torch": [1, 1, 1, -1]}.get(
            BACKEND, expected
        )
    assert ways == expected
    assert found["surprises"] == 0
    assert found["whole, off"] < 1e-6
    assert found["twin, off"] < 1e-6


def test_a_twin_takes_trained_weights_but_a_batch_of_another_size():
    model = make_model(layers.LSTM(5, stateful=True))
    twin = make_model(layers.LSTM(5, stateful=True), batch_size=1)
    twin.set_weights(model.get_weights())
    x, _ = make_windows()
    for row in range(3):
        reset_model_states(model)
        reset_model_states(twin)
        for window in np.split(x[0], 3, axis=1):
            together = ops.convert_to_numpy(model(window))[row]
            alone = ops.convert_to_numpy(twin(window[row : row + 1]))[0]
        assert_near(alone, together)


@pytest.mark.parametrize("kind", ["stateful", "explicit state"])
def test_the_batch_size_is_fixed(recipe, kind):
    with pytest.raises(ValueError, match=r"[Bb]atch size|None"):
        recipe.build_model(kind, batch_size=None)
    model = recipe.build_model(kind, batch_size=4)
    with pytest.raises(Exception, match=r"[Ss]hape|[Dd]imension|size"):
        model(np.zeros((3, recipe.STEPS, 2), "float32"))
