import math

import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_finite_number

# Just inside [0, 2], where the density of the robust loss exists.
_LOWEST_ALPHA, _HIGHEST_ALPHA = 0.001, 1.999


@keras.saving.register_keras_serializable(package="kerasrecipes")
class AppendShapeAndScale(keras.layers.Layer):
    r"""Puts a learned shape and scale of a robust loss behind its inputs.

    The last layer of a model that is trained with
    `kerasrecipes.losses.AdaptiveRobustLikelihood`. That loss has a shape
    :math:`\alpha`, which says how much an outlier counts, and a scale
    :math:`c`. A model trains the weights of its layers alone, so this layer
    holds both and hands them to the loss beside the predictions. They depend
    on nothing but its weights :math:`a` and :math:`s`:

    .. math::

       \alpha = 0.001 + 1.998 \, \sigma(a), \qquad
       c = c_{\min} + \log(1 + e^s)

    so that every step of an optimizer leaves them where the loss is defined.
    After training, `get_shape_and_scale()` tells what was learned, and the
    predictions are the first columns of what `predict` returns. A saved model
    that has the layer loads after `import kerasrecipes.layers`.

    Args:
        alpha: Number above `0.001` and below `1.999`, the shape to begin
            with. Defaults to `1.0`.
        scale: Number above `min_scale`, the scale to begin with, in the unit
            of the targets. Defaults to `1.0`.
        min_scale: Positive number, below which the scale does not get. Without
            it a model that fits its targets exactly would make the density at
            them as high as it likes. Defaults to `1e-5`.
        shared: Boolean, whether all outputs have one shape and one scale.
            Defaults to `False`: one each for every output.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor of predictions.

    Input shape:
        `(batch, ..., outputs)`, the number of outputs known.

    Output shape:
        `(batch, ..., 3 * outputs)`: the inputs, then a shape for each, then a
        scale for each. A mask is passed on.

    Raises:
        ValueError: If an argument is not as described above, or if the number
            of outputs is unknown.

    Reference:

    - [Barron, 2019](https://arxiv.org/abs/1701.03077)
    """

    def __init__(
        self, alpha=1.0, scale=1.0, min_scale=1e-5, shared=False, **kwargs
    ):
        if (
            not is_finite_number(alpha)
            or not _LOWEST_ALPHA < alpha < _HIGHEST_ALPHA
        ):
            raise invalid_argument(
                "alpha", "a number above 0.001 and below 1.999", alpha
            )
        if not is_finite_number(min_scale) or min_scale <= 0:
            raise invalid_argument("min_scale", "a positive number", min_scale)
        if not is_finite_number(scale) or scale <= min_scale:
            raise invalid_argument(
                "scale", f"a number above {min_scale}", scale
            )
        if not isinstance(shared, bool):
            raise invalid_argument("shared", "a boolean", shared)
        super().__init__(**kwargs)
        self.alpha = float(alpha)
        self.scale = float(scale)
        self.min_scale = float(min_scale)
        self.shared = shared
        self.supports_masking = True

    def build(self, input_shape):
        outputs = input_shape[-1]
        if outputs is None:
            raise ValueError(
                "The number of outputs must be known. "
                f"Received: input_shape={input_shape}"
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: outputs})
        part = self.alpha - _LOWEST_ALPHA
        logit = math.log(part / (_HIGHEST_ALPHA - self.alpha))
        above = self.scale - self.min_scale
        # The inverse of log(1 + exp(s)), for large scales too.
        raw_scale = above + math.log(-math.expm1(-above))
        shape = (1,) if self.shared else (outputs,)
        self.raw_alpha = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(logit),
            name="raw_alpha",
        )
        self.raw_scale = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(raw_scale),
            name="raw_scale",
        )
        super().build(input_shape)

    def call(self, inputs):
        return ops.concatenate(
            [
                inputs,
                *(
                    ops.broadcast_to(
                        ops.cast(value, inputs.dtype), ops.shape(inputs)
                    )
                    for value in self._shape_and_scale()
                ),
            ],
            axis=-1,
        )

    def _shape_and_scale(self):
        width = _HIGHEST_ALPHA - _LOWEST_ALPHA
        alpha = _LOWEST_ALPHA + width * ops.sigmoid(self.raw_alpha)
        return alpha, self.min_scale + ops.softplus(self.raw_scale)

    def get_shape_and_scale(self):
        """The shapes and the scales as they are now.

        Returns:
            Two arrays with a number for each output, or with one if `shared`.
        """
        alpha, scale = self._shape_and_scale()
        return ops.convert_to_numpy(alpha), ops.convert_to_numpy(scale)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3 * input_shape[-1])

    def get_config(self):
        config = {
            "alpha": self.alpha,
            "scale": self.scale,
            "min_scale": self.min_scale,
            "shared": self.shared,
        }
        base_config = super().get_config()
        return {**base_config, **config}
