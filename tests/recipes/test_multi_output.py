"""The recipe's networks against scikit-learn, and Keras' scores by hand."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, hamming_loss
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

from kerasrecipes.recipes.evaluation import multi_output as recipe


def test_facts_hold():
    found = recipe.measure(7)
    assert len(found) == 4
    assert all(0 <= value <= 1e-5 for value in found.values()), found


def make_linear(trunk, peers):
    """The recipe's network, with fitted logistic regressions as its heads."""
    model = recipe.build_model(trunk)
    for k, peer in enumerate(peers):
        # A hidden layer that gives a score and its negative: a linear map.
        columns = recipe.INPUTS + k * (trunk == "chain")
        kernel = np.zeros((columns, 32))
        kernel[:, 0], kernel[:, 1] = peer.coef_[0], -peer.coef_[0]
        heads = [
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.Dense)
        ]
        hidden = [layer for layer in heads if layer.units == 32][k]
        output = [layer for layer in heads if layer.units == 1][k]
        assert hidden.kernel.shape == kernel.shape
        hidden.set_weights([kernel, np.zeros(32)])
        signs = np.zeros((32, 1))
        signs[:2, 0] = 1, -1
        output.set_weights([signs, peer.intercept_])
    return model


@pytest.mark.parametrize("trunk", ["separate", "chain"])
def test_predicts_as_scikit_learn_does(trunk):
    x, y = recipe.make_labels(400, 0.8, seed=0)
    x = np.abs(x)  # or a linear model would know nothing
    base = LogisticRegression()
    peer = (
        ClassifierChain(base)
        if trunk == "chain"
        else MultiOutputClassifier(base)
    ).fit(x[:200], y[:200])
    model = make_linear(trunk, peer.estimators_)
    expected = peer.predict(x[200:])
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(recipe.predict(model, x[200:]), expected)


@pytest.mark.parametrize("trunk", ["separate", "chain"])
def test_trains_for_what_scikit_learn_trains_for(trunk):
    """At scikit-learn's optimum, without a penalty, the loss is flat."""
    x, y = recipe.make_labels(300, 0.8, seed=0)
    x = np.abs(x)
    base = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    peer = (
        ClassifierChain(base)
        if trunk == "chain"
        else MultiOutputClassifier(base)
    ).fit(x, y)
    model = make_linear(trunk, peer.estimators_)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy")
    model.train_on_batch(np.hstack([x, y]), y)
    # The output layers' weights are those that the two optima share.
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_allclose(new, old, atol=2e-4)


def test_labels_are_as_frequent_and_as_alike_as_said():
    for correlation in (0.0, 0.8):
        x, y = recipe.make_labels(4000, correlation, seed=3)
        assert x.shape == (4000, 12) and y.shape == (4000, 4)
        np.testing.assert_allclose(y.mean(0), recipe.SHARES, atol=1e-3)
        found = np.corrcoef(y.T)[np.triu_indices(4, 1)]
        assert (found > 0.35).all() if correlation else (found < 0.06).all()


def test_a_chain_that_is_told_the_truth_gets_the_same_rows_right():
    x, y = recipe.make_labels(200, 0.8, seed=1)
    keras.utils.set_random_seed(0)
    model = recipe.build_model("chain")
    rows = np.hstack([x, y])
    told = ops.convert_to_numpy(model(rows)) > 0.5
    said = recipe.predict(model, x)
    np.testing.assert_array_equal((told == y).all(1), (said == y).all(1))
    # Only a chain looks at labels, and only at those before its own.
    changed = np.hstack([x, 1 - y])
    for trunk in ("separate", "shared"):
        other = recipe.build_model(trunk)
        a, b = (ops.convert_to_numpy(other(one)) for one in (rows, changed))
        np.testing.assert_array_equal(a, b)
    last = np.hstack([x, y[:, :3], 1 - y[:, 3:]])
    a, b, c = (
        ops.convert_to_numpy(model(one)) for one in (rows, changed, last)
    )
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(a[:, 0], b[:, 0])
    assert (np.abs(a[:, 1:] - b[:, 1:]).max(0) > 1e-3).all()


