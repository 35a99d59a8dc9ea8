"""ValidationF1 against counts, NumPy, Keras' own metric, and inside `fit`."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from kerasrecipes.callbacks import ValidationF1

# Keras 3.15 and torch read variables by an `__array__` without the argument
# `copy`, which NumPy 2 deprecates: `predict` on torch, `get_weights` on JAX
# and torch, `ReduceLROnPlateau` and saving everywhere.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept:DeprecationWarning"
)

AVERAGES = ("binary", "micro", "macro", "weighted")


class Replay:
    """Stands for a model whose predictions are its inputs."""

    def predict(self, x, batch_size=None, verbose="auto"):
        return x

    predict_on_batch = predict


def score(outputs, y, **arguments):
    """F1 of given outputs, without a network."""
    callback = ValidationF1((np.asarray(outputs), y), **arguments)
    callback.set_model(Replay())
    return callback.evaluate()["val_f1"]


def one_hot(labels, classes):
    return np.eye(classes, dtype="int64")[labels]


def twin(true, predicted, average):
    """F1 from the counts of two tables of zeros and ones, class by class."""
    counts = []
    for column in range(true.shape[1]):
        tp = fp = fn = 0
        for t, p in zip(true[:, column], predicted[:, column], strict=True):
            tp += t == 1 and p == 1
            fp += t == 0 and p == 1
            fn += t == 1 and p == 0
        counts.append((tp, fp, fn))

    def f1(tp, fp, fn):
        return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0

    each = [f1(*count) for count in counts]
    support = [tp + fn for tp, fp, fn in counts]
    if average == "binary":
        return each[1]
    if average == "micro":
        return f1(*np.sum(counts, axis=0))
    if average == "macro":
        return sum(each) / len(each)
    return float(np.dot(each, support)) / max(sum(support), 1)


def make_data(examples=60, features=4):
    generator = np.random.default_rng(3)
    x = generator.normal(size=(examples, features)).astype("float32")
    y = (x[:, 0] + 0.5 * x[:, 1] > 0.3).astype("int64")
    return x, y


def make_model(*, features=4, units=1, rate=0.1, activation="sigmoid"):
    """One layer; at a rate of 0 its weights never change."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(units, activation=activation),
        ]
    )
    loss = "binary_crossentropy" if units == 1 else "mse"
    model.compile(keras.optimizers.SGD(rate), loss)
    return model


def fit(model, callbacks, epochs=1, data=None, **arguments):
    x, y = make_data() if data is None else data
    return model.fit(
        x, y, epochs=epochs, verbose=0, callbacks=callbacks, **arguments
    ).history


# Truth


def test_counts_by_hand():
    # Two true positives, one false positive, two false negatives:
    # 2 * 2 / (2 * 2 + 1 + 2).
    y = [1, 1, 1, 1, 0, 0, 0]
    outputs = [[0.9], [0.8], [0.1], [0.2], [0.7], [0.3], [0.4]]
    assert score(outputs, y) == pytest.approx(4 / 7, abs=1e-12)
    # Class 0 has 2 true positives, 2 false positives, 1 false negative.
    assert score(outputs, y, average="macro") == pytest.approx(4 / 7)
    assert score(outputs, y, average="micro") == pytest.approx(4 / 7)
    y = [1, 1, 1, 1, 1, 0, 0]
    # Class 1: 3, 0, 2. Class 0: 2, 2, 0.
    assert score(outputs, y) == pytest.approx(6 / 8)
    assert score(outputs, y, average="macro") == pytest.approx(
        (6 / 8 + 4 / 6) / 2
    )
    assert score(outputs, y, average="weighted") == pytest.approx(
        (5 * 6 / 8 + 2 * 4 / 6) / 7
    )
    # Both classes together: five of seven.
    assert score(outputs, y, average="micro") == pytest.approx(5 / 7)


@st.composite
def classifications(draw):
    """Outputs, y in some form, both as tables of labels, an average."""
    examples = draw(st.integers(1, 25))
    classes = draw(st.integers(2, 5))
    form = draw(st.sampled_from(["one column", "integers", "one-hot", "multi"]))
    if form == "one column":
        classes = 2
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    # Rounding makes ties and outputs that equal the threshold.
    outputs = generator.random((examples, classes)).round(1)
    labels = generator.integers(0, draw(st.integers(1, classes)), examples)
    predicted = one_hot(outputs.argmax(axis=1), classes)
    true = one_hot(labels, classes)
    y = {"integers": labels, "one-hot": true, "one column": labels}.get(form)
    if form == "one column":
        outputs = outputs[:, :1]
        predicted = one_hot((outputs[:, 0] > 0.5).astype(int), 2)
    if form == "multi":
        true = generator.integers(0, 2, (examples, classes))
        # No row of zeros and ones may look one-hot throughout.
        true[0] = draw(st.sampled_from([0, 1]))
        predicted = (outputs > 0.5).astype(int)
        y = true
    averages = AVERAGES
    if classes > 2 or form == "multi":
        averages = AVERAGES[1:]
    return outputs, y, true, predicted, draw(st.sampled_from(averages))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(classifications())
