"""GradientNorms against formulas and applied updates, and inside `fit`."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.callbacks import GradientNorms

BACKEND = keras.config.backend()


def norms_of(model, data, **arguments):
    """What the callback measures, without a `fit`."""
    callback = GradientNorms(data, per_variable=True, **arguments)
    callback.set_model(model)
    return callback.evaluate()


def as_arrays(variables):
    """Copies of all values, those of seed generators among them."""
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def set_policy():
    """Sets the policy of whatever is made in a test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


# ----------------------------------------------------------------------
# Truth


def make_data(examples, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(examples, 3))
    return x, generator.normal(size=(examples, 2)), generator.random(examples)


def numpy_gradients(weights, x, y, sample_weight, penalty):
    """Of a tanh layer and a linear one under the mean squared error."""
    kernel, bias, out_kernel, out_bias = (w.astype("float64") for w in weights)
    hidden = np.tanh(x @ kernel + bias)
    error = hidden @ out_kernel + out_bias - y
    error *= 2 * sample_weight[:, None] / error.size
    back = error @ out_kernel.T * (1 - hidden**2)
    return {
        "first/kernel": x.T @ back + 2 * penalty * kernel,
        "first/bias": back.sum(0),
        "second/kernel": hidden.T @ error,
        "second/bias": error.sum(0),
    }


@functools.cache  # so that it is compiled once
def two_layers(penalty):
    keras.utils.set_random_seed(0)
    regularizer = keras.regularizers.L2(penalty) if penalty else None
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(
                4, "tanh", kernel_regularizer=regularizer, name="first"
            ),
            layers.Dense(2, name="second"),
        ],
        name="net",
    )
    # Neither clipping nor decay may show in the norm.
    model.compile(
        keras.optimizers.SGD(0.5, clipnorm=1e-3, weight_decay=0.1), "mse"
    )
    generator = np.random.default_rng(1)
    model.set_weights([generator.normal(size=w.shape) for w in model.weights])
    return model


@pytest.mark.parametrize(
    ("examples", "weighted", "penalty"),
    [(20, False, 0), (20, True, 0.3), (1, True, 0.3), (1, False, 0)],
)
def test_norms_by_formula(examples, weighted, penalty):
    model = two_layers(penalty)
    x, y, sample_weight = make_data(examples)
    data = (x, y, sample_weight) if weighted else (x, y)
    gradients = numpy_gradients(
        model.get_weights(),
        x,
        y,
        sample_weight if weighted else np.ones(examples),
        penalty,
    )
    expected = {
        f"gradient_norm/net/{path}": np.linalg.norm(gradient)
        for path, gradient in gradients.items()
    }
    whole = np.linalg.norm([*expected.values()])
    # Sums of a few dozen products in float32.
    assert norms_of(model, data) == pytest.approx(
        {"gradient_norm": whole, **expected}, rel=1e-5
    )
    named = norms_of(model, data, name="norm")
    assert list(named) == [
        "norm",
        *(path.replace("gradient_norm", "norm") for path in expected),
    ]


class Penalised(layers.Layer):
    """Adds to the loss what depends on its inputs."""

    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


