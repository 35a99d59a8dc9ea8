"""Kinds of dropout against NumPy, and where they stand in the networks."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.layers import DropConnectDense
from kerasrecipes.recipes.regularization import dropout_variants

RATE = 0.3
LOWEST = 1.0507009873554805 * 1.6732632423543772  # SELU's, with a minus
IMAGES, TEXTS = (6, 8, 8, 5), (6, 12, 5)
# Axes along which one factor is shared.
SHARED = {
    "unit": (IMAGES, ()),
    "normal": (IMAGES, ()),
    "channel": (IMAGES, (1, 2)),
    "dimension": (TEXTS, (1,)),
    "word": (TEXTS, (2,)),
}


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def make(kind, seed=3):
    return dropout_variants.KINDS[kind](RATE, seed=seed)


def make_inputs(shape, seed=5):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# ----------------------------------------------------------------------
# The kinds


@pytest.mark.parametrize("kind", SHARED)
def test_a_kind_multiplies_by_its_factors(kind):
    """Those that it makes of ones, shared where the kind shares them."""
    shape, axes = SHARED[kind]
    factors = run(make(kind), np.ones(shape, "float32"))
    x = make_inputs(shape)
    np.testing.assert_allclose(run(make(kind), x), x * factors, rtol=1e-5)
    first = factors
    for axis in axes:
        first = np.take(first, [0], axis)
    np.testing.assert_array_equal(factors, np.broadcast_to(first, shape))
    # No other axis shares them, and some are dropped.
    for axis in set(range(len(shape))) - set(axes):
        assert np.ptp(factors, axis).max() > 0
    if kind != "normal":
        found = np.unique(factors)
        np.testing.assert_allclose(found, [0, 1 / (1 - RATE)], rtol=1e-6)


@pytest.mark.parametrize("kind", SHARED)
def test_mean_and_variance_of_the_factors(kind):
    """Of 20,000 and more of them, within five standard errors."""
    shape, axes = SHARED[kind]
    shape = (1000 if kind in ("unit", "normal") else 4000, *shape[1:])
    factors = run(make(kind), np.ones(shape, "float32")).astype("float64")
    for axis in axes:
        factors = np.take(factors, [0], axis)
    assert factors.size >= 20_000
    variance = RATE / (1 - RATE)
    error = np.sqrt(variance / factors.size)
    assert abs(factors.mean() - 1) < 5 * error
    squares = np.square(factors - 1)
    error = squares.std() / np.sqrt(factors.size)
    assert abs(squares.mean() - variance) < 5 * error


@pytest.mark.parametrize("kind", [*SHARED, "alpha", "block"])
def test_nothing_happens_in_inference(kind):
    shape, _ = SHARED.get(kind, (IMAGES, ()))
    x = make_inputs(shape)
    np.testing.assert_array_equal(run(make(kind), x, training=False), x)


def test_blocks_are_squares_of_three():
    """A unit is dropped with at least one square of which it is a part."""
    kept = run(make("block"), np.ones((50, 8, 8, 4), "float32")) > 0
    windows = np.lib.stride_tricks.sliding_window_view(kept, (3, 3), (1, 2))
    squares = ~windows.any((-2, -1))  # by their first unit
    covered = np.zeros_like(kept)
    for row, column in np.ndindex(3, 3):
        covered[:, row : row + 6, column : column + 6] |= squares
    assert squares.any()
    np.testing.assert_array_equal(~kept, covered)


# ----------------------------------------------------------------------
# SELU


def numpy_alpha(x, kept, rate):
    """Klambauer et al., section 2.2: drop to the lowest value, then scale."""
    scale = 1 / np.sqrt((1 - rate) * (1 + rate * LOWEST**2))
    return scale * (np.where(kept, x, -LOWEST) + rate * LOWEST)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_is_the_formula(rate):
    x = make_inputs((40, 50))

    def drop(x):
        return run(layers.AlphaDropout(rate, seed=3), x)

    kept = drop(x) != drop(x + 1)  # a dropped unit says the same of both
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / 2000)
    np.testing.assert_allclose(drop(x), numpy_alpha(x, kept, rate), atol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_moments_of_selu_units_by_hand(rate):
    """What alpha dropout keeps, and what dropout does to the variance.

    Both are sums over "kept" and "dropped" of moments of the units, which are
    integrals over a normal density.
    """
    z, step = np.linspace(-10, 10, 400_001, retstep=True)
    density = np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi) * step
    units = np.where(z > 0, z * 1.0507009873554805, LOWEST * np.expm1(z))

    def moments(outputs):  # of kept units, and of dropped ones
        chances = (1 - rate), rate
        mean, square, product = (
            sum(
                chance * np.sum(density * part)
                for chance, part in zip(chances, parts, strict=True)
            )
            for parts in zip(
                *((y, np.square(y), y * units) for y in outputs), strict=True
            )
        )
        return mean, square - mean**2, product

    nothing = np.zeros_like(units)
    alpha = [numpy_alpha(units, kept, rate) for kept in (True, False)]
    mean, variance, share = moments(alpha)
    assert (mean, variance) == pytest.approx((0, 1), abs=1e-5)
    expected = np.sqrt((1 - rate) / (1 + 1.758**2 * rate))
    assert share == pytest.approx(expected, abs=1e-4)
    plain = moments([units / (1 - rate), nothing])
    assert plain == pytest.approx((0, 1 / (1 - rate), 1), abs=1e-5)
    if rate == 0.5:  # as the recipe claims
        assert expected == pytest.approx(0.443, abs=5e-4)


def test_what_is_measured():
    """Beside what the claims say of it: that something is dropped at all."""
    scores = dropout_variants.measure(seed=0)
    assert all(np.isfinite(value) for value in scores.values())
    shares = [v for name, v in scores.items() if name.startswith("share of")]
    assert shares == [1, 0, 0, 0, 1]
    images = np.ones((100, 8, 8, 64), "float32")
    maps = run(layers.SpatialDropout2D(0.25, seed=0), images)[:, 0, 0]
    assert abs(np.mean(maps == 0) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 6400)


def test_what_is_broken():
    masks = np.array([[0.0, 2.0, 2.0], [0.0, 2.0, 0.0]])
    assert dropout_variants.broken(masks, 0) == pytest.approx(1 / 3)
    assert dropout_variants.broken(masks, 1) == 1
    assert dropout_variants.broken(masks, 0, 1) == 1


# ----------------------------------------------------------------------
# The networks

STANDS = {
    "unit": "Dropout",
    "normal": "GaussianDropout",
    "alpha": "AlphaDropout",
    "channel": "SpatialDropout2D",
    "block": "DropBlock2D",
    "dimension": "SpatialDropout1D",
    "word": "Dropout",
}


def expected_layers(network, kind):
    """Names of a network's layers, those of the kind where they belong."""
    drop = [STANDS[kind]] if kind in STANDS else []
    dense = "Dense" if kind in (*STANDS, "none") else "DropConnectDense"
    return {
        "MLP": [dense, *drop] * 2,
        "SELU": ["Dense", *drop] * 8,
        "CNN": ["Conv2D", *drop, "MaxPooling2D", "Conv2D", *drop],
        "text": ["Embedding", *drop, "GlobalAveragePooling1D", "Dense"],
    }[network] + ["Flatten", "Dense"]


