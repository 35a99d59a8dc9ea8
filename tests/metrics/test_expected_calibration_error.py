import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.metrics import ExpectedCalibrationError

# Sums of some hundred float32 numbers below one, divided by their count.
ERROR = 1e-6


def compute(y_true, y_pred, *weights, **arguments):
    metric = ExpectedCalibrationError(**arguments)
    return float(metric(y_true, y_pred, *weights))


def error_by_loops(confidences, hits, bins, weights=None):
    """The formula in float64, one bin at a time."""
    confidences = np.asarray(confidences, "float64")
    if weights is None:
        weights = np.ones(len(confidences))
    total = 0.0
    for index in range(bins):
        inside = confidences <= (index + 1) / bins
        if index:
            inside &= confidences > index / bins
        share = weights[inside].sum() / weights.sum()
        if share:
            accuracy = np.average(hits[inside], weights=weights[inside])
            mean = np.average(confidences[inside], weights=weights[inside])
            total += share * abs(accuracy - mean)
    return total


def make_classes(examples=500, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(classes), examples).astype("float32")
    return generator.integers(0, classes, examples), p


def make_column(examples=500, seed=0):
    generator = np.random.default_rng(seed)
    p = generator.random(examples).astype("float32")
    return generator.integers(0, 2, examples), p


# ----------------------------------------------------------------------
# The formula


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 100])
def test_equals_the_formula_for_classes(bins):
    y, p = make_classes()
    expected = error_by_loops(p.max(-1), p.argmax(-1) == y, bins)
    assert compute(y, p, bins=bins) == pytest.approx(expected, abs=ERROR)


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 100])
def test_equals_the_formula_for_one_column(bins):
    y, p = make_column()
    expected = error_by_loops(p, y, bins)
    assert compute(y, p, bins=bins) == pytest.approx(expected, abs=ERROR)


# Two confidences in a bin of (2/3, 1], one in (1/3, 2/3].
def test_by_hand():
    y = [0, 1, 1]
    p = [[0.8, 0.2, 0.0], [0.9, 0.05, 0.05], [0.3, 0.6, 0.1]]
    expected = 2 / 3 * abs(1 / 2 - 0.85) + 1 / 3 * abs(1 - 0.6)
    found = compute(np.array(y), np.array(p), bins=3)
    assert found == pytest.approx(expected, abs=ERROR)


def test_the_best_and_the_worst():
    y = np.array([0, 1, 1, 0])
    assert compute(y, y.astype("float32")) == 0.0
    assert compute(y, 1.0 - y) == 1.0
    assert compute(y, np.eye(2)[y]) == 0.0
    assert compute(y, np.eye(2)[1 - y]) == 1.0


def test_nothing_yet_is_zero():
    assert float(ExpectedCalibrationError().result()) == 0.0


# ----------------------------------------------------------------------
# The ends of the bins


def test_confidence_of_one_is_in_the_last_bin():
    """Where 1 has a bin of its own it is 0.525."""
    found = compute(np.array([1, 0]), np.array([0.95, 1.0]))
    assert found == pytest.approx(0.475, abs=ERROR)


def test_confidence_of_zero_is_in_the_first_bin():
    metric = ExpectedCalibrationError(bins=10)
    found = float(metric(np.array([1, 0]), np.array([0.0, 0.05])))
    assert found == pytest.approx(abs(0.5 - 0.025), abs=ERROR)
    examples = ops.convert_to_numpy(metric.examples)
    np.testing.assert_array_equal(examples, [2] + [0] * 9)


@pytest.mark.parametrize("bins", [2, 3, 7, 10, 15, 49, 100])
def test_an_edge_belongs_to_the_bin_below(bins):
    edges = np.arange(1, bins + 1) / bins
    metric = ExpectedCalibrationError(bins)
    metric.update_state(np.ones(bins), edges)
    examples = ops.convert_to_numpy(metric.examples)
    np.testing.assert_array_equal(examples, np.ones(bins))
    metric.update_state(np.ones(bins), np.nextafter(edges, 0, dtype="float32"))
    examples = ops.convert_to_numpy(metric.examples)
    np.testing.assert_array_equal(examples, 2 * np.ones(bins))


# ----------------------------------------------------------------------
# Shapes


def test_shapes_of_labels_of_classes():
    y, p = make_classes(40)
    expected = compute(y, p)
    assert compute(y[:, None], p) == expected
    assert compute(y.astype("float32"), p) == expected
    assert compute(np.eye(4)[y], p) == pytest.approx(expected, abs=ERROR)