class OwnLoss(keras.Model):
    """Has its own idea of a loss, and of a training step."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return ops.sum(ops.power(y_pred, 4)) * 0.1


def embedding():
    # A row that occurs several times: its gradients come apart on TensorFlow.
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(4, 3, mask_zero=True)(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.LSTM(3)(x)))


def several():
    shapes = {"a": (3,), "b": (4, 2)}
    inputs = {name: keras.Input(shapes[name], name=name) for name in shapes}
    pooled = layers.GlobalMaxPooling1D()(layers.Conv1D(3, 2)(inputs["b"]))
    x = layers.Concatenate()([layers.Dense(2)(inputs["a"]), pooled])
    x = layers.Dense(3, "relu", activity_regularizer="l1")(x)
    outputs = {
        "u": layers.Dense(1, name="u")(x),
        "v": layers.Dense(3, "softmax", name="v")(x),
    }
    return keras.Model(inputs, outputs)


def unused():
    """A model with a layer that the loss does not depend on."""
    inputs = keras.Input((3,))
    x = layers.Dense(2)(inputs)
    return keras.Model(inputs, [x, layers.Dense(2)(x)])


def with_data(name):
    """A built model, its loss and a batch."""
    generator = np.random.default_rng(2)
    x, y, sample_weight = make_data(6)
    words = generator.integers(0, 4, (6, 5))
    numbers = generator.normal(size=(6, 4, 2))
    labels = generator.integers(0, 3, 6)
    losses = {"u": "mse", "v": "sparse_categorical_crossentropy"}
    return {
        "embedding": (embedding, "mse", (words, y, sample_weight)),
        "several": (
            several,
            losses,
            (
                {"a": x, "b": numbers},
                {"u": y[:, :1], "v": labels},
                {"u": sample_weight, "v": sample_weight[::-1].copy()},
            ),
        ),
        "no targets": (
            lambda: keras.Sequential([layers.Dense(2), Penalised()]),
            None,
            (x, None),
        ),
        "own loss": (OwnLoss, None, (x, y)),
        "frozen": (frozen, "mse", (x, y)),
        "one of two outputs": (unused, ["mse", None], (x, [y, y])),
    }[name]


def frozen():
    first = layers.Dense(4, trainable=False)
    return keras.Sequential([first, layers.Dense(2)])


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(
    "name",
    [
        "embedding",
        "several",
        "no targets",
        "own loss",
        "frozen",
        "one of two outputs",
    ],
)
def test_norms_are_those_of_the_applied_update(name):
    """What plain SGD takes off the weights at a rate of 1."""
    keras.utils.set_random_seed(0)
    make, loss, data = with_data(name)
    model = make()
    model.compile(keras.optimizers.SGD(1.0), loss)
    model(
        keras.tree.map_structure(lambda leaf: leaf.astype("float32"), data[0])
    )
    before = as_arrays(model.trainable_variables)
    found = norms_of(model, data)
    assert_equal(as_arrays(model.trainable_variables), before)
    model.train_on_batch(*data)
    after = as_arrays(model.trainable_variables)
    updates = [
        np.linalg.norm(a - b) for a, b in zip(after, before, strict=True)
    ]
    # A difference of weights of about 1 is rounded to a ten-millionth.
    assert [*found.values()] == pytest.approx(
        [np.linalg.norm(updates), *updates], rel=1e-5, abs=1e-6
    )
    assert found["gradient_norm"] > 0.01


def total(y_true, y_pred):
    return ops.sum(y_pred)


@functools.cache
def linear():
    """A model whose gradient is the sum of its inputs."""
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(1, use_bias=False)]
    )
    model.compile("sgd", total)
    model.layers[0].kernel.assign(np.zeros((2, 1)))
    return model


@pytest.mark.parametrize(
    ("x", "norm"),
    [
        ([[3, 4]], 5),
        ([[0, 0]], 0),
        # Squares of these do not fit into 32 bits.
        ([[3e30, 4e30]], 5e30),
        ([[3e-30, 4e-30]], 5e-30),
        ([[3e38, 0], [3e38, 0]], np.inf),
        ([[-3e38, 1], [-3e38, 1]], np.inf),
        ([[np.nan, 1]], np.nan),
        ([[np.inf, 1], [-np.inf, 1]], np.nan),
    ],
)
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")
def test_the_range_of_a_norm(x, norm):
    x = np.array(x, "float64")
    found = norms_of(linear(), (x, np.zeros((len(x), 1))))
    assert [*found.values()] == pytest.approx([norm] * 2, rel=1e-6, nan_ok=True)


def test_only_the_network_computes_in_half_precision(set_policy):
    """Targets and loss beyond 65,504, the largest float of 16 bits."""
    set_policy("mixed_float16")
    last = layers.Dense(1, use_bias=False, dtype="float32")
    model = keras.Sequential([keras.Input((2,)), layers.Flatten(), last])
    model.compile("sgd", "mse")
    last.kernel.assign(np.zeros((2, 1)))
    found = norms_of(model, (np.array([[3.0, 4.0]]), np.array([[1e5]])))
    assert found["gradient_norm"] == pytest.approx(2 * 1e5 * 5, rel=1e-6)


# ----------------------------------------------------------------------
# Training is left as it was


class Draws(layers.Layer):
    """Draws random numbers and counts, at inference as well."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(7)

    def build(self, input_shape):
        self.count = self.add_weight(
            shape=(), initializer="zeros", trainable=False
        )

    def call(self, inputs):
        self.count.assign(self.count + 1)
        shape = inputs.shape[1:]
        return inputs + 0.1 * keras.random.normal(
            shape, dtype=inputs.dtype, seed=self.seed_generator
        )


