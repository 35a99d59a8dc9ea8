import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer


class _GatedCell(keras.layers.Layer):
    """What cells with gates have in common: arguments, weights and config."""

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        **kwargs,
    ):
        if not is_integer(units) or units <= 0:
            raise invalid_argument("units", "a positive integer", units)
        if not isinstance(use_bias, bool):
            raise invalid_argument("use_bias", "a boolean", use_bias)
        super().__init__(**kwargs)
        self.units = int(units)
        self.activation = _get_activation("activation", activation)
        self.recurrent_activation = _get_activation(
            "recurrent_activation", recurrent_activation
        )
        self.use_bias = use_bias
        self.kernel_initializer = _get_initializer(
            "kernel_initializer", kernel_initializer
        )
        self.recurrent_initializer = _get_initializer(
            "recurrent_initializer", recurrent_initializer
        )
        self.state_size = [self.units]
        self.output_size = self.units

    def add_gate_weights(self, features, sums, state_sums=None, ones=None):
        """Makes the weights of `sums` sums, each of the size of the state.

        Args:
            features: Integer, the number of inputs.
            sums: Integer, how many sums the inputs take part in.
            state_sums: Integer, how many the state does. Defaults to `sums`.
            ones: Integer, the number of the sum whose bias starts at 1.
                Defaults to `None`: all start at 0.
        """
        units = self.units
        self.kernel = self.add_weight(
            (features, sums * units), self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (units, (sums if state_sums is None else state_sums) * units),
            self.recurrent_initializer,
            name="recurrent_kernel",
        )

        def start(shape, dtype=None):
            places = ops.arange(shape[0]) // units
            return ops.cast(places == (-1 if ones is None else ones), dtype)

        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((sums * units,), start, name="bias")

    def from_inputs(self, inputs):
        """What the inputs and the bias add to the sums, side by side."""
        sums = ops.matmul(inputs, self.kernel)
        return sums if self.bias is None else sums + self.bias

    def get_config(self):
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "recurrent_activation": keras.activations.serialize(
                self.recurrent_activation
            ),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "recurrent_initializer": keras.initializers.serialize(
                self.recurrent_initializer
            ),
        }
        base_config = super().get_config()
        return {**base_config, **config}


class _GatedLSTMCell(_GatedCell):
    """What the relatives of the LSTM have in common: two states, a bias."""

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        unit_forget_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        **kwargs,
    ):
        if not isinstance(unit_forget_bias, bool):
            raise invalid_argument(
                "unit_forget_bias", "a boolean", unit_forget_bias
            )
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            **kwargs,
        )
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]

    def get_config(self):
        config = {"unit_forget_bias": self.unit_forget_bias}
        base_config = super().get_config()
        return {**base_config, **config}


def _get_activation(name, value):
    try:
        return keras.activations.get(value)
    except ValueError:
        expected = "None or a Keras activation"
        raise invalid_argument(name, expected, value) from None


def _get_initializer(name, value):
    try:
        initializer = keras.initializers.get(value)
    except ValueError:
        initializer = None
    if initializer is None:
        raise invalid_argument(name, "a Keras initializer", value)
    return initializer
