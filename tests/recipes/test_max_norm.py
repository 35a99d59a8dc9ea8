"""Max-norm as the recipe uses it, vector by vector."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.recipes.regularization import max_norm as recipe


def project(w, bound, axis):
    limit = keras.constraints.MaxNorm(bound, axis)
    return ops.convert_to_numpy(limit(w.astype("float32")))


@pytest.mark.parametrize(
    "shape, axis", [((7, 4), 0), ((3, 3, 5, 4), recipe.FILTER)]
)
def test_projection_unit_by_unit(shape, axis):
    w = np.random.default_rng(0).normal(size=shape) * [0.1, 0.5, 1, 3]
    expected = np.array(w)
    for unit in range(4):
        norm = sum(float(v) ** 2 for v in w[..., unit].flat) ** 0.5
        if norm > 2:
            expected[..., unit] *= 2 / norm
    assert (expected != w).any() and (expected == w).any()
    np.testing.assert_allclose(project(w, 2.0, axis), expected, atol=1e-6)
    np.testing.assert_allclose(
        recipe.by_formula(w, 2.0, axis), expected, atol=1e-12
    )


def test_axis_0_of_a_filter_bounds_its_columns():
    w = np.full((3, 3, 5, 4), 10.0)
    found = project(w, 2.0, 0)
    np.testing.assert_allclose(recipe.lengths(found, 0), 2, rtol=1e-6)
    norms = recipe.lengths(found, recipe.FILTER)
    np.testing.assert_allclose(norms, 2 * 15**0.5, rtol=1e-6)


@pytest.mark.parametrize("axis", [recipe.FILTER, 0])
def test_the_bound_holds_after_each_update(axis):
    keras.utils.set_random_seed(0)
    model = recipe.build_model(bound=0.5, axis=axis)
    model.compile(keras.optimizers.SGD(0.2, 0.9), loss=recipe.LOSS)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 8, 8, 1)), generator.integers(0, 10, 20)
    for _ in range(3):
        model.train_on_batch(x, y)
        *kernels, free = [w for w in model.get_weights() if w.ndim > 1]
        for w in kernels:
            along = axis if w.ndim == 4 else 0
            assert recipe.lengths(w, along).max() <= 0.5 + 1e-6
        assert recipe.lengths(free, 0).max() > 0.5


def test_scores_of_a_diverging_run_are_finite():
    scores = recipe.train(0, epochs=1, speed=1e6)
    assert np.isfinite(list(scores.values())).all()
    assert scores["diverged"] in (0, 1) and scores["longest filter"] <= 1e3