def train(callbacks, **compiled):
    """Everything that a `fit` leaves behind."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(
                4,
                kernel_constraint=keras.constraints.UnitNorm(),
                kernel_regularizer="l2",
            ),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            Draws(),
            layers.Dense(2, dtype="float32"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, 0.9, clipnorm=0.1, weight_decay=0.1)
    model.compile(optimizer, "mse", metrics=["mae"], **compiled)
    x, y, sample_weight = make_data(12)
    history = model.fit(
        x,
        y,
        sample_weight=sample_weight,
        batch_size=4,
        epochs=2,
        callbacks=callbacks,
        verbose=0,
    ).history
    variables = [*model.variables, *model.optimizer.variables]
    return as_arrays(variables), history


class Often(keras.callbacks.Callback):
    """Measures after each batch, by another callback."""

    def __init__(self, norms):
        super().__init__()
        self.norms = norms
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.norms.evaluate()["gradient_norm"])


@pytest.mark.parametrize(
    "settings",
    [
        {"jit_compile": True},
        {"steps_per_execution": 2, "policy": "mixed_bfloat16"},
        {"run_eagerly": True, "policy": "mixed_float16"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_training_is_left_as_it_was(settings, set_policy):
    settings = dict(settings)
    set_policy(settings.pop("policy", "float32"))
    if BACKEND == "torch":
        # PyTorch executes every batch on its own, and needs a C++ compiler
        # and many seconds for `jit_compile`.
        settings["jit_compile"] = False
        settings.pop("steps_per_execution", None)
    before, history_before = train([], **settings)
    norms = GradientNorms(make_data(10))
    often = Often(norms)
    after, history = train([norms, often], **settings)
    assert_equal(after, before)
    measured = history.pop("gradient_norm")
    assert history == history_before
    batches = 4 if "steps_per_execution" in settings else 6
    assert len(often.seen) == len(set(often.seen)) == batches
    assert len(measured) == 2 and np.all(np.isfinite(measured + often.seen))


@pytest.mark.skipif(
    BACKEND == "torch", reason="There Keras cannot train a stateful layer."
)
def test_states_are_put_back():
    inputs = keras.Input((4, 2), batch_size=3)
    layer = layers.GRU(3, stateful=True)
    nested = keras.Sequential([layers.Bidirectional(layer)])
    model = keras.Model(inputs, layers.Dense(1)(nested(inputs)))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(3, 4, 2)), generator.normal(size=(3, 1))
    model(x.astype("float32"))
    before = as_arrays(model.variables)
    both = nested.layers[0]
    states = keras.tree.flatten(
        [both.forward_layer.states, both.backward_layer.states]
    )
    assert all(np.abs(state).max() > 0 for state in as_arrays(states))
    kept = as_arrays(states)
    assert norms_of(model, (x, y))["gradient_norm"] > 0
    assert_equal(as_arrays(model.variables), before)
    assert_equal(as_arrays(states), kept)


def test_the_norm_changes_with_the_weights_alone():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dropout(0.5), layers.Dense(2)]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y, _ = make_data(8)
    norms = GradientNorms((x, y))
    history = model.fit(x, y, epochs=3, callbacks=[norms], verbose=0).history
    assert len(set(history["gradient_norm"])) == 1
    assert norms.evaluate()["gradient_norm"] == history["gradient_norm"][0]


# ----------------------------------------------------------------------
# In `fit`


def test_callbacks_after_it_see_the_norm():
    model = two_layers(0)
    x, y, _ = make_data(8)
    # No norm is so much lower than the first: the second is the last.
    stopping = keras.callbacks.EarlyStopping(
        "gradient_norm", mode="min", min_delta=1e9, patience=1
    )
    own = keras.callbacks.History()
    history = model.fit(
        x,
        y,
        epochs=5,
        callbacks=[
            GradientNorms((x, y)),
            GradientNorms((x, y), per_variable=True, name="whole"),
            stopping,
            own,
        ],
        verbose=0,
    ).history
    assert stopping.stopped_epoch == 1
    for seen in (history, own.history):
        assert [len(values) for values in seen.values()] == [2] * len(seen)
        assert list(seen) == [
            "loss",
            "gradient_norm",
            "whole",
            "whole/net/first/kernel",
            "whole/net/first/bias",
            "whole/net/second/kernel",
            "whole/net/second/bias",
        ]
    assert history["whole"] == history["gradient_norm"]


class Counts(layers.Layer):
    """Counts in Python how often it is called: once for each compilation."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs


