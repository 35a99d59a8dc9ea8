"""Penalties, decay and the proximal step, against NumPy and scikit-learn."""

import keras
import numpy as np
import pytest
from keras import ops, regularizers
from sklearn.linear_model import ElasticNet, Lasso, Ridge

from kerasrecipes.recipes.regularization import weight_penalties as recipe

every_penalty = pytest.mark.parametrize("penalty", recipe.SHARES)


def kernels_of(model):
    return [w for w in model.get_weights() if w.ndim == 2]


def twin(model, penalty, strength):
    """The penalty of every kernel, weight by weight."""
    l1, l2 = recipe.SHARES[penalty]
    weights = [float(w) for kernel in kernels_of(model) for w in kernel.flat]
    return strength * sum(l1 * abs(w) + l2 * w * w for w in weights)


def make_batch(seed=0):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, 20, 10)).astype("float32")
    return x, y[:, :1]


# ----------------------------------------------------------------------
# What is added to the loss


@every_penalty
def test_the_loss_grows_by_the_penalty(penalty):
    """What `evaluate` says, less the error, is lambda times the norm."""
    keras.utils.set_random_seed(0)
    model = recipe.build_model(6, penalty, 0.3)
    # Also without biases of zero, which are not penalised.
    model.set_weights([w + 0.5 for w in model.get_weights()])
    x, y = make_batch()
    model.compile(loss="mse")
    cost = model.evaluate(x, y, verbose=0)
    error = np.mean((ops.convert_to_numpy(model(x)) - y) ** 2)
    assert cost - error == pytest.approx(twin(model, penalty, 0.3), rel=1e-5)


@pytest.mark.parametrize("penalty", ["", "L1, proximal", "decay"])
def test_no_other_variant_adds_to_the_loss(penalty):
    model = recipe.build_model(6, penalty, 0.3)
    assert sum(float(ops.convert_to_numpy(v)) for v in model.losses) == 0


def test_names_of_keras():
    """`L1` and `L2` are parts of `L1L2`, whose first number is L1's."""
    w = np.linspace(-1, 1, 7, dtype="float32")
    l1, l2 = 0.2 * np.abs(w).sum(), 0.2 * (w**2).sum()
    for penalty, expected in (
        (regularizers.L1(0.2), l1),
        (regularizers.L2(0.2), l2),
        (regularizers.l1_l2(0.2), l1),
        (regularizers.l1_l2(l2=0.2), l2),
        (regularizers.l1_l2(0.2, 0.2), l1 + l2),
        (regularizers.get("L1L2"), 0),
    ):
        found = float(ops.convert_to_numpy(penalty(ops.convert_to_tensor(w))))
        assert found == pytest.approx(expected, rel=1e-6)


# ----------------------------------------------------------------------
# Weight decay


@pytest.mark.parametrize("name", recipe.RATES)
def test_decay_takes_a_share_off_kernels_alone(name):
    """With examples of no weight, nothing else moves them."""
    keras.utils.set_random_seed(0)
    model = recipe.build_model(6, "decay", 0.0)
    model.set_weights([w + 0.5 for w in model.get_weights()])
    before = model.get_weights()
    model.compile(recipe.make_optimizer(name, 20.0), "mse")
    x, y = make_batch()
    model.train_on_batch(x, y, sample_weight=np.zeros(len(x)))
    kept = 1 - 20.0 * recipe.RATES[name]
    for old, new in zip(before, model.get_weights(), strict=True):
        share = kept if old.ndim == 2 else 1
        np.testing.assert_allclose(new, share * old, rtol=1e-5, atol=1e-7)


def test_adam_with_l2_takes_its_rate():
    """Whatever a weight's size, where nothing but the penalty pulls."""
    keras.utils.set_random_seed(0)
    model = recipe.build_model(6, "L2", 0.2)
    before = kernels_of(model)
    model.compile(recipe.make_optimizer("Adam", None), "mse")
    x, y = make_batch()
    model.train_on_batch(x, y, sample_weight=np.zeros(len(x)))
    for old, new in zip(before, kernels_of(model), strict=True):
        large = np.abs(old) > 0.05
        expected = recipe.RATES["Adam"] * np.sign(old[large])
        np.testing.assert_allclose((old - new)[large], expected, rtol=1e-3)


