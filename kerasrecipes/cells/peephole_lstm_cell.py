import keras
from keras import ops

from kerasrecipes.cells.gated_cell import _GatedLSTMCell, _get_initializer


@keras.saving.register_keras_serializable(package="kerasrecipes")
class PeepholeLSTMCell(_GatedLSTMCell):
    r"""LSTM cell whose gates see the cell, through peepholes.

    The gates of an LSTM see its output alone, and an output gate that is shut
    hides the cell from them. Here each unit's gates look at its cell as well,
    with a weight :math:`p` each:

    .. math::

        i_t &= \sigma(x_t W_i + h_{t-1} U_i + p_i \odot c_{t-1} + b_i)

        f_t &= \sigma(x_t W_f + h_{t-1} U_f + p_f \odot c_{t-1} + b_f)

        c_t &= f_t \odot c_{t-1}
            + i_t \odot \tanh(x_t W_c + h_{t-1} U_c + b_c)

        o_t &= \sigma(x_t W_o + h_{t-1} U_o + p_o \odot c_t + b_o)

        h_t &= o_t \odot \tanh(c_t)

    The output gate sees the new cell, the others the one before. With all
    :math:`p` at zero, where they start by default, it is Keras' `LSTMCell`,
    with the same first three weights. A saved model that has the cell loads
    after `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output and of the cell.
        activation: Keras activation, of what is read and of the cell.
            Defaults to `"tanh"`.
        recurrent_activation: Keras activation of the gates. Defaults to
            `"sigmoid"`.
        use_bias: Boolean, whether there are biases. Defaults to `True`.
        unit_forget_bias: Boolean, whether the forget gate's biases start at 1
            rather than 0. Defaults to `True`.
        kernel_initializer: Keras initializer for the weights of the inputs.
            Defaults to `"glorot_uniform"`.
        recurrent_initializer: Keras initializer for the weights of the state.
            Defaults to `"orthogonal"`.
        peephole_initializer: Keras initializer for the peepholes. Defaults to
            `"zeros"`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor, one step of a batch of sequences.
        states: List of two tensors of shape `(batch, units)`: output and cell
            of the step before.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, units)`, and a list of the two states.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Gers and Schmidhuber, 2000](
        https://doi.org/10.1109/IJCNN.2000.861302)
    - [Greff, Srivastava, Koutník, Steunebrink and Schmidhuber, 2015](
        https://arxiv.org/abs/1503.04069)
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        unit_forget_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        peephole_initializer="zeros",
        **kwargs,
    ):
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            unit_forget_bias,
            kernel_initializer,
            recurrent_initializer,
            **kwargs,
        )
        self.peephole_initializer = _get_initializer(
            "peephole_initializer", peephole_initializer
        )

    def build(self, input_shape):
        ones = 1 if self.unit_forget_bias else None
        self.add_gate_weights(input_shape[-1], sums=4, ones=ones)
        # One for each gate and unit: input, forget and output gate.
        self.peepholes = self.add_weight(
            (3, self.units), self.peephole_initializer, name="peepholes"
        )
        super().build(input_shape)

    def call(self, inputs, states):
        h, c = states
        sums = self.from_inputs(inputs) + ops.matmul(h, self.recurrent_kernel)
        i, f, new, o = ops.split(sums, 4, axis=-1)
        see_i, see_f, see_o = ops.split(self.peepholes, 3)
        i = self.recurrent_activation(i + see_i * c)
        f = self.recurrent_activation(f + see_f * c)
        c = f * c + i * self.activation(new)
        h = self.recurrent_activation(o + see_o * c) * self.activation(c)
        return h, [h, c]

    def get_config(self):
        config = {
            "peephole_initializer": keras.initializers.serialize(
                self.peephole_initializer
            )
        }
        base_config = super().get_config()
        return {**base_config, **config}
