"""The SVM head against the paper's objective and against scikit-learn."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.svm import LinearSVC

from kerasrecipes.recipes.evaluation import svm_head as recipe

RIGHT = np.eye(3, dtype="float32")[[0, 2]]
SCORES = np.array([[2.0, -0.5, 0.5], [-2.0, 0.0, 0.5]], "float32")
# The squared hinges of these scores, class by class.
HINGES = np.array([[0, 0.25, 2.25], [0, 1, 0.25]])


@pytest.mark.parametrize("seed", [0, 7])
def test_facts_hold(seed):
    found = recipe.measure(seed)
    assert found.pop("free intercept") > 0.01
    for name in ("no intercept", "intercept"):
        assert abs(found.pop(name)) <= 1e-3
    assert len(found) == 4
    assert all(0 <= value <= 1e-6 for value in found.values()), found


def test_the_loss_by_hand():
    loss = recipe.LOSSES["L2-SVM"]
    assert float(loss(2 * RIGHT - 1, SCORES)) == pytest.approx(HINGES.mean())
    # Zeros and ones become signs; what lies between stays, and is wrong:
    # hinges of 1 for a target of 0, whatever the score.
    assert float(loss(RIGHT, SCORES)) == pytest.approx(HINGES.mean())
    halves = np.full_like(RIGHT, 0.5)
    expected = np.maximum(0, 1 - SCORES / 2) ** 2
    assert float(loss(halves, SCORES)) == pytest.approx(expected.mean())


def test_the_objective_by_hand():
    x = np.array([[1.0, 2.0], [-1.0, 0.5]])
    w = np.array([[0.5, 0.0, 1.0], [0.25, -1.0, 0.0]])
    b = np.array([0.5, 0.0, -1.0])
    t = 2 * RIGHT - 1
    scores = np.array([[1.5, -2.0, 0.0], [0.125, -0.5, -2.0]])
    np.testing.assert_allclose(x @ w + b, scores)
    hinges = np.maximum(0, 1 - t * scores)
    expected = 0.5 * (0.25 + 1 + 0.0625 + 1) + 0.5 * (0.25 + 1)
    expected += 0.1 * np.sum(hinges**2)
    assert recipe.objective(x, t, w, b) == pytest.approx(expected)
    # Without an intercept, scikit-learn has one of zero.
    assert recipe.objective(x, t, w) == recipe.objective(x, t, w, 0.0)


@pytest.mark.parametrize("penalty", ["mean", "sum", None])
def test_the_penalty_of_the_loss(penalty, monkeypatch):
    """Keras' loss, times C N K, is the paper's objective for `mean`."""
    built = []
    monkeypatch.setattr(
        recipe, "build_model", lambda *given: built.append(given) or stop()
    )

    class StoppedError(Exception):
        pass

    def stop():
        raise StoppedError

    x, y = np.zeros((12, 8, 8, 1), "float32"), np.arange(12) % 3
    with pytest.raises(StoppedError):
        recipe.learn((x, y), (x, y), 0, 1, True, "L2-SVM", penalty)
    classes, is_dense, decay, activation = built[0]
    assert (classes, is_dense, activation) == (3, True, None)
    expected = {"mean": 1 / (2 * 1.0 * 12 * 3), "sum": 0.5, None: 0}
    assert decay == pytest.approx(expected[penalty])


def test_keras_loss_is_the_objective():
    """With the penalty for the mean, up to the factor C N K."""
    count, classes = 6, 3
    model = recipe.build_model(classes, True, 1 / (2 * 1.0 * count * classes))
    model.compile("sgd", recipe.LOSSES["L2-SVM"])
    x = np.random.default_rng(0).normal(size=(count, 8, 8, 1))
    y = np.arange(count) % classes
    t = 2 * np.eye(classes, dtype="float32")[y] - 1
    head = model.layers[-1]
    head.bias.assign([0.5, -1.0, 2.0])
    found = model.evaluate(x, t, batch_size=count, verbose=0)
    w, b = head.get_weights()
    hinges = np.maximum(0, 1 - t * recipe.answer(model, x))
    expected = 0.5 * (np.sum(w**2) + np.sum(b**2)) + np.sum(hinges**2)
    assert found * count * classes == pytest.approx(expected, rel=1e-5)
    # The layer below is free.
    assert model.layers[-2].kernel_regularizer is None


@pytest.fixture
def trained(monkeypatch):
    """Targets, and the model, of what `learn` trains."""
    seen = {}
    build = recipe.build_model

    def note(*given):
        model = seen["model"] = build(*given)
        fit = model.fit

        def fit_and_note(x, t, **options):
            seen["targets"] = np.unique(t)
            return fit(x, t, **options)

        model.fit = fit_and_note
        return model

    monkeypatch.setattr(recipe, "build_model", note)
    return seen


def make_data():
    """Images of one bright row: the class says which."""
    y = np.arange(30) % 3
    x = np.random.default_rng(1).normal(size=(30, 8, 8, 1)).astype("float32")
    x[np.arange(30), 2 * y] += 2
    return x, y


@pytest.mark.parametrize(
    ("loss", "targets", "expected"),
    [
        ("softmax", "signs", [0, 1]),
        ("L2-SVM", "signs", [-1, 1]),
        ("L1-SVM", "signs", [-1, 1]),
        ("L2-SVM", "smoothed", [0.1 / 3, 0.9 + 0.1 / 3]),
    ],
)
def test_targets(loss, targets, expected, trained):
    data = make_data()
    found = recipe.learn(data, data, 0, 2, True, loss, targets=targets)
    np.testing.assert_allclose(trained["targets"], expected, rtol=1e-6)
    assert found["error"] == found["training error"]
    assert 0 <= found["error"] <= 1


def test_an_svm_afterwards_learns_from_the_layer_below(trained):
    data = x, y = make_data()
    test = make_data()[0] + 1, y
    found = recipe.learn(data, test, 0, 2, True, "softmax", is_afterwards=True)
    flatten, dense, _ = trained["model"].layers
    assert isinstance(flatten, layers.Flatten)
    kernel, bias = dense.get_weights()
    below = [
        np.maximum(0, one.reshape(30, 64) @ kernel + bias)
        for one in (x, test[0])
    ]
    peer = LinearSVC(dual=False, max_iter=10_000).fit(below[0], y)
    assert found["training error"] == np.mean(peer.predict(below[0]) != y)
    assert found["error"] == np.mean(peer.predict(below[1]) != y)


def test_softmax_is_kept_where_it_is_asked_for():
    kept = recipe.build_model(3, False, 0.1, "softmax")
    p = recipe.answer(kept, make_data()[0])
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)
    plain = recipe.build_model(3, False, 0)
    assert plain.layers[-1].activation is keras.activations.linear
    assert plain.layers[-1].kernel_regularizer is None
    assert sum(isinstance(one, layers.Conv2D) for one in plain.layers) == 2
