import keras
from keras import ops

from kerasrecipes.cells.gated_cell import _GatedCell
from kerasrecipes.checks import check_integer


@keras.saving.register_keras_serializable(package="kerasrecipes")
class MutatedCell(_GatedCell):
    r"""One of the three best cells of a search: MUT1, MUT2 or MUT3.

    Ten thousand recurrent cells were made from others by random changes, and
    tried. These three came out on top; they are relatives of the GRU. With the
    update gate :math:`z` and the reset gate :math:`r` all of them end in

    .. math:: h_t = z_t \odot \tilde h_t + (1 - z_t) \odot h_{t-1}

    and before it, the first, the second and the third compute

    .. math::

        z_t &= \sigma(x_t W_z + b_z)

        r_t &= \sigma(x_t W_r + h_{t-1} U_r + b_r)

        \tilde h_t &= \tanh((r_t \odot h_{t-1}) U_h + \tanh(x_t W_h) + b_h)

    .. math::

        z_t &= \sigma(x_t W_z + h_{t-1} U_z + b_z)

        r_t &= \sigma(x_t W_r + h_{t-1} U_r + b_r)

        \tilde h_t &= \tanh((r_t \odot h_{t-1}) U_h + x_t W_h + b_h)

    .. math::

        z_t &= \sigma(x_t W_z + \tanh(h_{t-1}) U_z + b_z)

        r_t &= \sigma(x_t W_r + h_{t-1} U_r + b_r)

        \tilde h_t &= \tanh((r_t \odot h_{t-1}) U_h + x_t W_h + b_h)

    The paper has two things in print that fit only where there are as many
    features as units: :math:`\tanh(x_t)` in the candidate of the first, and
    :math:`x_t` alone in the reset gate of the second. Here both are projected
    like all other inputs, by :math:`W_h` and :math:`W_r`. So the second cell
    is a GRU: Keras' `GRUCell` with `reset_after=False`, whose update gate has
    the other sign. The sums are in the order update gate, reset gate,
    candidate, and the first cell has no :math:`U_z`.

    A saved model that has the cell loads after `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output, which is the state.
        kind: 1, 2 or 3, the number of the cell in the paper. Defaults to `1`.
        activation: Keras activation in place of every tanh. Defaults to
            `"tanh"`.
        recurrent_activation: Keras activation of the gates. Defaults to
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

    - [Jozefowicz, Zaremba and Sutskever, 2015](
        https://proceedings.mlr.press/v37/jozefowicz15.html)
    """

    def __init__(
        self,
        units,
        kind=1,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        **kwargs,
    ):
        kind = check_integer("kind", kind, 1, "1, 2 or 3", most=3)
        super().__init__(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            **kwargs,
        )
        self.kind = kind

    def build(self, input_shape):
        state_sums = 2 if self.kind == 1 else 3
        self.add_gate_weights(input_shape[-1], 3, state_sums)
        super().build(input_shape)

    def call(self, inputs, states):
        (h,) = states
        units = self.units
        new_kernel = self.recurrent_kernel[:, -units:]
        reset_kernel = self.recurrent_kernel[:, -2 * units : -units]
        # The bias of the candidate is outside of its inner tanh.
        sums = ops.matmul(inputs, self.kernel)
        z, r, new = ops.split(sums, 3, axis=-1)
        if self.kind == 1:
            new = self.activation(new)
        if self.bias is not None:
            b_z, b_r, b_h = ops.split(self.bias, 3)
            z, r, new = z + b_z, r + b_r, new + b_h
        if self.kind != 1:
            seen = h if self.kind == 2 else self.activation(h)
            z = z + ops.matmul(seen, self.recurrent_kernel[:, :units])
        z = self.recurrent_activation(z)
        r = self.recurrent_activation(r + ops.matmul(h, reset_kernel))
        new = self.activation(new + ops.matmul(r * h, new_kernel))
        h = z * new + (1 - z) * h
        return h, [h]

    def get_config(self):
        config = {"kind": self.kind}
        base_config = super().get_config()
        return {**base_config, **config}