@pytest.mark.parametrize("decay, equal", [(0.2, False), (0.4, True)])
def test_l2_is_a_decay_of_two_lambda(decay, equal):
    ends = []
    for penalty, share in (("L2", None), ("decay", decay)):
        keras.utils.set_random_seed(0)
        model = recipe.build_model(6, penalty, 0.2)
        model.compile(recipe.make_optimizer("SGD", share), "mse")
        model.fit(*make_batch(), epochs=5, shuffle=False, verbose=0)
        ends.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    off = np.abs(ends[0] - ends[1]).max()
    assert off < 1e-6 if equal else off > 1e-3


# ----------------------------------------------------------------------
# The proximal step


def test_soft_threshold_by_number():
    limit = recipe.SoftThreshold(0.5)
    w = ops.convert_to_tensor([-2.0, -0.5, -0.1, 0.0, 0.3, 0.75])
    found = ops.convert_to_numpy(limit(w))
    np.testing.assert_allclose(found, [-1.5, 0, 0, 0, 0, 0.25])
    assert recipe.SoftThreshold(**limit.get_config()).threshold == 0.5


def test_training_applies_the_threshold_after_the_update():
    keras.utils.set_random_seed(0)
    model = recipe.build_model(6, "L1, proximal", 8.0)
    before = model.get_weights()
    model.compile(recipe.make_optimizer("SGD", None), "mse")
    x, y = make_batch()
    model.train_on_batch(x, y, sample_weight=np.zeros(len(x)))
    for old, new in zip(before, model.get_weights(), strict=True):
        shrunk = np.sign(old) * np.maximum(np.abs(old) - 0.05 * 8.0, 0)
        expected = shrunk if old.ndim == 2 else old
        np.testing.assert_allclose(new, expected, atol=1e-7)
        assert old.ndim == 1 or (new == 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_linear_regressions_of_scikit_learn(seed):
    """Sixty steps arrive where coordinate descent and algebra do."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(200, 10))
    y = x @ ([1.0, 0.0] * 5 * generator.uniform(0.5, 2, 10))
    y = y + generator.normal(size=200)
    settings = {"fit_intercept": False, "tol": 1e-10}
    for model, way in (
        (Lasso(0.1, **settings), {"threshold": 0.2 * 0.2}),
        (Ridge(0.1 * 200, fit_intercept=False), {"l2": 0.1}),
        # scikit-learn halves the error, and the squares once more.
        (
            ElasticNet(0.2, l1_ratio=0.5, **settings),
            {"l2": 0.1, "threshold": 0.2 * 0.2},
        ),
    ):
        expected = model.fit(x, y).coef_
        start = generator.normal(size=10)
        sgd = keras.optimizers.SGD(0.2)
        found = recipe.descend(sgd, x, y, start, **way)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(found == 0, expected == 0)
        assert (found == 0).any() == ("threshold" in way)


# ----------------------------------------------------------------------
# The trial


def test_parts_of_the_data():
    parts, unit = recipe.load(3)
    (x, y), (x_held_out, _), (x_test, _) = parts
    assert x.shape == (318, 10) and y.shape == (318,)
    assert len(x_held_out) == 80 and len(x_test) == 44
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-5)
    assert y.mean() == pytest.approx(0, abs=1e-5)
    assert y.std() == pytest.approx(1) and 60 < unit < 90


def test_the_strength_is_chosen_on_held_out_data():
    scores = recipe.train(0, epochs=1, penalty="L1, proximal")
    place = recipe.LAMBDAS.index(scores["chosen"])
    assert scores["error"] == scores["curves"]["error"][place]
    assert len(scores["curves"]["zeros"]) == len(recipe.LAMBDAS)
    assert np.all(np.diff(scores["curves"]["zeros"]) >= 0)
    assert np.mean(scores["curves"]["zeros"]) == scores["zeros"]
    for zeros, near in zip(
        *map(scores["curves"].get, recipe.SPARSE), strict=True
    ):
        assert zeros <= near
    sizes = recipe.train(0, epochs=1, sizes=(2, 3))
    assert sizes["chosen"] in (2, 3) and len(sizes["curves"]["error"]) == 2


def test_every_penalised_variant_is_compared():
    names = [name for names in recipe.AGAINST.values() for name in names]
    penalised = [n for n, way in recipe.VARIANTS.items() if "penalty" in way]
    assert names == penalised
    assert set(recipe.AGAINST) < set(recipe.VARIANTS)