def test_as_many_examples_as_classes():
    """A vector of labels is never taken for a row of them."""
    y, p = make_classes(4)
    assert compute(y, p) == compute(y[:, None], p)


def test_soft_labels_give_the_predicted_class_its_share():
    p = np.array([[0.7, 0.3], [0.2, 0.8]])
    soft = np.array([[0.6, 0.4], [0.5, 0.5]])
    expected = (abs(0.6 - 0.7) + abs(0.5 - 0.8)) / 2
    assert compute(soft, p) == pytest.approx(expected, abs=ERROR)


def test_shapes_of_one_column():
    y, p = make_column(40)
    expected = compute(y, p)
    for labels in (y, y[:, None]):
        for outputs in (p, p[:, None]):
            assert compute(labels, outputs) == expected


def test_two_columns_are_not_one():
    """The predicted class may be number 0, and is then as sure of it."""
    y, p = make_column()
    sure = np.maximum(p, 1 - p)
    expected = error_by_loops(sure, (p > 0.5) == y, 15)
    found = compute(y, np.stack([1 - p, p], axis=1))
    assert found == pytest.approx(expected, abs=ERROR)


def test_steps_count_one_by_one():
    y, p = make_classes(60)
    expected = compute(y, p)
    y, p = y.reshape(12, 5), p.reshape(12, 5, 4)
    assert compute(y, p) == pytest.approx(expected, abs=ERROR)
    assert compute(y[..., None], p) == pytest.approx(expected, abs=ERROR)
    column_y, column_p = make_column(60)
    expected = compute(column_y, column_p)
    shape = (12, 5, 1)
    found = compute(column_y.reshape(shape), column_p.reshape(shape))
    assert found == pytest.approx(expected, abs=ERROR)


# ----------------------------------------------------------------------
# Weights and logits


def test_weights_enter_the_formula():
    y, p = make_classes()
    weights = np.random.default_rng(1).random(500).astype("float32")
    expected = error_by_loops(p.max(-1), p.argmax(-1) == y, 15, weights)
    found = compute(y, p, weights)
    assert found == pytest.approx(expected, abs=ERROR)
    assert compute(y, p, weights[:, None]) == found


def test_weights_of_sequences_and_of_steps():
    y, p = make_classes(60)
    y, p = y.reshape(12, 5), p.reshape(12, 5, 4)
    kept = np.arange(12) % 2
    expected = compute(y[kept == 1], p[kept == 1])
    assert compute(y, p, kept) == pytest.approx(expected, abs=ERROR)
    steps = np.repeat(kept[:, None], 5, axis=1)
    assert compute(y, p, steps) == pytest.approx(expected, abs=ERROR)
    assert compute(y, p, 0 * steps) == 0.0


def test_logits():
    y, p = make_classes()
    found = compute(y, np.log(p), from_logits=True)
    assert found == pytest.approx(compute(y, p), abs=1e-5)
    y, p = make_column()
    found = compute(y, np.log(p / (1 - p)), from_logits=True)
    assert found == pytest.approx(compute(y, p), abs=1e-5)


# ----------------------------------------------------------------------
# In training


def test_in_fit_beside_weighted_metrics():
    y, p = make_classes(100)
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(4, activation="softmax")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.0),
        "sparse_categorical_crossentropy",
        metrics=[ExpectedCalibrationError()],
        weighted_metrics=[ExpectedCalibrationError(name="weighted")],
    )
    weights = np.arange(100) % 2
    history = model.fit(
        p, y, sample_weight=weights, batch_size=32, epochs=2, verbose=0
    ).history
    q = model.predict(p, verbose=0)
    for name, kept in (
        ("expected_calibration_error", weights >= 0),
        ("weighted", weights > 0),
    ):
        expected = compute(y[kept], q[kept])
        np.testing.assert_allclose(history[name], expected, atol=1e-5)


# ----------------------------------------------------------------------
# Another implementation


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # its dependencies are not ours
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_parity_with_netcal(bins):
    metrics = pytest.importorskip("netcal.metrics", reason="needs netcal")
    peer = metrics.ECE(bins)
    for y, p in (make_classes(), make_column()):
        expected = peer.measure(p, y)
        assert compute(y, p, bins=bins) == pytest.approx(expected, abs=ERROR)
    ends = np.array([1, 0]), np.array([0.95, 1.0])
    assert peer.measure(*ends[::-1]) == pytest.approx(compute(*ends, bins=bins))
