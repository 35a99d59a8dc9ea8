"""ResetStates: when it resets, what it resets, and that it refuses misuse."""

import functools
import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.callbacks import ResetStates, reset_model_states


@keras.saving.register_keras_serializable(package="tests")
class CountBatches(layers.Layer):
    """Adds to its inputs how many batches it has seen since the last reset.

    A weight holds the state, so that every backend carries it.
    """

    stateful = True

    def build(self, input_shape):
        self.count = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="count"
        )

    def call(self, inputs):
        self.count.assign(self.count + 1.0)
        return inputs + self.count

    def reset_state(self):
        self.count.assign(0.0)


class Watch(keras.callbacks.Callback):
    """Notes the count after every batch."""

    def __init__(self, counter):
        super().__init__()
        self.counter = counter
        self.seen = []

    def note(self, batch, logs=None):
        _ = self.model  # on JAX this brings the variables up to date
        self.seen.append(int(ops.convert_to_numpy(self.counter.count.value)))

    on_train_batch_end = on_test_batch_end = on_predict_batch_end = note


@functools.cache  # so that it is compiled once
def counting_model(**compile_arguments):
    """A model that has a weight to train, and its count."""
    counter = CountBatches()
    model = keras.Sequential([keras.Input((1,)), counter, layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", **compile_arguments)
    return model, counter


def counts_in_fit(callback, batches, epochs, **arguments):
    """The counts after the batches of a `fit`, validation's among them."""
    model, counter = counting_model()
    counter.count.assign(100.0)  # as an earlier `predict` may leave it
    watch = Watch(counter)
    x = np.zeros((2 * batches, 1))
    model.fit(
        x,
        x,
        batch_size=2,
        epochs=epochs,
        shuffle=False,
        callbacks=[callback, watch],
        verbose=0,
        **arguments,
    )
    return watch.seen


# ----------------------------------------------------------------------
# When


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]),
        ({"every": 5}, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]),
        ({"every": 2}, [1, 2, 1, 2, 1, 1, 2, 1, 2, 1]),
        ({"every": 1}, [1] * 10),
        ({"every": 100}, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]),
        ({"every": 2, "each_epoch": False}, [1, 2] * 5),
        ({"every": 4, "each_epoch": False}, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]),
    ],
)
def test_resets_in_fit(arguments, expected):
    assert counts_in_fit(ResetStates(**arguments), 5, 2) == expected


def test_without_it_nothing_is_ever_reset():
    nothing = keras.callbacks.Callback()
    assert counts_in_fit(nothing, 3, 2) == [101, 102, 103, 104, 105, 106]


def test_every_fit_begins_afresh():
    callback = ResetStates(every=4, each_epoch=False)
    for _ in range(2):
        assert counts_in_fit(callback, 3, 1) == [1, 2, 3]


def test_validation_has_fresh_states_and_training_goes_on():
    x = np.zeros((4, 1))
    arguments = {"validation_data": (x, x), "validation_batch_size": 2}
    assert counts_in_fit(ResetStates(), 3, 2, **arguments) == (
        [*[1, 2, 3], *[1, 2], *[1, 2, 3], *[1, 2]]
    )
    assert counts_in_fit(
        ResetStates(every=4, each_epoch=False), 3, 3, **arguments
    ) == ([*[1, 2, 3], *[1, 2], *[4, 1, 2], *[1, 2], *[3, 4, 1], *[1, 2]])


def test_resets_in_evaluate_and_predict():
    model, counter = counting_model()
    x = np.zeros((10, 1))
    for arguments, expected in (
        ({}, [1, 2, 3, 4, 5]),
        ({"every": 3}, [1, 2, 3, 1, 2]),
        ({"every": 3, "each_epoch": False}, [1, 2, 3, 1, 2]),
    ):
        callback = ResetStates(**arguments)
        for _ in range(2):
            for method, more in ((model.predict, []), (model.evaluate, [x])):
                watch = Watch(counter)
                method(
                    x,
                    *more,
                    batch_size=2,
                    callbacks=[callback, watch],
                    verbose=0,
                )
                assert watch.seen == expected


def test_predictions_come_from_the_states_that_were_reset():
    """On JAX an assignment to a variable can be lost: not here."""
    model = keras.Sequential([keras.Input((1,)), CountBatches()])
    x = np.zeros((6, 1))
    reset = ResetStates(every=2)
    predictions = model.predict(x, batch_size=1, callbacks=[reset], verbose=0)
    assert predictions[:, 0].tolist() == [1, 2, 1, 2, 1, 2]
    # The state after the last batch is there to go on from.
    predictions = model.predict(x, batch_size=1, verbose=0)
    assert predictions[:, 0].tolist() == [3, 4, 5, 6, 7, 8]
    reset_model_states(model)
    predictions = model.predict(x[:1], batch_size=1, verbose=0)
    assert predictions[:, 0].tolist() == [1]


@pytest.mark.skipif(
    keras.config.backend() == "torch",
    reason="PyTorch executes every batch on its own.",
)
def test_several_batches_in_one_execution():
    model, counter = counting_model(steps_per_execution=2)
    x = np.zeros((12, 1))
    watch = Watch(counter)
    callbacks = [ResetStates(every=4), watch]
    model.fit(x, x, batch_size=2, shuffle=False, callbacks=callbacks, verbose=0)
    assert watch.seen == [2, 4, 2]