def test_equals_the_counts_in_every_average(case):
    outputs, y, true, predicted, average = case
    assert score(outputs, y, average=average) == pytest.approx(
        twin(true, predicted, average), abs=1e-7
    )


@settings(max_examples=50, deadline=None, derandomize=True)
@given(classifications(), st.integers(0, 1000))
def test_order_of_the_examples_plays_no_part(case, seed):
    outputs, y, _, _, average = case
    order = np.random.default_rng(seed).permutation(len(outputs))
    expected = score(outputs, y, average=average)
    assert score(outputs[order], y[order], average=average) == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize(
    ("outputs", "y", "average", "expected"),
    [
        # No positive prediction: recall and F1 are 0.
        ([[0.1], [0.2], [0.3]], [0, 1, 1], "binary", 0.0),
        # One class only in y, found or not.
        ([[0.9], [0.8]], [1, 1], "binary", 1.0),
        ([[0.1], [0.2]], [0, 0], "binary", 0.0),
        ([[0.1], [0.2]], [0, 0], "macro", 0.5),
        ([[0.1], [0.2]], [0, 0], "weighted", 1.0),
        # One example.
        ([[0.9]], [1], "binary", 1.0),
        ([[0.9]], [0], "binary", 0.0),
        # Class 2 is neither there nor predicted: it counts as 0, and macro
        # divides by all three classes.
        ([[0.9, 0.1, 0], [0.1, 0.9, 0]], [0, 1], "macro", 2 / 3),
        ([[0.9, 0.1, 0], [0.1, 0.9, 0]], [0, 1], "weighted", 1.0),
        # Multi-label: the middle class is absent, one row has no label.
        ([[0.9, 0, 0.9], [0.1, 0, 0]], [[1, 0, 1], [0, 0, 0]], "macro", 2 / 3),
        ([[0, 0]], [[0, 0]], "micro", 0.0),
        ([[0, 0]], [[0, 0]], "weighted", 0.0),
    ],
)
def test_edges(outputs, y, average, expected):
    assert score(outputs, y, average=average) == pytest.approx(expected)


def test_default_average():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 40)
    for columns in (1, 2):
        outputs = generator.random((40, columns))
        assert score(outputs, y) == score(outputs, y, average="binary")
    outputs = generator.random((40, 3))
    assert score(outputs, y) == score(outputs, y, average="macro")
    # Two columns of zeros and ones with empty rows are two labels.
    tags = generator.integers(0, 2, (40, 2))
    outputs = generator.random((40, 2))
    assert score(outputs, tags) == score(outputs, tags, average="macro")


def test_micro_of_single_labels_is_the_accuracy():
    generator = np.random.default_rng(0)
    y, outputs = generator.integers(0, 4, 50), generator.random((50, 4))
    assert score(outputs, y, average="micro") == pytest.approx(
        np.mean(y == outputs.argmax(axis=1))
    )


def test_every_form_of_two_labels_gives_one_score():
    generator = np.random.default_rng(1)
    labels, outputs = generator.integers(0, 2, 31), generator.random((31, 1))
    expected = score(outputs, labels)
    assert 0 < expected < 1
    forms = [
        labels.tolist(),
        labels[:, np.newaxis],
        labels.astype(bool),
        labels.astype("uint8"),
        labels.astype("float32"),
        labels.astype("float32")[:, np.newaxis],
        one_hot(labels, 2),
        one_hot(labels, 2).astype("float32"),
        keras.ops.convert_to_tensor(labels),
    ]
    two = np.hstack([1 - outputs, outputs])
    for y in forms:
        assert score(outputs, y) == expected
        assert score(outputs[:, 0], y) == expected
        assert score(two, y) == expected


def test_every_form_of_many_labels_gives_one_score():
    generator = np.random.default_rng(1)
    labels, outputs = generator.integers(0, 5, 31), generator.random((31, 5))
    expected = score(outputs, labels)
    assert 0 < expected < 1
    for y in (labels[:, np.newaxis], one_hot(labels, 5), labels.astype(float)):
        assert score(outputs, y) == expected


