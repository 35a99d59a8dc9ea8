"""MonteCarloDropout: random everywhere, by the formula, and alone in that."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.layers import MonteCarloDropout

RATE = 0.3


def run(layer, x, **call):
    return ops.convert_to_numpy(layer(x, **call))


def make_inputs(shape=(40, 10), seed=5):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def make_model(*parts, shape=(10,)):
    """A compiled model of these layers with a Dense layer before them."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape), layers.Dense(10), *parts])
    model.compile("sgd", "mse")
    return model


WAYS = {
    "predict": lambda model, x: model.predict(x, verbose=0),
    "predict in batches": lambda model, x: model.predict(
        x, batch_size=7, verbose=0
    ),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
    "call": lambda model, x: run(model, x),
    "call, training=False": lambda model, x: run(model, x, training=False),
    "evaluate": lambda model, x: model.evaluate(x, x, verbose=0),
    "test_on_batch": lambda model, x: model.test_on_batch(x, x),
}


# ----------------------------------------------------------------------
# Where it is random


@pytest.mark.parametrize("way", WAYS)
def test_two_calls_differ(way):
    x = make_inputs()
    model = make_model(MonteCarloDropout(RATE))
    first, second = (np.asarray(WAYS[way](model, x)) for _ in range(2))
    assert np.all(np.isfinite(first)) and np.any(first != second)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["listing", "trainable"])
def test_keras_dropout_is_not(kind, way):
    """Of the notes' listing, only a plain call is random."""
    inputs, x = keras.Input((10,)), make_inputs()
    if kind == "listing":
        outputs = layers.Dropout(RATE)(inputs, training=True)
    else:
        outputs = layers.Dropout(RATE, trainable=True)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    first, second = (np.asarray(WAYS[way](model, x)) for _ in range(2))
    alive = kind == "listing" and way == "call"
    assert np.any(first != second) == alive
    if not alive and np.ndim(first):
        np.testing.assert_array_equal(first, x)


def test_every_batch_and_row_of_predict_has_its_own_mask():
    model = make_model(MonteCarloDropout(RATE))
    x = np.repeat(make_inputs((1, 10)), 40, axis=0)
    rows = model.predict(x, batch_size=4, verbose=0) == 0
    assert len(np.unique(rows, axis=0)) > 30


def test_training_learns_and_validation_is_random():
    x = make_inputs()
    model = make_model(MonteCarloDropout(0.1), layers.Dense(1))
    y = x.sum(1, keepdims=True)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 4
    found = [model.evaluate(x, y, verbose=0) for _ in range(2)]
    assert found[0] != found[1]


@pytest.mark.parametrize("network", ["CNN", "LSTM"])
def test_in_images_and_sequences(network):
    if network == "CNN":
        shape = (6, 6, 2)
        parts = [layers.Conv2D(4, 3), MonteCarloDropout(RATE)]
        parts += [layers.GlobalAveragePooling2D()]
    else:
        shape = (6, 2)
        parts = [MonteCarloDropout(RATE, (None, 1, 2)), layers.LSTM(4)]
        parts += [MonteCarloDropout(RATE)]
    model = keras.Sequential([keras.Input(shape), *parts, layers.Dense(1)])
    x = make_inputs((9, *shape))
    first, second = (model.predict(x, verbose=0) for _ in range(2))
    assert np.mean(first != second) > 0.5  # few units may drop alike


# ----------------------------------------------------------------------
# What it computes


def numpy_dropout(x, kept, rate):
    return np.where(kept, x / (1 - rate), 0)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_values_and_share(rate):
    """The share dropped is that of 100,000 coins, within five deviations."""
    x = make_inputs((1000, 100))
    y = run(MonteCarloDropout(rate, seed=3), x)
    kept = y != 0
    np.testing.assert_allclose(y, numpy_dropout(x, kept, rate), rtol=1e-6)
    deviation = np.sqrt(rate * (1 - rate) / x.size)
    assert abs(np.mean(~kept) - rate) <= 5 * deviation


@pytest.mark.parametrize(
    ("noise_shape", "shared"),
    [
        ((None, 1, 5), 1),
        ((40, 1, 5), 1),
        ([None, 6, 1], 2),
        ((1, None, None), 0),
    ],
)
def test_axes_that_share_a_mask(noise_shape, shared):
    ones = np.ones((40, 6, 5), "float32")
    kept = run(MonteCarloDropout(RATE, noise_shape, seed=3), ones) > 0
    first = np.take(kept, [0], shared)
    np.testing.assert_array_equal(kept, np.broadcast_to(first, kept.shape))
    for axis in {0, 1, 2} - {shared}:
        assert np.ptp(kept.astype(int), axis).max() == 1


