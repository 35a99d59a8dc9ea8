"""The recipe's cells: the suite of the helpers' cells, and NumPy twins."""

import numpy as np
import pytest
import test_conformance as suite
from conformance import (
    TORCH_COPY_WARNING,
    LayerCase,
    LayerSetup,
    reload_in_fresh_process,
    run_recurrent,
)
from keras import layers, ops

from kerasrecipes.recipes.recurrent import custom_cells as recipe

CELLS = {
    recipe.MultiplicativeCell: {"units": 3},
    recipe.AttentionCell: {"units": 3, "size": 2},
    recipe.ReadoutCell: {"units": 4, "outputs": 2},
    recipe.HierarchicalCell: {"units": 3},
}
SETUPS = {cls: LayerSetup(given, (4, 4, 2)) for cls, given in CELLS.items()}

every_cell = pytest.mark.parametrize("cls", CELLS, ids=lambda c: c.__name__)
pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)


# ----------------------------------------------------------------------
# What every cell among the helpers must do


@pytest.fixture
def known(monkeypatch):
    """The suite looks up what it is told of a class."""
    for cls, setup in SETUPS.items():
        case = LayerCase({"": setup}, bad_arguments=(), passes_mask=True)
        monkeypatch.setitem(suite.CASES, cls.__name__, case)
        monkeypatch.setitem(suite.CELLS, cls.__name__, (cls, case))


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@pytest.mark.parametrize(
    "check",
    [
        suite.test_keras_own_checks,
        suite.test_config,
        suite.test_batches,
        suite.test_mask,
        suite.test_cell_gives_its_first_state,
        suite.test_cell_reads_a_sequence_in_parts,
        suite.test_cell_in_stacked_rnn_cells,
        suite.test_cell_in_bidirectional,
    ],
    ids=lambda check: check.__name__,
)
@every_cell
def test_suite(cls, check, known):
    check(cls, SETUPS[cls])


@every_cell
def test_suite_with_arguments(cls, known):
    setup = SETUPS[cls]
    for side in ("left", "right"):
        suite.test_cell_passes_over_masked_steps(cls, setup, side)
    for point in ("random", "zero"):
        suite.test_gradients_are_finite(cls, setup, point)
    suite.test_mixed_precision(cls, setup, "mixed_float16", 2.0**-10)
    suite.test_mixed_precision(cls, setup, "mixed_bfloat16", 2.0**-7)
    suite.test_cell_in_fit(cls.__name__)


@pytest.mark.filterwarnings("ignore:::torch")
def test_suite_with_jit_compile(known):
    # Backends take long to compile a step: the cell with most to it stands for
    # the others.
    cls = recipe.AttentionCell
    suite.test_training_step_with_jit_compile(cls, SETUPS[cls])


def test_reload_in_fresh_process(tmp_path):
    named = {cls.__name__: (cls, setup) for cls, setup in SETUPS.items()}
    assert not reload_in_fresh_process(named, tmp_path)


# ----------------------------------------------------------------------
# The formulas


def multiplicative(x, states, a, b, w, u, bias):
    (h,) = states
    h = np.tanh(x @ w + ((x @ a) * (h @ b)) @ u + bias)
    return h, [h]


def attention(x, states, w, u, q, v, bias):
    h, *past = states  # the last one first
    likeness = np.stack([np.sum(h @ q * one, -1) for one in past], -1)
    shares = np.exp(likeness) / np.exp(likeness).sum(-1, keepdims=True)
    found = sum(shares[:, [k]] * one for k, one in enumerate(past))
    h = np.tanh(x @ w + h @ u + found @ v + bias)
    return h, [h, h, *past[:-1]]


def readout(x, states, w, u, bias, answer, offset):
    said, h = states
    h = np.tanh(np.hstack([x, said]) @ w + h @ u + bias)
    said = np.tanh(h @ answer + offset)
    return said, [said, h]


def hierarchical(x, states, w, u, bias, w_above, u_above, bias_above):
    above, below = states
    below = np.tanh(np.hstack([x, above]) @ w + below @ u + bias)
    above = np.tanh(below @ w_above + above @ u_above + bias_above)
    return above, [above, below]


@pytest.mark.parametrize(
    ("cls", "twin", "sizes"),
    [
        (recipe.MultiplicativeCell, multiplicative, [3]),
        (recipe.AttentionCell, attention, [3, 3, 3]),
        (recipe.ReadoutCell, readout, [2, 4]),
        (recipe.HierarchicalCell, hierarchical, [3, 3]),
    ],
)
def test_formula(cls, twin, sizes):
    """Over twenty steps, from a state that is not zero."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(5, 20, 2)).astype("float32")
    rnn = layers.RNN(cls(**CELLS[cls]), return_sequences=True)
    rnn.build(x.shape)
    weights = [generator.normal(0, 0.5, w.shape) for w in rnn.get_weights()]
    rnn.set_weights(weights)
    states = [generator.uniform(-1, 1, size=(5, size)) for size in sizes]
    start = states
    if cls is recipe.AttentionCell:
        # Keras' cell has them in a row, the last one at its end.
        start = [states[0], np.hstack(states[:0:-1])]
    start = [ops.convert_to_tensor(s, dtype="float32") for s in start]
    (found,) = run_recurrent(rnn, x, states=start)
    for step in range(20):
        expected, states = twin(x[:, step], states, *weights)
        np.testing.assert_allclose(found[:, step], expected, atol=1e-5)


# ----------------------------------------------------------------------
# The recipe


def test_facts():
    found = recipe.measure(seed=3)
    for name in recipe.FACTS:
        assert found[name] < 1e-5
    assert found["weights"] < 0.03
    assert found["forgotten"] > 0.1
    assert found["leak"] > 0.01


@pytest.mark.parametrize("task", ["text", "copy"])
def test_sequences(task):
    (x, y), (x_test, y_test) = recipe.load(task, seed=1)
    assert x.shape == y.shape and x_test.shape == y_test.shape
    assert (len(x), len(x_test)) == (2000, 1000)
    assert max(x.max(), y.max(), x_test.max()) < recipe.SIGNS
    if task == "text":
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
        np.testing.assert_array_equal(x[1:, 0], y[:-1, -1])
    else:
        asked = slice(-recipe.LENGTH, None)
        np.testing.assert_array_equal(x[:, : recipe.LENGTH], y[:, asked])
        assert y_test[:, asked].min() > 0


def test_guessing():
    """A network that knows nothing needs the bits that the prose names."""
    assert abs(np.log2(recipe.SIGNS) - 4.81) < 0.005
    found = recipe.train(0, 1, "copy", "readout", 5)
    assert 2.9 < found["bits"] < np.log2(recipe.SIGNS)