def test_threshold_is_in_the_unit_of_the_outputs():
    generator = np.random.default_rng(2)
    y, logits = generator.integers(0, 2, 50), generator.normal(size=(50, 1))
    sigmoid = 1 / (1 + np.exp(-logits))
    assert score(logits, y, threshold=0.0) == score(sigmoid, y)
    assert score(sigmoid, y, threshold=0.8) != score(sigmoid, y)
    # Greater than, as keras.metrics.F1Score has it.
    assert score([[0.5], [0.6]], [0, 1]) == 1.0
    # Several columns of one label each: the greatest wins at any threshold.
    outputs = generator.random((50, 3))
    assert score(outputs, y, threshold=9) == score(outputs, y)


# Peers


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
def test_agrees_with_the_metric_of_keras(average):
    generator = np.random.default_rng(4)
    outputs = generator.random((200, 4)).astype("float32")
    single = one_hot(generator.integers(0, 3, 200), 4)
    multiple = generator.integers(0, 2, (200, 4))
    for y, threshold in ((single, None), (multiple, 0.3)):
        metric = keras.metrics.F1Score(average, threshold)
        # In several steps: it sums counts, not scores.
        for start in range(0, 200, 70):
            metric.update_state(
                y[start : start + 70], outputs[start : start + 70]
            )
        # Keras adds an epsilon of 1e-7 to each denominator.
        assert score(
            outputs, y, average=average, threshold=threshold or 0.5
        ) == pytest.approx(float(metric.result()), abs=1e-6)


def test_the_metric_of_keras_calls_one_column_positive_throughout():
    y, outputs = np.array([[1], [1], [0]]), np.array([[0.9], [0.2], [0.1]])
    metric = keras.metrics.F1Score("micro")
    metric.update_state(y, outputs)
    # The greatest of a single column is that column: two of three are right.
    assert float(metric.result()) == pytest.approx(0.8, abs=1e-6)
    metric = keras.metrics.F1Score("micro", threshold=0.5)
    metric.update_state(y, outputs)
    assert float(metric.result()) == pytest.approx(2 / 3, abs=1e-6)
    assert score(outputs, y) == pytest.approx(2 / 3)


def batch_recall(y_true, y_pred):
    """The notes' recall, a metric of one batch."""
    ops = keras.ops
    y_true = ops.cast(y_true, "float32")
    true_positives = ops.sum(ops.round(ops.clip(y_true * y_pred, 0, 1)))
    possible_positives = ops.sum(ops.round(ops.clip(y_true, 0, 1)))
    return true_positives / (possible_positives + keras.config.epsilon())


def test_batch_averaged_recall_of_the_notes_is_wrong():
    # Two positives, one of them found: recall 0.5. The second batch of two
    # has no positive at all and counts as 0.
    y = np.array([[1.0], [1.0], [0.0], [0.0]])
    outputs = np.array([[0.9], [0.1], [0.1], [0.1]])
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Activation("linear")]
    )
    model.compile(loss="mse", metrics=[batch_recall])
    recalls = {}
    for batch_size in (2, 4):
        logs = model.evaluate(
            outputs, y, batch_size=batch_size, verbose=0, return_dict=True
        )
        recalls[batch_size] = logs["batch_recall"]
    assert recalls[2] == pytest.approx(0.25, abs=1e-6)
    assert recalls[4] == pytest.approx(0.5, abs=1e-6)
    for batch_size in (1, 2, 3, 4):
        callback = ValidationF1(
            (outputs, y),
            scores={"val_recall": recall_score},
            batch_size=batch_size,
        )
        callback.set_model(model)
        scores = callback.evaluate()
        assert scores == {"val_f1": pytest.approx(2 / 3), "val_recall": 0.5}


# Inside fit


class Subclassed(keras.Model):
    def __init__(self, units, activation):
        super().__init__()
        self.head = keras.layers.Dense(units, activation=activation)

    def call(self, inputs):
        return self.head(inputs)


def build(kind, units, activation):
    dense = keras.layers.Dense(units, activation=activation)
    if kind == "subclassed":
        return Subclassed(units, activation)
    if kind == "sequential":
        return keras.Sequential([keras.Input((4,)), dense])
    if kind == "sequential, built by fit":
        return keras.Sequential([dense])
    inputs = keras.Input((4,))
    return keras.Model(inputs, dense(inputs))


