"""What the networks of recurrent/tree_rnn can tell, and what they cannot."""

import numpy as np
import pytest
from keras import ops

from kerasrecipes.datasets import make_expressions
from kerasrecipes.recipes.recurrent import tree_rnn as recipe


@pytest.fixture
def trees():
    return make_expressions(30, 3, 1, "arithmetic")[1:3]


@pytest.mark.parametrize("reads", ["tree", "child sum"])
def test_order_of_parts(trees, reads):
    """A sum of the parts does not tell them apart, two places do."""
    symbols, children = trees
    model = recipe.build_model(reads, "arithmetic")
    one, other = (
        ops.convert_to_numpy(model([symbols, order]))
        for order in (children, children[..., ::-1])
    )
    off = np.abs(one - other).max(axis=-1)
    if reads == "tree":
        # But for such as (1+1).
        assert np.mean(off > 1e-4) > 0.8
    else:
        assert np.all(off < 1e-5)


@pytest.mark.parametrize("reads", ["tree", "child sum"])
def test_every_sign_counts(trees, reads):
    """The root hears of every node, and of no place without one."""
    symbols, children = trees
    model = recipe.build_model(reads, "arithmetic")
    before = ops.convert_to_numpy(model([symbols, children]))[0]
    for place in np.ndindex(symbols.shape[1:]):
        changed = symbols[:1].copy()
        is_node = changed[0][place] > 0
        changed[0][place] = changed[0][place] % 8 + 1
        after = ops.convert_to_numpy(model([changed, children[:1]]))[0]
        assert (np.abs(after - before).max() > 1e-6) == is_node


def test_sequence_ends_where_zeros_begin():
    tokens = make_expressions(20, 3, 1)[0]
    model = recipe.build_model("sequence", "logic")
    short, long = (
        ops.convert_to_numpy(model(np.pad(tokens, ((0, 0), (0, more)))))
        for more in (0, 7)
    )
    np.testing.assert_allclose(short, long, atol=1e-6)


def test_accuracy_is_counted_by_depth(monkeypatch):
    """A network that always says 1 is right as often as values are 1."""
    *_, symbols, _, y = make_expressions(1000, 6, 1, "logic", 10_000)
    depths = np.count_nonzero((symbols > 0).any(axis=-1), axis=-1) - 1
    built = recipe.build_model

    def build_model(*network):
        model = built(*network)
        answer = model.get_layer("answer")
        kernel, _ = answer.get_weights()
        answer.set_weights([kernel * 0, np.array([0.0, 1e3], "float32")])
        return model

    monkeypatch.setattr(recipe, "build_model", build_model)
    found = recipe.train(seed=0, epochs=1, kind="logic", reads="tree")
    shares = [y[depths == depth].mean() for depth in range(1, 7)]
    np.testing.assert_allclose(found["curves"]["accuracy by depth"], shares)
    assert found["deeper"] == pytest.approx(np.mean(shares[3:]))
    lost = np.mean(shares[:3]) - np.mean(shares[3:])
    assert found["lost"] == pytest.approx(lost)