@pytest.mark.skipif(
    BACKEND == "torch", reason="PyTorch compiles nothing unless it is told to."
)
def test_it_is_compiled_once_in_a_fit():
    counter = Counts()
    model = keras.Sequential([keras.Input((3,)), counter, layers.Dense(2)])
    model.compile("sgd", "mse")
    x, y, _ = make_data(8)
    for _ in range(2):
        norms = GradientNorms((x, y))
        calls = []
        watch = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, calls=calls: calls.append(
                counter.calls
            )
        )
        model.fit(x, y, epochs=4, callbacks=[norms, watch], verbose=0)
        assert len(calls) == 4 and len(set(calls)) == 1


def test_serves_a_second_fit():
    """The loss weighs more, then the model is another and not yet built."""
    x, y, _ = make_data(8)
    norms = GradientNorms((x, y))
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    found = []
    for loss_weights in (1.0, 3.0):
        model.compile(
            keras.optimizers.SGD(0.0), "mse", loss_weights=loss_weights
        )
        history = model.fit(x, y, callbacks=[norms], verbose=0).history
        found += history["gradient_norm"]
    assert found[1] == pytest.approx(3 * found[0], rel=1e-5)
    other = keras.Sequential([layers.Dense(5), layers.Dense(2)])
    other.compile(keras.optimizers.SGD(0.1), "mse")
    history = other.fit(x, y, epochs=2, callbacks=[norms], verbose=0).history
    assert len(set(history["gradient_norm"])) == 2
    expected = norms_of(other, (x, y))["gradient_norm"]
    assert history["gradient_norm"][-1] == pytest.approx(expected, rel=1e-6)


class Twins(keras.Model):
    """Two layers of one name, as nested models may have them."""

    def __init__(self):
        super().__init__(name="twins")
        self.parts = [layers.Dense(1, use_bias=False, name="d") for _ in "ab"]

    def call(self, inputs):
        return sum(part(inputs) * i for i, part in enumerate(self.parts, 1))


def test_variables_of_one_name_are_told_apart():
    model = Twins()
    model.compile("sgd", total)
    x = np.array([[3.0, 4.0]])
    model(x)
    found = norms_of(model, (x, np.zeros((1, 1))))
    path = "gradient_norm/twins/d/kernel"
    assert found == pytest.approx(
        {"gradient_norm": 125**0.5, path: 5, f"{path}_2": 10}
    )