@pytest.mark.parametrize("name", dropout_variants.VARIANTS)
def test_where_each_kind_stands(name):
    variant = dropout_variants.VARIANTS[name]
    network, kind = variant["network"], variant.get("kind", "none")
    assert name.startswith(f"{network}: ")
    assert (kind == "none") == name.endswith(": none")
    model = dropout_variants.build_model(**variant)
    found = [type(layer).__name__ for layer in model.layers]
    assert found == expected_layers(network, kind)
    rates = [layer.rate for layer in model.layers if hasattr(layer, "rate")]
    assert set(rates) <= {dropout_variants.RATES[network]}
    assert bool(rates) == (kind != "none")
    baseline = dropout_variants.build_model(network)
    assert model.count_params() == baseline.count_params()
    assert model.output_shape == (None, 4 if network == "text" else 10)


def test_the_three_forms_of_drop_connect():
    forms = {
        kind: dropout_variants.build_model("MLP", kind).layers[0]
        for kind in dropout_variants.DENSE_KINDS
    }
    assert all(type(layer) is DropConnectDense for layer in forms.values())
    found = {k: (one.mask_mode, one.inference) for k, one in forms.items()}
    assert found == {
        "weight": ("per_example", "mean"),
        "moments": ("per_example", "moments"),
        "one mask": ("per_batch", "mean"),
    }


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", ["none", "unit", "dimension", "word"])
def test_masked_words_do_not_count(kind, training):
    """The mean over a text's words is the same whatever stands for none."""
    words = np.random.default_rng(0).integers(1, 2000, (5, 32))
    words *= np.arange(32) < np.array([[32], [1], [5], [20], [31]])
    outputs = []
    for padding in (0.0, 100.0):
        keras.utils.set_random_seed(0)
        model = dropout_variants.build_model("text", kind)
        (vectors,) = model.layers[0].get_weights()
        vectors[0] = padding
        model.layers[0].set_weights([vectors])
        outputs.append(run(model, words, training))
    assert np.abs(outputs[0]).max() > 0
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)