@pytest.mark.parametrize(
    ("kind", "units"),
    [
        ("functional", 3),
        ("sequential", 1),
        ("sequential, built by fit", 3),
        ("subclassed", 1),
    ],
)
def test_scores_the_current_weights(kind, units):
    x, y = make_data()
    keras.utils.set_random_seed(1)
    model = build(kind, units, "sigmoid" if units == 1 else "softmax")
    loss = (
        "binary_crossentropy"
        if units == 1
        else "sparse_categorical_crossentropy"
    )
    model.compile(keras.optimizers.SGD(1.0), loss)
    callback = ValidationF1((x[:37], y[:37]), batch_size=8)
    history = fit(model, [callback], epochs=3, data=(x, y))
    outputs = model.predict(x[:37], verbose=0)
    assert history["val_f1"][-1] == score(outputs, y[:37])
    assert callback.evaluate() == {"val_f1": history["val_f1"][-1]}
    assert isinstance(history["val_f1"][0], float)
    # The weights moved far enough for each epoch to have its own score.
    assert len(history["val_f1"]) == 3
    assert len(set(history["val_f1"])) > 1


@pytest.mark.parametrize("form", ["list", "tuple", "dict"])
def test_several_inputs(form):
    x, y = make_data()
    one, two = keras.Input((2,), name="one"), keras.Input((2,), name="two")
    merged = keras.layers.Concatenate()([one, two])
    model = keras.Model(
        [one, two], keras.layers.Dense(1, activation="sigmoid")(merged)
    )
    parts = {
        "list": [x[:, :2], x[:, 2:]],
        "tuple": (x[:, :2], x[:, 2:]),
        "dict": {"one": x[:, :2], "two": x[:, 2:]},
    }[form]
    callback = ValidationF1((parts, y))
    callback.set_model(model)
    outputs = model.predict([x[:, :2], x[:, 2:]], verbose=0)
    assert callback.evaluate()["val_f1"] == score(outputs, y)


def test_a_single_output_in_a_dict():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"spam": keras.layers.Dense(1)(inputs)})
    x, y = make_data()
    callback = ValidationF1((x, y), threshold=0)
    callback.set_model(model)
    callback.on_train_begin()
    outputs = model.predict(x, verbose=0)["spam"]
    assert callback.evaluate()["val_f1"] == score(outputs, y, threshold=0)


def test_bfloat16_outputs():
    x, y = make_data()
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(1, activation="sigmoid", dtype="mixed_bfloat16"),
        ]
    )
    callback = ValidationF1((x, y), output_scores={"auc": roc_auc_score})
    callback.set_model(model)
    outputs = model.predict(x, verbose=0).astype("float32")
    assert callback.evaluate() == {
        "val_f1": score(outputs, y),
        "auc": pytest.approx(roc_auc_score(y, outputs[:, 0])),
    }


def make_noisy_model():
    """Dropout draws and BatchNormalization counts while it trains."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


class PredictsByHand(keras.callbacks.Callback):
    """The obvious way: `predict` in a callback."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.predict(make_data()[0], verbose=0)


def train_noisy_model(*callbacks):
    x, y = make_data()
    model = make_noisy_model()
    history = fit(
        model,
        list(callbacks),
        epochs=3,
        batch_size=16,
        validation_data=(x[:25], y[:25]),
    )
    history.pop("val_f1", None)
    variables = model.variables + model.optimizer.variables
    return history, [np.array(variable) for variable in variables]


def test_training_is_undisturbed():
    x, y = make_data()
    history, variables = train_noisy_model()
    scored_history, scored_variables = train_noisy_model(
        ValidationF1((x[:19], y[:19]), batch_size=7)
    )
    assert scored_history == history
    for plain, scored in zip(variables, scored_variables, strict=True):
        np.testing.assert_array_equal(scored, plain)


@pytest.mark.skipif(
    keras.config.backend() != "torch",
    reason="only torch's DataLoader draws from the global generator",
)
def test_predict_in_a_callback_would_disturb_training_on_torch():
    history, _ = train_noisy_model()
    disturbed, _ = train_noisy_model(PredictsByHand())
    assert disturbed["loss"][0] == history["loss"][0]
    assert disturbed["loss"][1:] != history["loss"][1:]


class CountsPredictions(Subclassed):
    """Counts the calls of `predict`, and the rows it is asked for."""

    calls = rows = 0

    def predict(self, x, **arguments):
        self.calls += 1
        self.rows += len(x)
        return super().predict(x, **arguments)

    # What stands for `predict` on torch.
    def predict_on_batch(self, x):
        self.rows += len(x)
        return super().predict_on_batch(x)


SCORES = {
    "val_precision": precision_score,
    "val_recall": recall_score,
    "val_accuracy": accuracy_score,
    "val_kappa": cohen_kappa_score,
}


