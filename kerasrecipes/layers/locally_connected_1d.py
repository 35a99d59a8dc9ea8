import keras
import numpy as np
from keras import activations, constraints, initializers, ops, regularizers

from kerasrecipes.checks import invalid_argument, is_integer

PADDINGS = ("valid", "same")
DATA_FORMATS = ("channels_last", "channels_first")


@keras.saving.register_keras_serializable(package="kerasrecipes")
class LocallyConnected1D(keras.layers.Layer):
    r"""Convolution whose kernel is another one at each position.

    `keras.layers.Conv1D` looks everywhere with the same weights. Here each
    output position :math:`t` has a kernel :math:`W_t` and a bias :math:`b_t`
    of its own, and sees only its window of the inputs:

    .. math:: y_{tf} = a\Big(b_{tf} + \sum_{i=0}^{k-1} \sum_c
        W_{ticf} \, x_{st + i, c}\Big)

    with the kernel size :math:`k`, the stride :math:`s` and the activation
    :math:`a`. With all kernels and biases the same it is `Conv1D`. It has
    `positions * (kernel_size * channels + 1) * filters` weights, as many
    times as a convolution as there are positions.

    Keras had this layer up to version 2. Two things differ. The kernel has the
    shape `(positions, kernel_size, channels, filters)`, so that a kernel of
    `Conv1D` can be put into it, position by position. And an initializer
    draws the kernel of each position for itself: that of Keras 2 counted all
    positions as inputs of a unit, so that weights started too small, by about
    the root of their number.

    A saved model that has the layer loads after `import kerasrecipes.layers`.

    Args:
        filters: Positive integer, the number of outputs at each position.
        kernel_size: Positive integer, the width of a window.
        strides: Positive integer, the steps from one window to the next one.
            Defaults to `1`.
        padding: String, `"valid"` for windows within the inputs alone, or
            `"same"` for as many positions as steps (divided by `strides`),
            with zeros around the inputs. Defaults to `"valid"`.
        data_format: String, `"channels_last"` or `"channels_first"`, the
            place of the channels: the last axis, or the one behind the batch.
            Defaults to `None`, which takes Keras' `image_data_format`.
        activation: Activation function, or its name. Defaults to `None`,
            which leaves the sums as they are.
        use_bias: Boolean, whether to add biases. Defaults to `True`.
        kernel_initializer: Initializer of a position's kernel, of shape
            `(kernel_size, channels, filters)`. Defaults to
            `"glorot_uniform"`.
        bias_initializer: Initializer of the biases, of shape `(positions,
            filters)`. Defaults to `"zeros"`.
        kernel_regularizer: Optional regularizer of all kernels.
        bias_regularizer: Optional regularizer of the biases.
        kernel_constraint: Optional constraint of all kernels, an array of
            shape `(positions, kernel_size, channels, filters)`.
        bias_constraint: Optional constraint of the biases.
        **kwargs: Base layer keyword arguments (e.g. `name`, `dtype` and
            `activity_regularizer`).

    Call arguments:
        inputs: Tensor of rank 3.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` with
        `data_format="channels_first"`. Both sizes must be known.

    Output shape:
        `(batch, positions, filters)`, or `(batch, filters, positions)` with
        `data_format="channels_first"`. No mask is passed on.

    Raises:
        ValueError: If an argument is not as described above, if the number of
            steps or channels is unknown, or if there are fewer steps than a
            window has and `padding="valid"`.

    Reference:

    - [LeCun et al., 1989](https://doi.org/10.1162/neco.1989.1.4.541)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        for name, value in (
            ("filters", filters),
            ("kernel_size", kernel_size),
            ("strides", strides),
        ):
            if not is_integer(value) or value <= 0:
                raise invalid_argument(name, "a positive integer", value)
        if padding not in PADDINGS:
            raise invalid_argument("padding", f"one of {PADDINGS}", padding)
        if data_format is None:
            data_format = keras.config.image_data_format()
        if data_format not in DATA_FORMATS:
            raise invalid_argument(
                "data_format", f"None or one of {DATA_FORMATS}", data_format
            )
        if not isinstance(use_bias, bool):
            raise invalid_argument("use_bias", "a boolean", use_bias)
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.kernel_size = int(kernel_size)
        self.strides = int(strides)
        self.padding = padding
        self.data_format = data_format
        self.use_bias = use_bias
        for name, value, kind, module in (
            ("activation", activation, "activation", activations),
            (
                "kernel_initializer",
                kernel_initializer,
                "initializer",
                initializers,
            ),
            ("bias_initializer", bias_initializer, "initializer", initializers),
            (
                "kernel_regularizer",
                kernel_regularizer,
                "regularizer",
                regularizers,
            ),
            ("bias_regularizer", bias_regularizer, "regularizer", regularizers),
            ("kernel_constraint", kernel_constraint, "constraint", constraints),
            ("bias_constraint", bias_constraint, "constraint", constraints),
        ):
            try:
                found = module.get(value)
            except (TypeError, ValueError):
                found = None
            optional = kind != "initializer"
            if found is None and not (optional and value is None):
                expected = f"{'None or ' * optional}an object or name of Keras'"
                raise invalid_argument(
                    name, f"{expected} {module.__name__.split('.')[-1]}", value
                )
            setattr(self, name, found)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        steps, channels = self._sizes(input_shape)
        for what, size in (("steps", steps), ("channels", channels)):
            if size is None:
                raise ValueError(
                    f"The number of {what} must be known. "
                    f"Received: input_shape={input_shape}"
                )
        positions = self._count_positions(steps)
        if positions < 1:
            raise ValueError(
                f"A window of {self.kernel_size} steps does not fit. "
                f"Received: input_shape={input_shape}"
            )
        first = self.data_format == "channels_first"
        axes = {1: channels, 2: steps} if first else {1: steps, 2: channels}
        self.input_spec = keras.layers.InputSpec(ndim=3, axes=axes)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(positions, self.kernel_size, channels, self.filters),
            initializer=self._draw_kernels,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(positions, self.filters),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        super().build(input_shape)

    def _draw_kernels(self, shape, dtype=None):
        """A kernel for each position, drawn as for a convolution."""
        positions, *shape = shape
        initializer = self.kernel_initializer
        config = getattr(initializer, "get_config", dict)()
        seed = config.get("seed")
        if "seed" not in config or isinstance(seed, dict):
            # It draws nothing, or something else with each call.
            draws = [initializer] * positions
        else:
            # It draws the same with each call.
            seeds = [None] * positions
            if seed is not None:
                generator = np.random.RandomState(seed % 2**32)
                seeds = generator.randint(2**31 - 1, size=positions).tolist()
            draws = [
                initializer.from_config({**config, "seed": one})
                for one in seeds
            ]
        return ops.stack([draw(tuple(shape), dtype=dtype) for draw in draws])

    def call(self, inputs):
        x = inputs
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 1))
        steps = x.shape[1]
        positions = self._count_positions(steps)
        span = (positions - 1) * self.strides + 1
        if self.padding == "same":
            missing = max(span + self.kernel_size - 1 - steps, 0)
            before = missing // 2
            x = ops.pad(x, [(0, 0), (before, missing - before), (0, 0)])
        # The windows side by side: (batch, positions, kernel_size * channels).
        windows = ops.concatenate(
            [
                x[:, start : start + span : self.strides]
                for start in range(self.kernel_size)
            ],
            axis=-1,
        )
        kernels = ops.reshape(self.kernel, (positions, -1, self.filters))
        outputs = ops.einsum("bpi,pif->bpf", windows, kernels)
        if self.use_bias:
            outputs = outputs + self.bias
        if self.activation is not None:
            outputs = self.activation(outputs)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 2, 1))
        return outputs

    def _sizes(self, input_shape):
        """Numbers of steps and of channels."""
        _, steps, channels = input_shape
        if self.data_format == "channels_first":
            return channels, steps
        return steps, channels

    def _count_positions(self, steps):
        if self.padding == "same":
            return -(-steps // self.strides)
        return (steps - self.kernel_size) // self.strides + 1

    def compute_output_shape(self, input_shape):
        steps, _ = self._sizes(input_shape)
        positions = None if steps is None else self._count_positions(steps)
        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, positions)
        return (input_shape[0], positions, self.filters)

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(
                self.kernel_initializer
            ),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(
                self.kernel_regularizer
            ),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
        base_config = super().get_config()
        return {**base_config, **config}