def test_takes_tensors_and_numpy_floats():
    model = two_layers(0)
    x, y, _ = make_data(8)
    expected = norms_of(model, (x, y))
    tensors = ops.convert_to_tensor(x, "float32"), y.astype("float32")
    assert norms_of(model, [*tensors, None]) == expected


# ----------------------------------------------------------------------
# Bad input

X, Y = np.zeros((4, 2)), np.zeros((4, 1))
DATA = "Invalid value for argument `data`: expected "
PAIR = DATA + "a tuple (x, y) or (x, y, sample_weight). Received: "
ARRAYS = (
    DATA + "arrays with the same number of examples along the first axis, at "
    "least one. Received: shapes "
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": X}, PAIR + "ndarray"),
        ({"data": None}, PAIR + "NoneType"),
        ({"data": (X,)}, PAIR + "tuple of length 1"),
        ({"data": [X, Y, Y, Y]}, PAIR + "list of length 4"),
        ({"data": (None, Y)}, ARRAYS + "(), (4, 1)"),
        ({"data": (X, 1.0)}, ARRAYS + "(4, 2), ()"),
        ({"data": (1.0, None)}, ARRAYS + "()"),
        ({"data": (X[:3], Y)}, ARRAYS + "(3, 2), (4, 1)"),
        ({"data": (X[:0], Y[:0])}, ARRAYS + "(0, 2), (0, 1)"),
        ({"data": ([X, X[:3]], Y)}, ARRAYS + "(4, 2), (3, 2), (4, 1)"),
        ({"data": (X, Y, np.ones(5))}, ARRAYS + "(4, 2), (4, 1), (5,)"),
        *(
            (
                {"per_variable": value},
                "Invalid value for argument `per_variable`: expected a "
                f"boolean. Received: per_variable={value!r}",
            )
            for value in (1, "yes", None)
        ),
        *(
            (
                {"name": name},
                "Invalid value for argument `name`: expected a name, a "
                f"string. Received: {name!r}",
            )
            for name in ("", None, 3)
        ),
    ],
)
def test_constructor_refuses(arguments, message):
    with pytest.raises(ValueError) as error:
        GradientNorms(**{"data": (X, Y), **arguments})
    assert str(error.value) == message


@pytest.mark.filterwarnings("ignore:.*model does not have any trainable")
def test_a_model_without_weights_is_refused():
    model = keras.Sequential([keras.Input((2,)), layers.Flatten()])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError) as error:
        model.fit(X, X, callbacks=[GradientNorms((X, X))], verbose=0)
    assert str(error.value) == (
        "GradientNorms measures a gradient: expected a model with trainable "
        "weights. Received: a model without any"
    )


@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_a_name_that_the_logs_hold_already(name):
    norms = GradientNorms((np.zeros((1, 2)), np.zeros((1, 1))), name=name)
    norms.set_model(linear())
    with pytest.raises(ValueError) as error:
        norms.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
    assert str(error.value) == (
        "Invalid value for argument `name`: expected a name that no metric "
        f"or other callback uses. Received: {name!r}, but the logs hold loss, "
        "val_loss"
    )


def test_evaluate_needs_a_model():
    message = (
        "GradientNorms has no model to measure: expected `evaluate` to be "
        "called after `fit`, or after `set_model` with a model that is built "
        "and compiled. Received: model="
    )
    norms = GradientNorms((X, Y))
    with pytest.raises(ValueError) as error:
        norms.evaluate()
    assert str(error.value) == message + "None"
    uncompiled = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    unbuilt = keras.Sequential([layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    for model in (uncompiled, unbuilt):
        norms.set_model(model)
        with pytest.raises(ValueError) as error:
            norms.evaluate()
        assert str(error.value) == message + repr(model)