@pytest.mark.parametrize("scores", [{}, SCORES], ids=["1 score", "5 scores"])
def test_one_pass_over_the_validation_data_an_epoch(scores):
    x, y = make_data()
    model = CountsPredictions(1, "sigmoid")
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy")
    history = fit(model, [ValidationF1((x, y), scores=scores)], epochs=3)
    assert model.rows == 3 * len(x)
    assert model.calls == (0 if keras.config.backend() == "torch" else 3)
    assert set(history) == {"loss", "val_f1", *scores}
    assert all(len(values) == 3 for values in history.values())


class RecordsBatches(Replay):
    """Keeps the size of the batches that it is asked to predict in."""

    def __init__(self):
        self.sizes = []

    def predict(self, x, batch_size=None, verbose="auto"):
        self.sizes.append(batch_size)
        return x

    def predict_on_batch(self, x):
        self.sizes.append(len(x))
        return x


@pytest.mark.parametrize(
    ("batch_size", "elsewhere", "on_torch"),
    [(None, [None], [32, 32, 1]), (30, [30], [30, 30, 5]), (99, [99], [65])],
)
def test_batch_size(batch_size, elsewhere, on_torch):
    callback = ValidationF1(
        (np.ones((65, 1)), np.ones(65)), batch_size=batch_size
    )
    model = RecordsBatches()
    callback.set_model(model)
    assert callback.evaluate() == {"val_f1": 1.0}
    torch = keras.config.backend() == "torch"
    assert model.sizes == (on_torch if torch else elsewhere)


def test_further_scores_get_labels_or_outputs():
    received = {}

    def see(y_true, y_pred):
        received[len(received)] = (y_true, y_pred)
        return np.float32(0.25)

    generator = np.random.default_rng(0)
    outputs = generator.random((20, 1)).astype("float32")
    y = generator.integers(0, 2, 20)
    callback = ValidationF1(
        (outputs, y[:, np.newaxis]),
        scores={"labels": see},
        output_scores={"outputs": see, "auc": roc_auc_score},
    )
    callback.set_model(Replay())
    values = callback.evaluate()
    assert list(values) == ["val_f1", "labels", "outputs", "auc"]
    assert values["auc"] == roc_auc_score(y, outputs[:, 0])
    assert values["labels"] == 0.25 and type(values["labels"]) is float
    for y_true, _ in received.values():
        np.testing.assert_array_equal(y_true, y)
    np.testing.assert_array_equal(received[0][1], outputs[:, 0] > 0.5)
    np.testing.assert_array_equal(received[1][1], outputs[:, 0])
    assert received[0][1].dtype == y.dtype

    received.clear()
    tags = np.array([[1, 0, 1], [0, 0, 0]])
    callback = ValidationF1(
        (tags.astype("float32"), tags),
        scores={"labels": see},
        output_scores={"outputs": see},
    )
    callback.set_model(Replay())
    assert callback.evaluate()["val_f1"] == pytest.approx(2 / 3)
    for y_true, second in received.values():
        np.testing.assert_array_equal(y_true, tags)
        np.testing.assert_array_equal(second, tags)


# Other callbacks


class SetBias(keras.callbacks.Callback):
    """Moves the only bias at the end of each epoch: val_f1 by script."""

    def __init__(self, biases):
        super().__init__()
        self.biases = biases

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[-1].bias.assign([self.biases[epoch]])


SCRIPT = [-9.0, 9.0, -9.0, -9.0, -9.0, -9.0]  # nothing, all, nothing: positive


def scripted_model():
    model = make_model(rate=0.0)
    model.layers[-1].kernel.assign(np.zeros((4, 1)))
    return model


def test_early_stopping_after_it_stops_on_f1():
    x, y = make_data()
    everything = score(np.ones((len(y), 1)), y)
    stopping = keras.callbacks.EarlyStopping(
        "val_f1", mode="max", patience=2, restore_best_weights=True
    )
    callback = ValidationF1((x, y))
    model = scripted_model()
    history = fit(model, [SetBias(SCRIPT), callback, stopping], epochs=6)
    assert history["val_f1"] == [0.0, everything, 0.0, 0.0]
    assert stopping.best == everything
    assert stopping.best_epoch == 1
    # The best weights are back: `evaluate` scores those.
    assert callback.evaluate() == {"val_f1": everything}


def test_early_stopping_before_it_warns_and_never_stops():
    stopping = keras.callbacks.EarlyStopping("val_f1", mode="max", patience=2)
    callbacks = [SetBias(SCRIPT), stopping, ValidationF1(make_data())]
    message = (
        "Early stopping conditioned on metric `val_f1` which is not "
        "available. Available metrics are: loss"
    )
    with pytest.warns(UserWarning, match=message) as warned:
        history = fit(scripted_model(), callbacks, epochs=6)
    assert len(history["val_f1"]) == 6
    assert sum(message in str(entry.message) for entry in warned) == 6
    assert stopping.best is None


