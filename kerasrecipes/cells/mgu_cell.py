import keras
from keras import ops

from kerasrecipes.cells.gated_cell import _GatedCell


@keras.saving.register_keras_serializable(package="kerasrecipes")
class MGUCell(_GatedCell):
    r"""Minimal gated unit: a recurrent cell with a single gate.

    A GRU has one gate for what of the state is looked at, and one for what of
    it is replaced. Here one gate does both:

    .. math::

        f_t &= \sigma(x_t W_f + h_{t-1} U_f + b_f)

        \tilde h_t &= \tanh(x_t W_h + (f_t \odot h_{t-1}) U_h + b_h)

        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot \tilde h_t

    The paper calls it the forget gate; where it is 1, the old state is gone.
    Some implementations have :math:`f` and :math:`1 - f` the other way round
    in the last line, which is another cell. It is Keras' `GRUCell` with
    `reset_after=False` in which the reset gate has the weights of the update
    gate with the other sign. A saved model that has the cell loads after
    `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output, which is the state.
        activation: Keras activation of the candidate. Defaults to `"tanh"`.
        recurrent_activation: Keras activation of the gate. Defaults to
            `"sigmoid"`.
        use_bias: Boolean, whether there are biases. Defaults to `True`.
        kernel_initializer: Keras initializer for the weights of the inputs.
            Defaults to `"glorot_uniform"`.
        recurrent_initializer: Keras initializer for the weights of the state.
            Defaults to `"orthogonal"`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor, one step of a batch of sequences.
        states: List of one tensor of shape `(batch, units)`: the output of the
            step before.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, units)`, and a list of the one state.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Zhou, Wu, Zhang and Zhou, 2016](https://arxiv.org/abs/1603.09420)
    """

    def build(self, input_shape):
        self.add_gate_weights(input_shape[-1], sums=2)
        super().build(input_shape)

    def call(self, inputs, states):
        (h,) = states
        gate_kernel, new_kernel = ops.split(self.recurrent_kernel, 2, axis=-1)
        gate, new = ops.split(self.from_inputs(inputs), 2, axis=-1)
        gate = self.recurrent_activation(gate + ops.matmul(h, gate_kernel))
        new = self.activation(new + ops.matmul(gate * h, new_kernel))
        h = (1 - gate) * h + gate * new
        return h, [h]
