import math

import keras
from keras import ops

from kerasrecipes.checks import (
    invalid_argument,
    is_finite_number,
    is_integer,
)


@keras.saving.register_keras_serializable(package="kerasrecipes")
class SRUCell(keras.layers.Layer):
    r"""Simple recurrent unit: a cell whose units do not see each other.

    All sums over the inputs can be taken for the whole sequence at once, since
    none of them needs the state. What is left for the loop is a product and a
    sum for each unit alone:

    .. math::

        f_t &= \sigma(x_t W_f + v_f \odot c_{t-1} + b_f)

        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot x_t W

        r_t &= \sigma(x_t W_r + v_r \odot c_{t-1} + b_r)

        h_t &= r_t \odot c_t + \alpha \, (1 - r_t) \odot x_t W_x

    Where there are as many features as units, :math:`W_x` is left out, and the
    inputs are passed by the cell as they are. The factor :math:`\alpha =
    \sqrt{1 + 2 e^b}`, with :math:`b` for `highway_bias`, keeps the outputs'
    variance near that of the inputs.

    A cell is run step by step, and so it multiplies at each step, which is no
    faster than an LSTM. `kerasrecipes.layers.SRU` has the same weights, does
    the same, and multiplies once. The cell is what that layer is compared
    with; and it can stand in a stack of cells, or inside of another one.

    The kernel's columns are those of :math:`W, W_f, W_r` and, where it is
    needed, :math:`W_x`. They start as the authors' code has them: with a
    variance of one by the number of features, half of it for the gates. A
    saved model that has the cell loads after `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output and of the state.
        forget_bias: Float, where :math:`b_f` starts. With a positive one the
            units remember for longer from the beginning. Defaults to `0.0`.
        highway_bias: Float, where :math:`b_r` starts. A negative one lets
            more of the inputs pass by. Defaults to `0.0`.
        rescale: Boolean, whether to multiply by :math:`\alpha`; without it
            that is 1. Defaults to `True`.
        recurrent_gates: Boolean, whether the gates see the state. Without
            :math:`v` it is the form that was published first. Defaults to
            `True`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor, one step of a batch of sequences.
        states: List of two tensors of shape `(batch, units)`: the output of
            the step before, which the formulas do not need, but
            `keras.layers.RNN` does at masked steps, and :math:`c`.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, units)`, and a list of the two states.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Lei, Zhang, Wang, Dai and Artzi, 2017](
        https://arxiv.org/abs/1709.02755)
    """

    def __init__(
        self,
        units,
        forget_bias=0.0,
        highway_bias=0.0,
        rescale=True,
        recurrent_gates=True,
        **kwargs,
    ):
        if not is_integer(units) or units <= 0:
            raise invalid_argument("units", "a positive integer", units)
        _check_sru(forget_bias, highway_bias, rescale, recurrent_gates)
        super().__init__(**kwargs)
        self.units = int(units)
        self.forget_bias = float(forget_bias)
        self.highway_bias = float(highway_bias)
        self.rescale = rescale
        self.recurrent_gates = recurrent_gates
        self.state_size = [self.units, self.units]
        self.output_size = self.units

    def build(self, input_shape):
        _add_sru_weights(self, input_shape[-1])
        super().build(input_shape)

    def call(self, inputs, states):
        _, c = states
        sums = ops.matmul(inputs, self.kernel)
        new, f, r, *skip = ops.split(sums, self.parts, axis=-1)
        skip = self.alpha * (skip[0] if skip else inputs)
        from_state = 0.0
        if self.recurrent_gates:
            from_state = self.gate_kernel * ops.tile(c, (1, 2))
        gates = ops.concatenate([f, r], axis=-1) + from_state + self.bias
        f, r = ops.split(ops.sigmoid(gates), 2, axis=-1)
        c = f * c + (1 - f) * new
        h = r * c + (1 - r) * skip
        return h, [h, c]

    def get_config(self):
        config = {
            "units": self.units,
            "forget_bias": self.forget_bias,
            "highway_bias": self.highway_bias,
            "rescale": self.rescale,
            "recurrent_gates": self.recurrent_gates,
        }
        base_config = super().get_config()
        return {**base_config, **config}


def _check_sru(forget_bias, highway_bias, rescale, recurrent_gates):
    for name, value in (
        ("forget_bias", forget_bias),
        ("highway_bias", highway_bias),
    ):
        if not is_finite_number(value):
            raise invalid_argument(name, "a finite number", value)
    for name, value in (
        ("rescale", rescale),
        ("recurrent_gates", recurrent_gates),
    ):
        if not isinstance(value, bool):
            raise invalid_argument(name, "a boolean", value)


def _add_sru_weights(layer, features):
    """Makes the weights that the cell and the layer have in common."""
    units = layer.units
    layer.parts = 3 if features == units else 4
    layer.alpha = 1.0
    if layer.rescale:
        layer.alpha = math.sqrt(1 + 2 * math.exp(layer.highway_bias))

    def start_kernel(shape, dtype=None):
        values = keras.initializers.LecunUniform()(shape, dtype)
        part = ops.arange(shape[1]) // units
        is_gate = ops.logical_or(ops.equal(part, 1), ops.equal(part, 2))
        return ops.where(is_gate, math.sqrt(0.5) * values, values)

    def start_bias(_, dtype=None):
        starts = [layer.forget_bias] * units + [layer.highway_bias] * units
        return ops.convert_to_tensor(starts, dtype)

    layer.kernel = layer.add_weight(
        (features, layer.parts * units), start_kernel, name="kernel"
    )
    if layer.recurrent_gates:
        edge = math.sqrt(1.5)  # a variance of one half
        layer.gate_kernel = layer.add_weight(
            (2 * units,),
            keras.initializers.RandomUniform(-edge, edge),
            name="gate_kernel",
        )
    layer.bias = layer.add_weight((2 * units,), start_bias, name="bias")