def test_reduce_learning_rate_after_it_sees_f1():
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_f1", mode="max", patience=2, factor=0.5
    )
    # Too small a rate for the score to move.
    model = make_model(rate=1e-6)
    history = fit(model, [ValidationF1(make_data()), plateau], epochs=4)
    assert len(set(history["val_f1"])) == 1
    assert history["learning_rate"] == pytest.approx([1e-6, 1e-6, 1e-6, 5e-7])


def test_checkpoint_after_it_keeps_the_best(tmp_path):
    path = tmp_path / "best.weights.h5"
    checkpoint = keras.callbacks.ModelCheckpoint(
        path,
        monitor="val_f1",
        mode="max",
        save_best_only=True,
        save_weights_only=True,
    )
    callback = ValidationF1(make_data())
    model = scripted_model()
    fit(model, [SetBias(SCRIPT), callback, checkpoint], epochs=3)
    assert callback.evaluate() == {"val_f1": 0.0}
    model.load_weights(path)
    assert callback.evaluate()["val_f1"] > 0


@pytest.mark.parametrize(
    "monitoring",
    [
        keras.callbacks.EarlyStopping("val_f1"),
        keras.callbacks.ReduceLROnPlateau("val_f1"),
        keras.callbacks.ModelCheckpoint("unused.keras", "val_f1", 0, True),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_keras_refuses_mode_auto_for_f1(monitoring):
    monitoring.set_model(make_model())
    with pytest.raises(ValueError, match="Pass `mode='max'` in order to"):
        monitoring.on_epoch_end(0, {"val_f1": 0.5})


def test_order_of_the_history():
    # The History that `fit` adds is called last.
    callback = ValidationF1(make_data())
    assert "val_f1" in fit(make_model(), [callback])
    # One of the user's takes its place, where the user put it.
    own = keras.callbacks.History()
    assert "val_f1" not in fit(make_model(), [own, callback])
    assert "val_f1" in fit(make_model(), [callback, keras.callbacks.History()])


def test_two_of_them_in_one_fit():
    x, y = make_data()
    first = ValidationF1((x[:30], y[:30]), name="val_f1_early")
    second = ValidationF1((x[30:], y[30:]), average="macro")
    history = fit(make_model(), [first, second])
    assert {"val_f1_early", "val_f1"} <= set(history)


def test_serves_a_second_fit():
    callback = ValidationF1(make_data())
    model = make_model()
    fit(model, [callback], epochs=2)
    assert len(fit(model, [callback])["val_f1"]) == 1
    other = make_model(units=2, activation="softmax")
    x, y = make_data()
    history = fit(other, [callback], data=(x, one_hot(y, 2)))
    assert history["val_f1"][0] == score(other.predict(x, verbose=0), y)


# Bad input

X, Y = np.zeros((4, 2)), np.array([0, 1, 1, 0])
PAIR = "Invalid value for argument `validation_data`: expected "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"validation_data": X},
            PAIR + "a pair (x, y) of arrays. Received: ndarray",
        ),
        (
            {"validation_data": (X, Y, Y)},
            PAIR + "a pair (x, y) of arrays. Received: tuple of length 3",
        ),
        (
            {"validation_data": None},
            PAIR + "a pair (x, y) of arrays. Received: NoneType",
        ),
        (
            {"validation_data": (X, None)},
            PAIR + "arrays with examples along the first axis. "
            "Received: x=ndarray, y=NoneType",
        ),
        (
            {"validation_data": (None, Y)},
            PAIR + "arrays with examples along the first axis. "
            "Received: x=NoneType, y=ndarray",
        ),
        (
            {"validation_data": (X.tolist(), Y)},
            PAIR + "arrays with examples along the first axis. "
            "Received: x=list, y=ndarray",
        ),
        (
            {"validation_data": (X[:3], Y)},
            PAIR + "x and y with the same number of examples, at least one. "
            "Received: 3 in x and 4 in y",
        ),
        (
            {"validation_data": ([X, X[:3]], Y)},
            PAIR + "x and y with the same number of examples, at least one. "
            "Received: 4, 3 in x and 4 in y",
        ),
        (
            {"validation_data": (X[:0], Y[:0])},
            PAIR + "x and y with the same number of examples, at least one. "
            "Received: 0 in x and 0 in y",
        ),
        (
            {"validation_data": (X, np.array(["a", "b", "a", "b"]))},
            PAIR + "a y of numbers. Received: a y of dtype <U1",
        ),
        (
            {"validation_data": (X, [0, 1, -1, 1])},
            PAIR + "labels 0, 1, 2, ... in y. Received: label -1.0",
        ),
        (
            {"validation_data": (X, [0, 1, 0.5, 1])},
            PAIR + "labels 0, 1, 2, ... in y. Received: label 0.5",
        ),
        (
            {"validation_data": (X, [0, 1, np.nan, 1])},
            PAIR + "labels 0, 1, 2, ... in y. Received: label nan",
        ),
        (
            {"validation_data": (X, [[0, 1], [1, 0], [2, 0], [0, 1]])},
            PAIR + "zeros and ones in a y with several columns. "
            "Received: label 2",
        ),
        (
            {"validation_data": (X, np.zeros((4, 3, 2)))},
            PAIR + "a y of shape (n,), (n, 1) or (n, classes). "
            "Received: a y of shape (4, 3, 2)",
        ),
        (
            {"average": "samples"},
            "Invalid value for argument `average`: expected one of None, "
            "'binary', 'micro', 'macro', 'weighted'. "
            "Received: average='samples'",
        ),
        (
            {"validation_data": (X, [0, 1, 2, 1]), "average": "binary"},
            "Invalid value for argument `average`: expected None, 'micro', "
            "'macro' or 'weighted' for more than two classes or multi-label "
            "y. Received: average='binary' with label 2",
        ),
        (
            {"validation_data": (X, np.eye(4)), "average": "binary"},
            "Invalid value for argument `average`: expected None, 'micro', "
            "'macro' or 'weighted' for more than two classes or multi-label "
            "y. Received: average='binary' with a y of 4 columns",
        ),
        (
            {"validation_data": (X, np.ones((4, 2))), "average": "binary"},
            "Invalid value for argument `average`: expected None, 'micro', "
            "'macro' or 'weighted' for more than two classes or multi-label "
            "y. Received: average='binary' with multi-label y",
        ),
        *(
            (
                {"threshold": threshold},
                "Invalid value for argument `threshold`: expected a finite "
                f"number. Received: threshold={threshold!r}",
            )
            for threshold in (None, "0.5", True, float("nan"), [0.5])
        ),
        *(
            (
                {"batch_size": size},
                "Invalid value for argument `batch_size`: expected a positive "
                f"integer or None. Received: batch_size={size!r}",
            )
            for size in (0, -1, 2.5, True, "32")
        ),
        *(
            (
                {"name": name},
                "Invalid value for argument `name`: expected a name, a "
                f"string. Received: {name!r}",
            )
            for name in ("", None, 3)
        ),
        (
            {"scores": [recall_score]},
            "Invalid value for argument `scores`: expected a dict of "
            "functions. Received: list",
        ),
        (
            {"scores": {"recall": "recall"}},
            "Invalid value for argument `scores`: expected functions of two "
            "arrays. Received: str for 'recall'",
        ),
        (
            # A metric that keeps its state over the epochs.
            {"scores": {"recall": keras.metrics.Recall()}},
            "Invalid value for argument `scores`: expected functions of two "
            "arrays. Received: Recall for 'recall'",
        ),
        (
            {"scores": {7: recall_score}},
            "Invalid value for argument `scores`: expected a name, a string. "
            "Received: 7",
        ),
        (
            {"scores": {"val_f1": recall_score}},
            "Invalid value for argument `scores`: expected names that differ "
            "from each other. Received: 'val_f1' twice",
        ),
        (
            {
                "scores": {"auc": recall_score},
                "output_scores": {"auc": roc_auc_score},
            },
            "Invalid value for argument `output_scores`: expected names that "
            "differ from each other. Received: 'auc' twice",
        ),
    ],
)
def test_constructor_refuses(arguments, message):
    with pytest.raises(ValueError) as error:
        ValidationF1(**{"validation_data": (X, Y), **arguments})
    assert str(error.value) == message


