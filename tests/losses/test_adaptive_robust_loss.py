"""The robust loss and its likelihood against formulas and integrals."""

import math

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients
from keras import ops
from scipy import integrate, special

from kerasrecipes.layers import AppendShapeAndScale
from kerasrecipes.losses import (
    AdaptiveRobustLikelihood,
    AdaptiveRobustLoss,
    general_robust_loss,
    log_partition,
)

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

KNOWN = {
    2.0: lambda x: x**2 / 2,
    1.0: lambda x: x**2 / (np.sqrt(x**2 + 1) + 1),  # the root less one
    0.0: lambda x: np.log1p(x**2 / 2),
    -2.0: lambda x: 2 * x**2 / (x**2 + 4),
    -math.inf: lambda x: -np.expm1(-(x**2) / 2),
}
# From the smallest square that a float32 tells from zero to the largest
# residual of the issue, and a few values between 1e-3 and 10.
RESIDUALS = np.concatenate(
    [np.logspace(-6, 4, 301), np.linspace(1e-3, 10, 201)]
).astype("float32")
# Between the shapes above a power of up to 1e8 is taken by a logarithm of up
# to 18, whose rounding it multiplies.
RELATIVE_ERROR = 2e-6


def by_formula(x, alpha):
    """The general formula in float64, in the paper's form."""
    if alpha in KNOWN:
        return KNOWN[alpha](x)
    b = abs(alpha - 2)
    # By expm1 and log1p, or float64 would lose digits near 0 as well.
    return b / alpha * np.expm1(alpha / 2 * np.log1p(x**2 / b))


def slope_by_formula(x, alpha):
    if alpha == 2:
        return x
    if alpha == -math.inf:
        return x * np.exp(-(x**2) / 2)
    return x * (x**2 / abs(alpha - 2) + 1) ** (alpha / 2 - 1)


