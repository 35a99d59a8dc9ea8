"""What the networks read, and the formulas that the layers are held to."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING
from keras import ops

from kerasrecipes.recipes.recurrent import simple_recurrent_unit as recipe

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

KINDS = ["LSTM", "SRU", "QRNN", "transformer", "mean", "SRU's cell"]


def run(model, x):
    return ops.convert_to_numpy(model(x))


def make_model(kind, steps=12, **arguments):
    keras.utils.set_random_seed(0)
    return recipe.build_model(kind, width=16, steps=steps, **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    words = np.random.default_rng(0).integers(1, 2000, (5, 8)).astype("int32")
    short, long = make_model(kind, steps=8), make_model(kind, steps=12)
    long.set_weights(short.get_weights())
    padded = np.pad(words, [(0, 0), (0, 4)])
    np.testing.assert_allclose(
        run(long, padded), run(short, words), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_mean_is_blind_to_the_order(kind):
    words = np.random.default_rng(0).integers(1, 2000, (5, 12)).astype("int32")
    model = make_model(kind)
    change = np.abs(run(model, words) - run(model, words[:, ::-1].copy()))
    assert (change.max() < 1e-6) == (kind == "mean")


def test_the_cell_is_timed_with_the_same_function():
    x = np.random.default_rng(0).normal(size=(5, 12, 16)).astype("float32")
    layer, cell = (
        make_model(kind, words=False) for kind in ("SRU", "SRU's cell")
    )
    cell.set_weights(layer.get_weights())
    np.testing.assert_allclose(run(layer, x), run(cell, x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_exact_statements(seed):
    found = recipe.measure(seed)
    assert len(found) == 4
    assert max(found.values()) < 1e-5


def test_a_trial():
    scores = recipe.train(0, epochs=1, kind="SRU", forget_bias=2.0)
    assert scores["accuracy"] > 0.3
    # Three parts, the gates' view of the state, two biases, the last layer.
    assert scores["weights"] == 3 * 32**2 + 4 * 32 + 33 * 4


def test_times():
    scores = recipe.time_steps(0, steps=5)
    times = [scores[f"ms, {kind}"] for kind in recipe.TIMED]
    assert min(times) > 0
    assert scores["LSTM / SRU"] == pytest.approx(times[0] / times[1])
