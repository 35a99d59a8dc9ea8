import keras
from keras import ops

from kerasrecipes.cells.gated_cell import _GatedLSTMCell


@keras.saving.register_keras_serializable(package="kerasrecipes")
class CoupledGateLSTMCell(_GatedLSTMCell):
    r"""LSTM cell that writes what it forgets: coupled gates, "CIFG".

    One gate decides between the old and the new, as in a GRU. The input gate
    is what the forget gate leaves:

    .. math::

        f_t &= \sigma(x_t W_f + h_{t-1} U_f + b_f)

        c_t &= f_t \odot c_{t-1}
            + (1 - f_t) \odot \tanh(x_t W_c + h_{t-1} U_c + b_c)

        o_t &= \sigma(x_t W_o + h_{t-1} U_o + b_o)

        h_t &= o_t \odot \tanh(c_t)

    It has three quarters of an LSTM's weights, in the order forget gate,
    candidate, output gate. It is Keras' `LSTMCell` in which the weights of the
    input gate are those of the forget gate with the other sign. A saved model
    that has the cell loads after `import kerasrecipes.cells`.

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

    - [Greff, Srivastava, Koutník, Steunebrink and Schmidhuber, 2015](
        https://arxiv.org/abs/1503.04069)
    """

    def build(self, input_shape):
        ones = 0 if self.unit_forget_bias else None
        self.add_gate_weights(input_shape[-1], sums=3, ones=ones)
        super().build(input_shape)

    def call(self, inputs, states):
        h, c = states
        sums = self.from_inputs(inputs) + ops.matmul(h, self.recurrent_kernel)
        f, new, o = ops.split(sums, 3, axis=-1)
        f = self.recurrent_activation(f)
        c = f * c + (1 - f) * self.activation(new)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]
