import math

import keras
from keras import ops

from kerasrecipes.checks import (
    invalid_argument,
    is_finite_number,
    is_number,
)

# Below this shape the loss is Welsch's to nine digits, and in float32 squares
# divided by a larger number would vanish.
_LOWEST_SHAPE = -1e9
# Stands for `2 - alpha` where that is zero: its part of the loss is too small
# to be seen in float32.
_LEAST_DISTANCE = 1e-12
# Up to here a series takes the place of `expm1(z) / z`.
_SERIES_BELOW = 0.1


def general_robust_loss(residuals, alpha, scale=1.0):
    r"""Barron's family of losses, value by value.

    With the residual :math:`x`, the shape :math:`\alpha` and the scale
    :math:`c`, it is

    .. math::

       \rho(x, \alpha, c) = \frac{|\alpha - 2|}{\alpha} \Bigg( \bigg(
       \frac{(x / c)^2}{|\alpha - 2|} + 1 \bigg)^{\alpha / 2} - 1 \Bigg)

    and its limits where that is not defined, at 2, 0 and minus infinity. It
    is computed by `log1p` and `expm1`, in a form for shapes near 2 and another
    for the others, so that in float32 it is right near these values too: to a
    few units in the seventh digit.

    Args:
        residuals: Float tensor, predictions minus targets.
        alpha: Number up to `2.0`, `-math.inf` among them, or a tensor of such
            (finite) numbers that broadcasts with `residuals`; larger ones
            count as `2.0`.
        scale: Positive number, or a tensor of such. Defaults to `1.0`.

    Returns:
        Tensor of losses, of the shape to which the arguments broadcast.

    Reference:

    - [Barron, 2019](https://arxiv.org/abs/1701.03077)
    """
    squares = ops.square(ops.convert_to_tensor(residuals) / scale)
    if is_number(alpha):
        if alpha < _LOWEST_SHAPE:
            return -ops.expm1(-squares / 2)
        if alpha == 1:  # two roundings less than by a logarithm
            return squares / (1 + ops.sqrt(1 + squares))
        distance = max(2 - alpha, _LEAST_DISTANCE)
        near = _near_two if distance < 1 else _far_from_two
        return near(squares, min(alpha, 2.0), distance)
    alpha = ops.minimum(alpha, 2.0)
    distance = ops.maximum(2.0 - alpha, _LEAST_DISTANCE)
    is_near = distance < 1
    return ops.where(
        is_near,
        # Where this one is not taken, its gradient must still be a number.
        _near_two(squares, ops.where(is_near, alpha, 1.0), distance),
        _far_from_two(squares, alpha, distance),
    )


def _near_two(squares, alpha, distance):
    """The loss for a shape above 0, exact as the distance to 2 vanishes."""
    exponent = -distance / 2 * ops.log1p(squares / distance)
    power = squares * ops.exp(exponent)
    return (power + distance * ops.expm1(exponent)) / alpha


def _far_from_two(squares, alpha, distance):
    """The loss for a shape below 2, exact as the shape vanishes."""
    logarithm = ops.log1p(squares / distance)
    z = alpha / 2 * logarithm
    is_small = ops.abs(z) < _SERIES_BELOW
    z_or_zero = ops.where(is_small, z, 0.0)
    series = 1.0
    for divisor in (6, 5, 4, 3, 2):  # expm1(z) / z, by Horner's rule
        series = 1.0 + z_or_zero / divisor * series
    return ops.where(
        is_small,
        distance / 2 * logarithm * series,
        distance / ops.where(is_small, 1.0, alpha) * ops.expm1(z),
    )


def _with_last_axis(y_true, y_pred):
    """The targets with the rank of the predictions, and these.

    Without it `(batch,)` less `(batch, 1)` would be `(batch, batch)`.
    """
    difference = len(y_pred.shape) - len(y_true.shape)
    if difference == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif difference == -1:
        y_pred = ops.expand_dims(y_pred, -1)
    return y_true, y_pred


@keras.saving.register_keras_serializable(package="kerasrecipes")
class AdaptiveRobustLoss(keras.losses.Loss):
    r"""Barron's general robust loss, with a fixed shape and scale.

    One number, the shape :math:`\alpha`, says how much an outlier counts:

    - `2` is half the squared error,
    - `1` Charbonnier's loss, which is a smooth absolute error,
    - `0` Cauchy's, which grows like a logarithm,
    - `-2` Geman and McClure's, and `-math.inf` Welsch's, which are bounded,

    and all between them are losses too; `general_robust_loss` has the formula.
    Residuals much smaller than the scale :math:`c` count as in half the
    squared error divided by :math:`c^2`, whatever the shape. Shapes above 2,
    which the paper has as well, count outliers more than squares do and are
    refused.

    To have the shape and the scale learned as well, see
    `AdaptiveRobustLikelihood`. A saved model that was compiled with the loss
    loads after `import kerasrecipes.losses`.

    Example:

    ```python
    model.compile("adam", loss=AdaptiveRobustLoss(alpha=0.0, scale=0.5))
    ```

    Args:
        alpha: Number up to `2.0`, `-math.inf` or `"-inf"`: the shape. Defaults
            to `1.0`.
        scale: Positive number in the unit of the targets: residuals beyond it
            are on their way to outliers. Defaults to `1.0`.
        **kwargs: Base loss keyword arguments (`name`, `reduction`, `dtype`).

    Call arguments:
        y_true: Tensor of targets, of the shape of `y_pred`; its last axis may
            be missing where it is 1.
        y_pred: Tensor of predictions, `(batch, ..., outputs)`. The loss is
            averaged over the outputs.
        sample_weight: As in `keras.losses.Loss`.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Barron, 2019](https://arxiv.org/abs/1701.03077)
    """

    def __init__(self, alpha=1.0, scale=1.0, **kwargs):
        # JSON has no infinity, so that the config says it in words.
        shape = -math.inf if alpha == "-inf" else alpha
        if not is_number(shape) or not shape <= 2:
            raise invalid_argument(
                "alpha", "a number up to 2, or '-inf'", alpha
            )
        if not is_finite_number(scale) or scale <= 0:
            raise invalid_argument("scale", "a positive number", scale)
        super().__init__(**kwargs)
        self.alpha = float(shape)
        self.scale = float(scale)

    def call(self, y_true, y_pred):
        y_true, y_pred = _with_last_axis(y_true, y_pred)
        losses = general_robust_loss(y_pred - y_true, self.alpha, self.scale)
        return ops.mean(losses, axis=-1)

    def get_config(self):
        config = {
            "alpha": self.alpha if math.isfinite(self.alpha) else "-inf",
            "scale": self.scale,
        }
        base_config = super().get_config()
        return {**base_config, **config}
