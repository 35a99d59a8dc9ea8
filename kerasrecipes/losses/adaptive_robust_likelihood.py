import functools

import keras
import numpy as np
from keras import ops

from kerasrecipes.losses.adaptive_robust_loss import (
    _with_last_axis,
    general_robust_loss,
)

# With so many the interpolation is off by 6e-7 at most.
_KNOTS = 1024


@keras.saving.register_keras_serializable(package="kerasrecipes")
class AdaptiveRobustLikelihood(keras.losses.Loss):
    r"""Barron's robust loss with a shape and a scale that are learned.

    A loss that may choose its own shape chooses one for which no residual
    counts. It has to pay for that: what is made small is the negative
    logarithm of a density, which must have an area of one,

    .. math::

       -\log p(y) = \rho(y - \hat y, \alpha, c) + \log c + \log Z(\alpha),
       \qquad Z(\alpha) = \int_{-\infty}^{\infty} e^{-\rho(x, \alpha, 1)} \, dx

    where :math:`\rho` is `general_robust_loss`. The normal distribution is
    :math:`\alpha = 2`, Cauchy's :math:`\alpha = 0`. Below zero there is no
    density: the loss is bounded, and the integral is infinite. So shapes are
    between 0 and 2; others are taken for the nearer end. `Z` is integrated
    once, for 1,025 shapes that lie closest near 2, and interpolated by cubic
    polynomials.

    A model looks after its layers' weights and knows nothing of variables in a
    loss: these would never be trained. So the shape and the scale are part of
    `y_pred`, three numbers for each output in place of one, and
    `kerasrecipes.layers.AppendShapeAndScale` is the layer that holds them:

    ```python
    model = keras.Sequential(
        [layers.Dense(16, "relu"), layers.Dense(1), AppendShapeAndScale()]
    )
    model.compile("adam", loss=AdaptiveRobustLikelihood())
    model.fit(x, y)
    predictions = model.predict(x)[:, :1]
    ```

    It is a density, not a probability, and its negative logarithm may be below
    zero. A saved model that was compiled with it loads after
    `import kerasrecipes.losses`.

    Args:
        **kwargs: Base loss keyword arguments (`name`, `reduction`, `dtype`).

    Call arguments:
        y_true: Tensor of targets, `(batch, ..., outputs)`; its last axis may
            be missing where it is 1.
        y_pred: Tensor of shape `(batch, ..., 3 * outputs)`: the predictions,
            then their shapes, then their positive scales.
        sample_weight: As in `keras.losses.Loss`.

    Raises:
        ValueError: When called with a `y_pred` of another width.

    Reference:

    - [Barron, 2019](https://arxiv.org/abs/1701.03077)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, y_true, y_pred):
        y_true, y_pred = _with_last_axis(y_true, y_pred)
        if y_pred.shape[-1] != 3 * y_true.shape[-1]:
            raise ValueError(
                "y_pred must have three columns for each column of y_true: "
                "predictions, shapes and scales. "
                f"Received: y_true.shape={tuple(y_true.shape)}, "
                f"y_pred.shape={tuple(y_pred.shape)}"
            )
        predictions, alpha, scale = ops.split(y_pred, 3, axis=-1)
        alpha = ops.clip(alpha, 0.0, 2.0)
        losses = general_robust_loss(predictions - y_true, alpha, scale)
        losses = losses + ops.log(scale) + log_partition(alpha)
        return ops.mean(losses, axis=-1)


def log_partition(alpha):
    r"""Logarithm of the area under :math:`e^{-\rho(x, \alpha, 1)}`.

    Args:
        alpha: Float tensor of shapes from 0 to 2.

    Returns:
        Tensor of the same shape, right to 2e-6, and with a gradient that is
        the derivative of the interpolation.
    """
    alpha = ops.convert_to_tensor(alpha)
    # At 2 the derivative is infinite; there it becomes a large number.
    half = ops.maximum(1.0 - alpha / 2, 1e-12)
    place = _KNOTS * ops.sqrt(half)
    knot = ops.clip(ops.floor(place), 0, _KNOTS - 1)
    t = place - knot
    knot = ops.cast(knot, "int32")
    values, slopes = _partition_table()
    values = ops.convert_to_tensor(values, dtype=alpha.dtype)
    slopes = ops.convert_to_tensor(slopes, dtype=alpha.dtype)
    left, right = ops.take(values, knot), ops.take(values, knot + 1)
    start, end = ops.take(slopes, knot), ops.take(slopes, knot + 1)
    rise = right - left
    # Hermite's cubic polynomial between two knots.
    curve = 3 * rise - 2 * start - end + t * (start + end - 2 * rise)
    return left + t * (start + t * curve)


@functools.cache
def _partition_table():
    """Log Z and its slope from knot to knot, at `sqrt(1 - alpha / 2)`.

    Z has a singularity at 2, like `b log b` with `b = 2 - alpha`; over the
    root of `b` it is smooth enough for a polynomial.
    """
    # Over t, with x = sinh(t), the integrand is even and falls like exp(-t)
    # at the least; for such functions the trapezoidal rule is exact.
    t, step = np.linspace(0.0, 40.0, 1001, retstep=True)
    squares = np.sinh(t) ** 2
    half = (np.arange(_KNOTS + 1) / _KNOTS) ** 2
    values = np.empty(_KNOTS + 1)
    for number, b in enumerate(2 * half):
        alpha = 2 - b
        if b == 0:
            losses = squares / 2
        elif alpha == 0:
            losses = np.log1p(squares / 2)
        else:
            power = np.expm1(alpha / 2 * np.log1p(squares / b))
            losses = b / alpha * power
        areas = np.exp(t - losses) * (1 + np.exp(-2 * t))  # 2 cosh(t) exp(-rho)
        values[number] = np.log(step * (areas.sum() - areas[0] / 2))
    return values, np.gradient(values, edge_order=2)
