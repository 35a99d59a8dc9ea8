import keras
import numpy as np
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer

MASK_TYPES = ("A", "B")


@keras.saving.register_keras_serializable(package="kerasrecipes")
class MaskedConv2D(keras.layers.Layer):
    r"""Convolution that sees no pixel behind its own in reading order.

    Pixels are in the order in which one reads: row by row, from left to right.
    Half of the kernel is multiplied by zero, so that the output at pixel
    :math:`(r, c)` depends only on those before it,

    .. math:: y_{rc} = a\Big(b + \sum_{(i, j) \in M} W_{ij} \,
        x_{r + i, c + j}\Big)

    where the mask :math:`M` holds the offsets in the window with :math:`i <
    0`, and those with :math:`i = 0` and :math:`j < 0`. That is mask A, for the
    first layer of a network that says a pixel from the ones before it. Mask B
    holds the offset :math:`(0, 0)` as well: what a layer behind the first one
    has at a pixel knows only of earlier ones, and may be used. Pixels outside
    of the image are zeros.

    A stack of these layers does not see all pixels before its own, however
    high it is: from row to row its view grows to the right by no more than
    half a window, so that there is a blind spot above on the right.

    The channels of a pixel have no order: with mask A none of them is seen,
    with mask B all are. The masked half of the kernel stays as it was
    initialized, and has a gradient of zero; it is counted by `count_params`
    and by a regularizer of the model's weights.

    A saved model that has the layer loads after `import kerasrecipes.layers`.

    Args:
        filters: Positive integer, the number of outputs at each pixel.
        kernel_size: Odd positive integer, height and width of the window.
        mask_type: String, `"A"` without the pixel itself, or `"B"` with it.
            Defaults to `"B"`.
        activation: Activation function, or its name. Defaults to `None`,
            which leaves the sums as they are.
        use_bias: Boolean, whether to add a bias. Defaults to `True`.
        kernel_initializer: Initializer of the kernel, of shape `(kernel_size,
            kernel_size, channels, filters)`; it counts masked weights as well.
            Defaults to `"glorot_uniform"`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor of rank 4.

    Input shape:
        `(batch, height, width, channels)`. Height and width may be unknown.

    Output shape:
        `(batch, height, width, filters)`. No mask is passed on.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [van den Oord, Kalchbrenner and Kavukcuoglu, 2016](
        https://arxiv.org/abs/1601.06759)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        mask_type="B",
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        if not is_integer(filters) or filters <= 0:
            raise invalid_argument("filters", "a positive integer", filters)
        if (
            not is_integer(kernel_size)
            or kernel_size <= 0
            or (kernel_size % 2 == 0)
        ):
            raise invalid_argument(
                "kernel_size", "an odd positive integer", kernel_size
            )
        if mask_type not in MASK_TYPES:
            raise invalid_argument(
                "mask_type", f"one of {MASK_TYPES}", mask_type
            )
        if not isinstance(use_bias, bool):
            raise invalid_argument("use_bias", "a boolean", use_bias)
        try:
            function = keras.activations.get(activation)
        except ValueError:
            raise invalid_argument(
                "activation", "None or a Keras activation", activation
            ) from None
        try:
            initializer = keras.initializers.get(kernel_initializer)
        except ValueError:
            initializer = None
        if initializer is None:
            raise invalid_argument(
                "kernel_initializer", "a Keras initializer", kernel_initializer
            )
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.kernel_size = int(kernel_size)
        self.mask_type = mask_type
        self.activation = function
        self.use_bias = use_bias
        self.kernel_initializer = initializer
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        channels = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, channels, self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer="zeros", name="bias"
            )
        taps = np.arange(self.kernel_size**2)
        middle = len(taps) // 2
        is_seen = taps <= middle if self.mask_type == "B" else taps < middle
        self._is_seen = is_seen.reshape(self.kernel_size, -1, 1, 1)

    def call(self, inputs):
        # Chosen and not multiplied: what is masked can be no NaN either.
        kernel = ops.cast(self.kernel, self.compute_dtype)
        kernel = ops.where(self._is_seen, kernel, ops.zeros_like(kernel))
        outputs = ops.conv(
            inputs, kernel, padding="same", data_format="channels_last"
        )
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "mask_type": self.mask_type,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
        base_config = super().get_config()
        return {**base_config, **config}