def numbers(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


# ----------------------------------------------------------------------
# The loss


@pytest.mark.parametrize("scale", [1.0, 0.3, 20.0])
@pytest.mark.parametrize("alpha", KNOWN)
def test_known_losses(alpha, scale):
    found = numbers(general_robust_loss(RESIDUALS, alpha, scale))
    # The scale as a float32 as well: what the loss divides by.
    x = RESIDUALS.astype("float64") / np.float64(np.float32(scale))
    np.testing.assert_allclose(found, KNOWN[alpha](x), rtol=1e-6)


@pytest.mark.parametrize("side", [-1e-6, -1e-7, 1e-7, 1e-6])
@pytest.mark.parametrize("alpha", [2.0, 1.0, 0.0, -2.0])
def test_beside_the_known_shapes(alpha, side):
    shape = min(alpha + side, 2.0)
    expected = by_formula(RESIDUALS.astype("float64"), shape)
    found = numbers(general_robust_loss(RESIDUALS, shape))
    error = 1e-6 if alpha in (2.0, 0.0) else RELATIVE_ERROR
    np.testing.assert_allclose(found, expected, rtol=error)
    limit = numbers(general_robust_loss(RESIDUALS, alpha))
    # The derivative by the shape, relative to the loss, is 16 log(...) at the
    # most for a residual of 1e4.
    np.testing.assert_allclose(found, limit, rtol=2e-5)


@pytest.mark.parametrize("alpha", [1.9, 1.5, 1.01, 0.99, 0.3, -0.3, -1, -7.5])
def test_between_the_known_shapes(alpha):
    expected = by_formula(RESIDUALS.astype("float64"), alpha)
    found = numbers(general_robust_loss(RESIDUALS, alpha))
    np.testing.assert_allclose(found, expected, rtol=RELATIVE_ERROR)


def test_welsch_is_the_limit():
    welsch = numbers(general_robust_loss(RESIDUALS, -math.inf))
    for alpha in (-1e8, -1e12, -1e40):
        found = numbers(general_robust_loss(RESIDUALS, alpha))
        np.testing.assert_allclose(found, welsch, rtol=1e-6)


def test_shapes_in_a_tensor():
    shapes = np.array(
        [2, 2 - 2.0**-20, 1.7, 1, 0.5, 1e-6, 0, -1e-6, -2, -100], "float32"
    )
    expected = [
        by_formula(RESIDUALS.astype("float64"), float(shape))
        for shape in shapes
    ]
    found = general_robust_loss(
        RESIDUALS, ops.convert_to_tensor(shapes[:, np.newaxis])
    )
    np.testing.assert_allclose(numbers(found), expected, rtol=RELATIVE_ERROR)


def test_a_shape_above_two_counts_as_two():
    found = general_robust_loss(RESIDUALS, ops.convert_to_tensor([2.5]))
    np.testing.assert_allclose(numbers(found), RESIDUALS**2 / 2, rtol=1e-6)


@pytest.mark.parametrize("alpha", [*KNOWN, 1.5, 1e-6, -1e-6, 2 - 1e-6, -7.5])
def test_gradient(alpha):
    x = np.append(RESIDUALS, np.float32([0, 1e4]))[:, np.newaxis]
    x = np.concatenate([x, -x])
    loss = AdaptiveRobustLoss(alpha, reduction="sum")
    found = compute_gradients(
        keras.layers.Identity(), x, np.zeros_like(x), loss=loss
    )[0]
    assert np.isfinite(found).all()
    expected = slope_by_formula(x.astype("float64"), alpha)
    # On JAX and PyTorch the derivative of expm1 is expm1 plus one: a slope that
    # vanishes is right to a rounding of one.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-7)


def test_minus_infinity_survives_json():
    for alpha in ("-inf", -math.inf):
        config = AdaptiveRobustLoss(alpha).get_config()
        assert config["alpha"] == "-inf"
        again = AdaptiveRobustLoss.from_config(config)
        assert again.alpha == -math.inf


@pytest.mark.parametrize(
    ("target_shape", "output_shape"),
    [((5,), (5, 1)), ((5, 1), (5,)), ((5, 1), (5, 1)), ((5, 2), (5, 2))],
)
def test_targets_without_a_last_axis(target_shape, output_shape):
    generator = np.random.default_rng(0)
    y_true = generator.normal(size=target_shape)
    y_pred = generator.normal(size=output_shape)
    x = (y_true.reshape(5, -1) - y_pred.reshape(5, -1)).astype("float32")
    loss = AdaptiveRobustLoss(0.0, reduction=None)
    np.testing.assert_allclose(
        numbers(loss(y_true, y_pred)),
        by_formula(x, 0.0).mean(axis=-1),
        rtol=1e-5,
    )


# ----------------------------------------------------------------------
# The density


def partition_by_quad(alpha):
    value, _ = integrate.quad(
        lambda x: math.exp(-by_formula(x, alpha)),
        0,
        math.inf,
        epsabs=0,
        epsrel=1e-9,
        limit=1000,
    )
    return 2 * value


SHAPES = [0.05, 0.2, 0.5, 0.9, 1.3, 1.7, 1.99, 1.99999]


def test_partition_against_numerical_integration():
    expected = [math.log(partition_by_quad(alpha)) for alpha in SHAPES]
    found = numbers(log_partition(np.array(SHAPES, "float32")))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_partition_in_closed_form():
    """Normal, Cauchy's and, by a Bessel function, Charbonnier's density."""
    bessel = 2 * math.e * special.kv(1, 1)
    expected = np.log([math.sqrt(2 * math.pi), bessel, math.pi * math.sqrt(2)])
    found = numbers(log_partition(np.array([2, 1, 0], "float32")))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_partition_has_finite_gradients():
    shapes = np.array([[0, 1e-7, 0.001, 0.5, 1.5, 1.999, 2]], "float32")
    found = compute_gradients(
        keras.layers.Identity(),
        shapes,
        np.zeros_like(shapes),
        loss=lambda _, alpha: ops.sum(log_partition(alpha)),
    )[0][0]
    assert np.isfinite(found).all()
    for alpha, slope in zip(shapes[0, 3:5].tolist(), found[3:5], strict=True):
        step = 1e-3
        high, low = (partition_by_quad(alpha + s) for s in (step, -step))
        expected = math.log(high / low) / (2 * step)
        assert slope == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 1.8])