BINARY = (
    "Invalid value for argument `average`: expected None, 'micro', 'macro' "
    "or 'weighted' for more than two classes or multi-label y. Received: "
    "average='binary' with a model with 3 output columns"
)
MISMATCHES = [
    (
        [0, 1, 2, 0],
        1,
        None,
        PAIR + "labels from 0 to 1 for a model with 1 output column. "
        "Received: label 2",
    ),
    (
        [0, 1, 3, 0],
        3,
        None,
        PAIR + "labels from 0 to 2 for a model with 3 output columns. "
        "Received: label 3",
    ),
    (
        np.eye(4),
        3,
        None,
        PAIR + "a y of 3 columns for a model with 3 output columns. "
        "Received: a y of 4 columns",
    ),
    (
        np.ones((4, 2)),
        1,
        None,
        PAIR + "a y of 1 column for a model with 1 output column. "
        "Received: a y of 2 columns",
    ),
    ([0, 1, 1, 0], 3, "binary", BINARY),
]


@pytest.mark.parametrize(("y", "columns", "average", "message"), MISMATCHES)
def test_labels_that_do_not_suit_the_model(y, columns, average, message):
    callback = ValidationF1((np.zeros((4, columns)), y), average)
    callback.set_model(Replay())
    with pytest.raises(ValueError) as error:
        callback.evaluate()
    assert str(error.value) == message