def test_a_sequence_cannot_end_within_an_execution():
    model, _ = counting_model(steps_per_execution=2)
    callback = ResetStates(every=3)
    callback.set_model(model)
    message = (
        "Invalid value for argument `every`: expected a multiple of the 2 "
        "batches that the model makes one execution of. Received: every=3"
    )
    for begin in (
        callback.on_train_begin,
        callback.on_test_begin,
        callback.on_predict_begin,
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            begin()


# ----------------------------------------------------------------------
# What


class FromOnes(layers.SimpleRNNCell):
    """A cell that starts from ones."""

    def get_initial_state(self, batch_size=None):
        return [ops.ones((batch_size, self.units))]


class Parts(keras.Model):
    """Stateful layers in a list, in a dict, and in a layer of its own."""

    def __init__(self):
        super().__init__()
        self.several = [layers.LSTM(3, stateful=True, return_sequences=True)]
        self.named = {
            "gru": layers.GRU(3, stateful=True, return_sequences=True)
        }
        self.wrapped = Wrapper()

    def call(self, inputs):
        x = self.named["gru"](self.several[0](inputs))
        return self.wrapped(x)


class Wrapper(layers.Layer):
    """A layer that holds another."""

    def __init__(self):
        super().__init__()
        self.inner = layers.SimpleRNN(2, stateful=True)

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, inputs):
        return self.inner(inputs)


def series(shape=(4, 2), batch_size=3):
    return keras.Input(shape, batch_size=batch_size)


def of_one(layer, inputs=None):
    inputs = series() if inputs is None else inputs
    return keras.Model(inputs, layer(inputs))


def nested():
    inner = of_one(
        layers.Bidirectional(
            layers.GRU(3, stateful=True, return_sequences=True)
        )
    )
    middle = keras.Sequential([series(), inner, layers.LSTM(2, stateful=True)])
    inputs = series()
    return keras.Model(inputs, layers.Dense(1)(middle(inputs)))


def subclass():
    model = Parts()
    model(np.zeros((3, 4, 2), "float32"))
    return model


# Name to a model, and the number of variables in its states.
MODELS = {
    "LSTM": (lambda: of_one(layers.LSTM(3, stateful=True)), 2),
    "GRU": (lambda: of_one(layers.GRU(3, stateful=True)), 1),
    "SimpleRNN": (lambda: of_one(layers.SimpleRNN(3, stateful=True)), 1),
    "stacked cells": (
        lambda: of_one(
            layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], stateful=True)
        ),
        3,
    ),
    "starts from ones": (
        lambda: of_one(layers.RNN(FromOnes(3), stateful=True)),
        1,
    ),
    "ConvLSTM1D": (
        lambda: of_one(
            layers.ConvLSTM1D(2, 3, stateful=True), series((4, 6, 2))
        ),
        2,
    ),
    "Bidirectional": (
        lambda: of_one(layers.Bidirectional(layers.LSTM(3, stateful=True))),
        4,
    ),
    "mixed precision": (
        lambda: of_one(layers.LSTM(3, stateful=True, dtype="mixed_bfloat16")),
        2,
    ),
    "nested": (nested, 4),
    "subclass": (subclass, 4),
}


def states_of(model):
    """All state variables below a model, by Keras' own list of layers."""
    found = {}
    for layer in model._flatten_layers():
        states = keras.tree.flatten(getattr(layer, "states", None) or [])
        found.update({id(state): state for state in states})
    return list(found.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_stateful_layer_starts_anew(name):
    make, count = MODELS[name]
    model = make()
    states = states_of(model)
    assert len(states) == count
    reset_model_states(model)
    ones = name == "starts from ones"
    shape = (3, 4, 6, 2) if name == "ConvLSTM1D" else (3, 4, 2)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    first = run(model, x)
    for state in states:
        state.assign(np.full(state.shape, 0.5))
    assert np.abs(run(model, x) - first).max() > 1e-3
    reset_model_states(model)
    for state in states:
        np.testing.assert_array_equal(
            ops.convert_to_numpy(state.value), float(ones)
        )
    np.testing.assert_array_equal(run(model, x), first)


def run(model, x):
    """Outputs of a direct call, which carries states on every backend."""
    return np.array(ops.convert_to_numpy(ops.cast(model(x), "float32")))


def test_layers_without_state_are_left_alone():
    """`TextVectorization.reset_state` would throw its vocabulary away."""
    words = layers.TextVectorization(output_mode="int", vocabulary=["a", "b"])
    model = keras.Sequential([CountBatches(), layers.LSTM(2)])
    model.words = words
    model.build((3, 4, 2))
    reset_model_states(model)
    assert words.get_vocabulary() == ["", "[UNK]", "a", "b"]
    assert model.layers[1].states is None


def test_keras_has_no_reset_of_a_whole_model():
    """When it has one again, the docstring must say something else."""
    assert not hasattr(keras.Model, "reset_state")
    assert not hasattr(keras.Model, "reset_states")
    layer = layers.RNN([layers.GRUCell(2), layers.GRUCell(2)], stateful=True)
    of_one(layer)
    with pytest.raises(AttributeError):
        layer.reset_state()


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_model_without_stateful_layers_is_refused(method):
    model = keras.Sequential(
        [series(), layers.LSTM(2), layers.Dense(1)], name="forgetful"
    )
    model.compile("sgd", "mse")
    x, y = np.zeros((3, 4, 2)), np.zeros((3, 1))
    data = (x,) if method == "predict" else (x, y)
    message = (
        "There is nothing to reset: expected a model with a layer of "
        "`stateful=True`. Received: a model without one, named 'forgetful'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(model, method)(
            *data, batch_size=3, callbacks=[ResetStates()], verbose=0
        )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reset_model_states(model)


def test_integers_of_numpy_are_integers():
    every = ResetStates(every=np.int64(3)).every
    assert every == 3 and type(every) is int