def test_the_mean_over_words_by_hand():
    keras.utils.set_random_seed(0)
    model = dropout_variants.build_model("text")
    vectors, kernel, bias, out, out_bias = model.get_weights()
    words = np.array([[7, 9, 7, *[0] * 29], [3, *[0] * 31]])
    means = np.array([vectors[[7, 9, 7]].mean(0), vectors[3]])
    hidden = np.maximum(means @ kernel + bias, 0)
    np.testing.assert_allclose(
        run(model, words, False), hidden @ out + out_bias, atol=1e-5
    )


# ----------------------------------------------------------------------
# DropConnect's prediction, the data


def test_moments_are_the_mean_over_masks():
    """Of the first layer's outputs, for three real digits."""
    (x, _), _ = dropout_variants.load("MLP", 0)
    keras.utils.set_random_seed(0)
    layer = dropout_variants.build_model("MLP", "moments").layers[0]
    kernel, bias = layer.get_weights()
    digits = x[:3]
    outputs = run(layer, np.repeat(digits, 1000, axis=0)).reshape(3, 1000, -1)
    mean = outputs.mean(1)
    # Five standard errors; and the quadrature and sums that are not quite
    # normal, as a share of the deviation of what goes into the ReLU.
    error = 5 * outputs.std(1) / np.sqrt(1000)
    error += 0.02 * np.sqrt(digits**2 @ kernel**2 + bias**2)
    found = run(layer, digits, training=False)
    assert (np.abs(found - mean) < error).all()
    plain = np.maximum(digits @ kernel + bias, 0)
    assert np.abs(found - mean).mean() < np.abs(plain - mean).mean() / 5


def test_moments_change_the_prediction_alone():
    """Both forms train to the same weights from the same seed."""
    (x, y), _ = dropout_variants.load("MLP", 0)
    models = []
    for kind in ("weight", "moments"):
        keras.utils.set_random_seed(0)
        model = dropout_variants.build_model("MLP", kind)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-3), loss)
        model.fit(x, y, batch_size=50, epochs=1, verbose=0)
        models.append(model)
    weights = [model.get_weights() for model in models]
    for mean, moments in zip(*weights, strict=True):
        np.testing.assert_allclose(mean, moments, atol=1e-6)
    mean, moments = (run(model, x, training=False) for model in models)
    assert np.abs(mean - moments).max() > 0.01


@pytest.mark.parametrize("network", ["MLP", "CNN", "SELU"])
def test_pixels_are_standardised_by_the_training_part(network):
    (x, y), (x_test, y_test) = dropout_variants.load(network, 3)
    assert x.shape[1:] == ((8, 8, 1) if network == "CNN" else (64,))
    assert len(x) == len(y) == 100 and len(x_test) == len(y_test) == 180
    assert x.mean() == pytest.approx(0, abs=1e-5)
    assert x.std() == pytest.approx(1, abs=1e-5)
    # An empty pixel is the same number in both parts.
    assert x.min() == x_test.min() != 0