class CountsBatches(keras.callbacks.Callback):
    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


@pytest.mark.parametrize("kind", ["functional", "sequential", "subclassed"])
def test_wrong_labels_are_refused_as_early_as_the_model_allows(kind):
    model = build(kind, 1, "sigmoid")
    model.compile("sgd", "binary_crossentropy")
    x, y = make_data()
    counter = CountsBatches()
    with pytest.raises(ValueError, match="Received: label 2"):
        fit(model, [counter, ValidationF1((x, y * 2))], epochs=5)
    # A subclassed model shows its columns with its first prediction.
    assert counter.batches == (2 if kind == "subclassed" else 0)


def test_several_outputs_are_refused_before_training():
    inputs = keras.Input((4,))
    heads = [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)]
    model = keras.Model(inputs, heads)
    model.compile("sgd", ["mse", "mse"])
    x, y = make_data()
    counter = CountsBatches()
    with pytest.raises(ValueError) as error:
        fit(model, [counter, ValidationF1((x, y))], data=(x, [y, y]))
    assert str(error.value) == (
        "ValidationF1 scores one output: expected a model with a single "
        "output. Received: 2 outputs"
    )
    assert counter.batches == 0


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            np.array([[0.1], [np.nan], [0.3], [np.nan]]),
            PAIR + "numbers as predictions for it. Received: NaN in 2 of 4 "
            "rows; has the training diverged?",
        ),
        (
            np.zeros((4, 3, 2)),
            PAIR + "predictions of shape (4, columns) for it. "
            "Received: predictions of shape (4, 3, 2)",
        ),
    ],
)
def test_predictions_that_cannot_be_scored(outputs, message):
    callback = ValidationF1((outputs, Y))
    callback.set_model(Replay())
    with pytest.raises(ValueError) as error:
        callback.evaluate()
    assert str(error.value) == message


def test_a_diverged_model_is_not_scored():
    model = make_model(units=2, activation="linear")
    model.layers[-1].kernel.assign(np.full((4, 2), np.nan))
    x, y = make_data()
    data = (x, one_hot(y, 2))
    with pytest.raises(ValueError, match="NaN in 60 of 60 rows; has the"):
        fit(model, [ValidationF1(data)], data=data)


@pytest.mark.parametrize(
    ("value", "received"), [(np.zeros(3), "shape (3,)"), (None, "None")]
)
@pytest.mark.parametrize("argument", ["scores", "output_scores"])
def test_a_score_that_is_not_one_number(argument, value, received):
    callback = ValidationF1(
        (Y[:, np.newaxis] * 1.0, Y),
        **{argument: {"val_each": lambda y_true, y_pred: value}},
    )
    callback.set_model(Replay())
    with pytest.raises(ValueError) as error:
        callback.evaluate()
    assert str(error.value) == (
        f"Invalid value for argument `{argument}`: expected one number from "
        f"the function for 'val_each'. Received: {received}"
    )


@pytest.mark.parametrize(
    ("arguments", "argument", "name"),
    [
        ({"name": "loss"}, "name", "loss"),
        ({"scores": {"loss": recall_score}}, "scores", "loss"),
        ({"output_scores": {"loss": roc_auc_score}}, "output_scores", "loss"),
    ],
)
def test_a_name_that_the_logs_hold_already(arguments, argument, name):
    callback = ValidationF1((X, Y), **arguments)
    callback.set_model(Replay())
    with pytest.raises(ValueError) as error:
        callback.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
    assert str(error.value) == (
        f"Invalid value for argument `{argument}`: expected a name that no "
        f"metric or other callback uses. Received: {name!r}, but the logs "
        "hold loss, val_loss"
    )


def test_evaluate_needs_a_model():
    with pytest.raises(ValueError) as error:
        ValidationF1((X, Y)).evaluate()
    assert str(error.value) == (
        "ValidationF1 has no model yet: expected `evaluate` to be called "
        "after `fit` or `set_model`. Received: model=None"
    )