@pytest.mark.parametrize(
    "noise_shape", [(1,), (None, 1), (None, 3, 5), (None, 6, 5, 1)]
)
def test_a_noise_shape_that_does_not_fit(noise_shape):
    layer = MonteCarloDropout(RATE, noise_shape)
    with pytest.raises(ValueError, match="an entry for each axis of the inp"):
        layer(np.ones((40, 6, 5), "float32"))


def test_infinity_is_dropped_like_others():
    x = np.full((100, 10), np.inf, "float32")
    y = run(MonteCarloDropout(0.5, seed=1), x)
    assert set(np.unique(y)) == {0.0, np.inf}


def test_seeds():
    """The same seed gives the same masks call by call; none, other ones."""
    ones = np.ones((30, 10), "float32")

    def draw(seed):
        layer = MonteCarloDropout(RATE, seed=seed)
        return [run(layer, ones) for _ in range(2)]

    first, again, other, none, nothing = map(draw, (4, 4, 5, None, None))
    np.testing.assert_array_equal(first, again)
    assert np.any(first[0] != first[1])
    assert np.any(first[0] != other[0]) and np.any(none[0] != nothing[0])


def test_predict_and_a_call_draw_the_same_masks():
    ones = np.ones((30, 10), "float32")
    inputs = keras.Input((10,))
    model = keras.Model(inputs, MonteCarloDropout(RATE, seed=4)(inputs))
    found = model.predict(ones, verbose=0)
    expected = run(MonteCarloDropout(RATE, seed=4), ones)
    np.testing.assert_array_equal(found, expected)


def test_set_random_seed_repeats_the_passes():
    x = make_inputs()
    passes = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = make_model(MonteCarloDropout(RATE))
        passes.append([model.predict(x, verbose=0) for _ in range(3)])
    np.testing.assert_array_equal(*passes)


# ----------------------------------------------------------------------
# What it leaves alone


def test_batch_normalization_stays_as_it_is():
    x = make_inputs() + 3
    norm = layers.BatchNormalization()
    model = make_model(norm, MonteCarloDropout(RATE))
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    for way in WAYS.values():
        way(model, x)
    after = [ops.convert_to_numpy(weight) for weight in model.weights]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    run(model, x, training=True)  # the pitfall
    moved = ops.convert_to_numpy(norm.moving_mean)
    assert np.abs(moved).max() > 0


def test_normalization_is_by_the_moving_statistics():
    """Where it is kept, an output is the same whatever else is passed."""
    model = make_model(layers.BatchNormalization(), MonteCarloDropout(RATE))
    x = make_inputs() + 3
    alone = model.predict(np.repeat(x[:1], 50, axis=0), verbose=0).max(0)
    among = np.array([model.predict(x, verbose=0)[0] for _ in range(30)])
    positive = alone > 0
    assert positive.any()
    np.testing.assert_allclose(
        among.max(0)[positive], alone[positive], rtol=1e-5
    )


def test_it_takes_the_place_of_dropout_in_a_trained_model():
    """The docstring's own lines."""
    model = make_model(layers.Dropout(RATE), layers.Dense(2))

    def keep_random(layer):
        if isinstance(layer, keras.layers.Dropout):
            return MonteCarloDropout(layer.rate, layer.noise_shape)
        return layer.__class__.from_config(layer.get_config())

    random_model = keras.models.clone_model(model, clone_function=keep_random)
    random_model.set_weights(model.get_weights())
    kinds = [type(layer).__name__ for layer in random_model.layers]
    assert kinds == ["Dense", "MonteCarloDropout", "Dense"]
    x = make_inputs((5, 10))
    many = np.repeat(x, 4000, axis=0)
    passes = random_model.predict(many, batch_size=20000, verbose=0)
    passes = passes.reshape(5, 4000, 2)
    # The network is linear: the mean of passes is the answer without dropout.
    error = passes.std(1) / np.sqrt(4000)
    found = model.predict(x, verbose=0)
    assert np.all(np.abs(passes.mean(1) - found) < 5 * error + 1e-5)
