"""Passes in one call against passes one by one, under the same masks."""

import re
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.analysis import predict_samples
from kerasrecipes.layers import MonteCarloDropout

RATE, UNITS = 0.4, 6


def make_inputs(examples=7, seed=5):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(examples, 4)).astype("float32")


def make_model(seed=3, batch_norm=False):
    keras.utils.set_random_seed(1)
    parts = [layers.Dense(UNITS, activation="relu", bias_initializer="ones")]
    parts += [layers.BatchNormalization()] * batch_norm
    parts += [MonteCarloDropout(RATE, seed=seed), layers.Dense(2)]
    return keras.Sequential([keras.Input((4,)), *parts])


def numpy_passes(model, x, masks):
    """The network in NumPy, under one mask after the other."""
    kernel, bias, last, last_bias = model.get_weights()
    hidden = np.maximum(x @ kernel + bias, 0)
    return np.array([(hidden * mask) @ last + last_bias for mask in masks])


def draw_masks(rows, seed=3):
    """The masks of calls with these numbers of rows."""
    layer = MonteCarloDropout(RATE, seed=seed)
    ones = [np.ones((count, UNITS), "float32") for count in rows]
    return np.concatenate([ops.convert_to_numpy(layer(one)) for one in ones])


@pytest.mark.parametrize(
    ("batch_size", "rows"),
    [(1024, [700]), (700, [700]), (300, [300, 300, 100]), (7, [7] * 100)],
)
def test_one_call_is_a_hundred_calls_with_the_same_masks(batch_size, rows):
    model, x = make_model(), make_inputs()
    passes = predict_samples(model, x, 100, batch_size=batch_size)
    assert passes.shape == (100, 7, 2) and passes.dtype == "float32"
    masks = draw_masks(rows).reshape(100, 7, UNITS)
    expected = numpy_passes(model, x, masks)
    np.testing.assert_allclose(passes, expected, rtol=1e-5, atol=1e-5)


def test_batches_of_one_pass_are_calls_of_predict():
    """To the last bit: the same rows, and the same masks."""
    x = make_inputs()
    passes = predict_samples(make_model(), x, 5, batch_size=7)
    model = make_model()
    one_by_one = [model.predict(x, verbose=0) for _ in range(5)]
    np.testing.assert_array_equal(passes, one_by_one)


def test_passes_are_independent_of_each_other():
    """Of 20,000 passes: no pass and no example knows another's mask."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, MonteCarloDropout(0.5, seed=1)(inputs))
    kept = predict_samples(model, np.ones((4, 3)), 20_000) > 0
    columns = kept.reshape(20_000, 12).astype("float64")
    bound = 5 / np.sqrt(20_000)
    between = np.corrcoef(columns.T) - np.eye(12)
    assert np.abs(between).max() < bound
    lagged = [np.corrcoef(c[1:], c[:-1])[0, 1] for c in columns.T]
    assert np.abs(lagged).max() < bound


def test_a_batch_is_all_that_is_made_at_once(monkeypatch):
    seen = []
    model = make_model()
    predict = model.predict_on_batch

    def watch(rows):
        seen.append(len(rows))
        return predict(rows)

    monkeypatch.setattr(model, "predict_on_batch", watch)
    assert predict_samples(model, make_inputs(), 10, batch_size=32).any()
    assert seen == [32, 32, 6]


@pytest.mark.skipif(
    keras.config.backend() == "torch",
    reason="PyTorch takes one step an execution",
)
def test_steps_that_share_an_execution_change_nothing():
    one, five = make_model(), make_model()
    five.compile(steps_per_execution=5)
    x = make_inputs()
    np.testing.assert_array_equal(
        predict_samples(one, x, 20, batch_size=30),
        predict_samples(five, x, 20, batch_size=30),
    )


def test_default_is_100_samples():
    assert predict_samples(make_model(), make_inputs(2)).shape == (100, 2, 2)


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_several_inputs_and_outputs(kind):
    one, two = keras.Input((4,), name="one"), keras.Input((3, 2), name="two")
    outputs = {
        "sum": MonteCarloDropout(RATE)(layers.Dense(2)(one)),
        "steps": MonteCarloDropout(RATE)(two),
    }
    x = {"one": make_inputs(), "two": np.ones((7, 3, 2), "float32")}
    if kind == "list":
        model = keras.Model([one, two], list(outputs.values()))
        x = list(x.values())
    else:
        model = keras.Model({"one": one, "two": two}, outputs)
    found = predict_samples(model, x, 9, batch_size=10)
    assert type(found) is (list if kind == "list" else dict)
    first, second = found if kind == "list" else found.values()
    shapes = {first.shape, second.shape}
    assert shapes == {(9, 7, 2), (9, 7, 3, 2)}


def test_statistics_and_weights_stay_as_they_are():
    model = make_model(batch_norm=True)
    before = model.get_weights()
    predict_samples(model, make_inputs() + 5, 20)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_integers_stay_integers():
    inputs = keras.Input((3,), dtype="int32")
    vectors = layers.Embedding(5, 4)(inputs)
    model = keras.Model(inputs, MonteCarloDropout(RATE)(vectors))
    x = np.array([[0, 1, 4], [3, 3, 2]], "int32")
    assert predict_samples(model, x, 4).shape == (4, 2, 3, 4)


@pytest.mark.parametrize("kind", ["silent", "none", "one mask for all"])
def test_passes_that_are_all_the_same_are_reported(kind):
    inputs = keras.Input((4,))
    outputs = {
        "silent": lambda: layers.Dropout(0.5)(inputs, training=True),
        "none": lambda: layers.Dense(2)(inputs),
        "one mask for all": lambda: MonteCarloDropout(0.5, (1, 4))(inputs),
    }[kind]()
    model = keras.Model(inputs, outputs)
    x = make_inputs()
    with pytest.warns(UserWarning, match="no layer of the model is random"):
        passes = predict_samples(model, x, 3)
    np.testing.assert_array_equal(passes[0], passes[2])


def test_a_single_pass_is_no_reason_to_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert predict_samples(make_model(), make_inputs(), 1).shape[0] == 1


@pytest.mark.parametrize("name", ["samples", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True, None, "10"])
def test_sizes_are_checked(name, value):
    message = (
        f"Invalid value for argument `{name}`: expected a positive integer. "
        f"Received: {name}={value!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        predict_samples(make_model(), make_inputs(), **{name: value})


@pytest.mark.parametrize(
    ("x", "shapes"),
    [
        (np.zeros((0, 4)), "[(0, 4)]"),
        (np.zeros(()), "[()]"),
        ([np.zeros((2, 4)), np.zeros((3, 4))], "[(2, 4), (3, 4)]"),
    ],
)
def test_inputs_are_checked(x, shapes):
    message = (
        "Invalid value for argument `x`: expected arrays with the same number "
        "of examples along the first axis, at least one. Received: shapes "
        f"{shapes}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        predict_samples(make_model(), x)
