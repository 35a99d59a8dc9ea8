import keras
from keras import ops

from kerasrecipes.cells.gated_cell import _GatedLSTMCell, _get_activation
from kerasrecipes.checks import invalid_argument

_GATES = ("input", "forget", "output")


@keras.saving.register_keras_serializable(package="kerasrecipes")
class AblatedLSTMCell(_GatedLSTMCell):
    r"""LSTM cell without some of its gates, to see what they are good for.

    A gate that is left out is always open:

    .. math::

        c_t &= f_t \odot c_{t-1} + i_t \odot \phi(x_t W_c + h_{t-1} U_c + b_c)

        h_t &= o_t \odot \psi(c_t)

        i_t, f_t, o_t &= \sigma(x_t W + h_{t-1} U + b) \text{ or } 1

    Without the forget gate nothing is ever forgotten: the cell is a sum over
    all steps, as in the first LSTM of 1997, and can grow without end. The
    activation :math:`\psi` of the output can be left out as well, by `None`.

    The weights are those of the gates that are there, in Keras' order: input,
    forget, candidate, output. With all of them it is Keras' `LSTMCell`. A
    saved model that has the cell loads after `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output and of the cell.
        gates: List or tuple of the gates that are there: any of `"input"`,
            `"forget"` and `"output"`. Defaults to all three.
        activation: Keras activation of what is read, :math:`\phi`. Defaults to
            `"tanh"`.
        output_activation: Keras activation of the cell, :math:`\psi`. Defaults
            to `"tanh"`.
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

    - [Hochreiter and Schmidhuber, 1997](
        https://doi.org/10.1162/neco.1997.9.8.1735)
    - [Greff, Srivastava, Koutník, Steunebrink and Schmidhuber, 2015](
        https://arxiv.org/abs/1503.04069)
    """

    def __init__(
        self,
        units,
        gates=_GATES,
        activation="tanh",
        output_activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        unit_forget_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        **kwargs,
    ):
        is_list = isinstance(gates, (list, tuple))
        if not is_list or any(gate not in _GATES for gate in gates):
            expected = f"a list of some of {_GATES}"
            raise invalid_argument("gates", expected, gates)
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
        self.gates = [gate for gate in _GATES if gate in gates]
        self.output_activation = _get_activation(
            "output_activation", output_activation
        )

    def build(self, input_shape):
        # The candidate comes after the input and the forget gate.
        self.sums = [gate for gate in _GATES[:2] if gate in self.gates]
        self.sums += ["candidate", *self.gates[len(self.sums) :]]
        ones = None
        if self.unit_forget_bias and "forget" in self.sums:
            ones = self.sums.index("forget")
        self.add_gate_weights(input_shape[-1], len(self.sums), ones=ones)
        super().build(input_shape)

    def call(self, inputs, states):
        h, c = states
        sums = self.from_inputs(inputs) + ops.matmul(h, self.recurrent_kernel)
        sums = ops.split(sums, len(self.sums), axis=-1)
        sums = dict(zip(self.sums, sums, strict=True))

        def through(gate, values):
            if gate in sums:
                return self.recurrent_activation(sums[gate]) * values
            return values

        new = self.activation(sums["candidate"])
        c = through("forget", c) + through("input", new)
        h = through("output", self.output_activation(c))
        return h, [h, c]

    def get_config(self):
        config = {
            "gates": self.gates,
            "output_activation": keras.activations.serialize(
                self.output_activation
            ),
        }
        base_config = super().get_config()
        return {**base_config, **config}
