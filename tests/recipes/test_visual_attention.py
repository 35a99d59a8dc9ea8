"""The window's formula and gradient, where readers look, and the facts."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING
from keras import ops

from kerasrecipes.recipes.recurrent import visual_attention as recipe

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)


def make_images(count, seed=0):
    shape = (count, recipe.CANVAS, recipe.CANVAS, 1)
    return np.random.default_rng(seed).random(shape).astype("float32")


def test_window_by_loops():
    """One pixel of a glimpse after the other, from the formula."""
    image = make_images(1)[0, :, :, 0]
    row, column, stride, spread = 4.3, 12.8, 1.7, 0.9
    numbers = (ops.full((1,), n) for n in (row, column, stride, spread))
    seen = ops.convert_to_numpy(recipe.look(image[None], *numbers))[0]
    expected = np.zeros((8, 8))
    for i in range(8):
        for j in range(8):
            total = 0.0
            for a in range(20):
                for b in range(20):
                    down = a - row - stride * (i - 3.5)
                    right = b - column - stride * (j - 3.5)
                    far = (down**2 + right**2) / (2 * spread**2)
                    weight = np.exp(-far)
                    total += weight
                    expected[i, j] += weight * image[a, b]
            expected[i, j] /= total
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_facts():
    found = recipe.measure(seed=5)
    assert found["off the formula"] < 2e-5
    assert found["row, off"] < 1e-6
    assert found["crop, off"] < 1e-6
    assert found["gradient, off"] < 1e-4
    assert found["gradient, cut"] == 0
    assert abs(found["size, off"]) < 0.01
    assert abs(found["products, off"]) < 0.005


def test_gradient_is_not_zero():
    image = make_images(1, seed=1)[0, :, :, 0]
    start = np.array([8.2, 9.9], "float32")
    weights = make_images(1, seed=2)[0, :8, :8, 0]
    found = recipe.find_gradient(image, start, weights, is_cut=False)
    assert np.isfinite(found).all() and np.abs(found).min() > 1e-3


@pytest.mark.parametrize("looks", ["soft", "REINFORCE"])
def test_where_a_reader_looks(looks):
    """First at the middle and widely; only REINFORCE draws, in training."""
    model = recipe.build_model(looks, seed=3)
    images = make_images(6)
    first, again = (
        ops.convert_to_numpy(model(images, training=False)["windows"])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == (6, recipe.STEPS, 3)
    middle = [recipe.MIDDLE, recipe.MIDDLE]
    np.testing.assert_allclose(first[:, 0, :2], [middle] * 6, rtol=1e-6)
    assert (first[:, 0, 2] > 0.9 * recipe.WIDEST).all()
    drawn = ops.convert_to_numpy(model(images, training=True)["windows"])
    assert np.array_equal(first, drawn) == (looks == "soft")
    # In pixels the noise is half the canvas times as large.
    if looks == "REINFORCE":
        many = model(make_images(400), training=True)["windows"]
        spread = ops.convert_to_numpy(many)[:, 0, :2].std()
        assert spread == pytest.approx(recipe.NOISE * recipe.MIDDLE, rel=0.1)


def test_loss_of_reinforce():
    model = recipe.build_model("REINFORCE")
    generator = np.random.default_rng(4)
    y = np.array([2, 0, 1])
    logits = generator.normal(size=(3, 10)).astype("float32")
    logits[:2, [2, 0]] += 10 * np.eye(2, dtype="float32")  # two are right
    expected, density = generator.normal(size=(2, 3, 4)).astype("float32")
    logits[2, 7] = 20
    outputs = {"logits": logits, "expected": expected, "log density": density}
    outputs = {n: ops.convert_to_tensor(value) for n, value in outputs.items()}
    found = float(model.compute_loss(None, y, outputs))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    more = np.array([[1], [1], [0]]) - expected
    wanted = -np.log(shares[range(3), y]).mean()
    wanted += (more**2).mean() - 0.01 * (more * density).sum(1).mean()
    assert found == pytest.approx(wanted, rel=1e-4)


def test_no_gradient_leaves_the_aim_alone():
    model = recipe.build_model("no gradient", seed=1)
    model.compile(keras.optimizers.SGD(0.1), recipe.LOSS)
    before = model.get_weights()
    frozen = len(model.non_trainable_variables)
    assert frozen >= 2
    model.train_on_batch(make_images(8), np.arange(8))
    kept = [
        np.array_equal(old, new)
        for old, new in zip(before, model.get_weights(), strict=True)
    ]
    assert sum(kept) == 2


@pytest.mark.parametrize("name", ["CNN", "REINFORCE"])
def test_a_trial(name):
    variant = recipe.VARIANTS[name]
    found = recipe.train(0, epochs=1, size=64, **variant)
    curves = found.pop("curves", {})
    assert np.isfinite([*found.values()]).all()
    if name == "REINFORCE":
        assert len(curves["windows"]) == recipe.SHOWN * recipe.STEPS * 3