def test_likelihood_is_a_density(alpha):
    scale = 0.4
    y = np.linspace(-60, 60, 120_001)[:, np.newaxis]
    rows = np.broadcast_to([[1.5, alpha, scale]], (len(y), 3))
    loss = AdaptiveRobustLikelihood(reduction=None)
    density = np.exp(-numbers(loss(y, rows)))
    x = (y[:, 0] - 1.5) / np.float32(scale)
    area = scale * partition_by_quad(np.float64(np.float32(alpha)))
    expected = np.exp(-by_formula(x, np.float64(np.float32(alpha)))) / area
    # Minus logarithms of up to ten are rounded to 1e-6, twice or more.
    np.testing.assert_allclose(density, expected, rtol=1e-5, atol=1e-5)


def test_shapes_beyond_the_ends_count_as_the_ends():
    loss = AdaptiveRobustLikelihood(reduction=None)
    for beyond, end in ((-0.5, 0.0), (2.5, 2.0)):
        found, expected = (
            numbers(loss(np.array([[0.3]]), np.array([[1.0, alpha, 0.7]])))
            for alpha in (beyond, end)
        )
        np.testing.assert_array_equal(found, expected)


def test_likelihood_needs_three_columns():
    with pytest.raises(ValueError, match="three columns"):
        AdaptiveRobustLikelihood()(np.zeros((4, 1)), np.zeros((4, 2)))


# ----------------------------------------------------------------------
# Learned


def make_student(n, degrees, seed=0):
    """Inputs, and targets 2 x + 1 with Student's errors of size 0.3."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 1)).astype("float32")
    errors = 0.3 * generator.standard_t(degrees, size=(n, 1))
    return x, (2 * x + 1 + errors).astype("float32")


def fit(x, y, head, epochs=30):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((1,)),
            keras.layers.Dense(y.shape[1]),
            head,
        ]
    )
    optimizer = keras.optimizers.Adam(0.05)
    model.compile(optimizer, AdaptiveRobustLikelihood())
    model.fit(x, y, batch_size=200, epochs=epochs, verbose=0)
    return model


def test_fit_learns_one_shape_and_scale_for_each_output():
    """Normal errors have the shape 2, those of Cauchy's distribution 0."""
    (x, normal), (_, cauchy) = (
        make_student(4000, degrees) for degrees in (1e9, 1)
    )
    y = np.concatenate([normal, cauchy], axis=1)
    head = AppendShapeAndScale(shared=False)
    model = fit(x, y, head)
    (straight, heavy), scale = head.get_shape_and_scale()
    assert straight > 1.8 and heavy < 0.5
    np.testing.assert_allclose(scale[0], 0.3, rtol=0.15)
    kernel, bias = model.layers[0].get_weights()
    np.testing.assert_allclose(kernel, [[2, 2]], atol=0.05)
    np.testing.assert_allclose(bias, [1, 1], atol=0.05)
    outputs = model.predict(x[:5], verbose=0)
    line = np.repeat(2 * x[:5] + 1, 2, axis=1)
    np.testing.assert_allclose(outputs[:, :2], line, atol=0.2)


def test_begins_where_it_is_told():
    for alpha, scale in ((0.002, 1e-4), (1.0, 1.0), (1.998, 500.0)):
        head = AppendShapeAndScale(alpha, scale, shared=True)
        outputs = numbers(head(np.ones((2, 3), "float32")))
        expected = [[1] * 3 + [alpha] * 3 + [scale] * 3] * 2
        np.testing.assert_allclose(outputs, expected, rtol=1e-3)
        assert head.count_params() == 2


def test_the_scale_stays_above_its_floor():
    """On a line that is met exactly the loss falls without end but for it."""
    x = np.linspace(-1, 1, 200, dtype="float32")[:, np.newaxis]
    head = AppendShapeAndScale(scale=0.02, min_scale=0.01)
    model = fit(x, 0 * x, head, epochs=60)
    assert head.get_shape_and_scale()[1] > 0.01
    loss = model.evaluate(x, 0 * x, verbose=0)
    assert math.isfinite(loss) and loss < -1


def test_the_number_of_outputs_must_be_known():
    with pytest.raises(ValueError, match="must be known"):
        AppendShapeAndScale().build((None, None))