def test_scores_by_scikit_learn():
    y = recipe.make_labels(60, 0.8, seed=2)[1]
    p = np.random.default_rng(0).random(y.shape).astype("float32")
    given = keras.layers.Input((4,))
    model = keras.Model(given, keras.layers.Activation("linear")(given))
    metrics = ["accuracy", "binary_accuracy"]
    model.compile(loss="binary_crossentropy", metrics=metrics)
    found = model.evaluate(p, y, verbose=0, return_dict=True)
    largest = np.mean(p.argmax(-1) == y.argmax(-1))
    assert found["accuracy"] == pytest.approx(largest, abs=1e-6)
    wrong = hamming_loss(y, p > 0.5)
    assert found["binary_accuracy"] == pytest.approx(1 - wrong, abs=1e-6)
    assert abs(largest - (1 - wrong)) > 0.1
    assert accuracy_score(y, p > 0.5) < 1 - wrong
    for average in ("micro", "macro"):
        metric = keras.metrics.F1Score(average, threshold=0.5)
        by_peer = f1_score(y, p > 0.5, average=average)
        assert float(metric(y, p)) == pytest.approx(by_peer, abs=1e-6)


def test_the_loss_of_two_outputs_by_hand():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(10, 32)).astype("float32")
    digit, ink = np.arange(10), generator.normal(size=10)
    known = 1.0 * (digit < 3)
    model = recipe.build_heads(is_shared=True)
    model.compile(loss=recipe.LOSSES, loss_weights={"digit": 1.0, "ink": 0.5})
    total = model.evaluate(
        x,
        {"digit": digit, "ink": ink},
        sample_weight={"digit": known, "ink": np.ones(10)},
        verbose=0,
    )[0]
    said = {name: ops.convert_to_numpy(p) for name, p in model(x).items()}
    z = said["digit"]
    entropies = np.log(np.exp(z).sum(-1)) - z[digit, digit]
    # Divided by all ten, not by the three that are known.
    expected = np.sum(known * entropies) / 10
    expected += 0.5 * np.mean((said["ink"][:, 0] - ink) ** 2)
    assert total == pytest.approx(expected, rel=1e-5)


def test_a_trunk_is_shared_or_not():
    counts = [
        recipe.build_heads(is_shared).count_params()
        for is_shared in (True, False)
    ]
    trunk, heads = 33 * 64, 65 * 11
    assert counts == [trunk + heads, 2 * trunk + heads]


def test_a_stream_is_tested_before_it_is_learned(monkeypatch):
    """The accuracy that `fit` reports, by hand, row by row."""
    built = []
    build = recipe.build_model

    def build_and_keep(trunk):
        model = build(trunk)
        built.append((model, model.get_weights()))
        return model

    monkeypatch.setattr(recipe, "build_model", build_and_keep)
    found = recipe.train_on_stream(seed=0, steps=3, batch=1)
    model, start = built[0]
    model.set_weights(start)
    x, y = recipe.make_labels(24, 0.8, 0)
    given, p = np.hstack([x, np.zeros_like(y)]), []
    for k in range(24):
        p.append(ops.convert_to_numpy(model(given[[k]]))[0])
        model.train_on_batch(given[[k]], y[[k]])
    right = np.mean((np.array(p) > 0.5) == y)
    assert found["labels right"] == pytest.approx(right, abs=1e-6)


def test_accuracy_asks_for_the_largest_of_a_row(monkeypatch):
    """What Keras reports under that name, of labels that are counted here."""
    built = []
    build = recipe.build_model

    def build_and_keep(**network):
        built.append(build(**network))
        return built[0]

    monkeypatch.setattr(recipe, "build_model", build_and_keep)
    found = recipe.train(seed=0, steps=3, correlation=0.8, trunk="shared")
    x, y = (part[300:] for part in recipe.make_labels(2300, 0.8, 0))
    p = ops.convert_to_numpy(built[0](np.hstack([x, y])))
    largest = np.mean(p.argmax(axis=-1) == y.argmax(axis=-1))
    right = np.mean((p > 0.5) == y)
    assert found["accuracy off"] == pytest.approx(
        abs(largest - right), abs=1e-6
    )
