import keras
from keras import ops

from kerasrecipes.cells.gated_cell import _get_activation, _get_initializer
from kerasrecipes.checks import invalid_argument, is_integer


@keras.saving.register_keras_serializable(package="kerasrecipes")
class RWACell(keras.layers.Layer):
    r"""Recurrent weighted average: attention over all steps that were read.

    Its output is a mean over the whole past, in which each step has a weight
    of its own, for each unit:

    .. math::

        z_t &= (x_t W_u + b_u) \odot \tanh(x_t W_g + h_{t-1} U_g + b_g)

        a_t &= x_t W_a + h_{t-1} U_a

        h_t &= f\Big(\frac{\sum_{i \le t} z_i \odot e^{a_i}}
            {\sum_{i \le t} e^{a_i}}\Big)

    Nothing decays: a step counts as much after a thousand others as after
    one, as far as they have the same :math:`a`. The two sums are carried on,
    and so is the largest :math:`a` so far, :math:`m_t`, by which both are
    divided. It cancels, and no exponential is larger than 1:

    .. math::

        n_t &= n_{t-1} \odot e^{m_{t-1} - m_t} + z_t \odot e^{a_t - m_t}

        d_t &= d_{t-1} \odot e^{m_{t-1} - m_t} + e^{a_t - m_t}

    A bias of :math:`a` would cancel as well, so there is none. The first
    output :math:`h_0 = f(s)`, which the first step sees, is learned, unless an
    initial state is given. Long sums want float32: in float16 a sum of
    thousands no longer feels a step that is added. A saved model that has the
    cell loads after `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output.
        activation: Keras activation, :math:`f`. Defaults to `"tanh"`.
        kernel_initializer: Keras initializer for the weights of the inputs.
            Defaults to `"glorot_uniform"`.
        recurrent_initializer: Keras initializer for the weights of the
            output. Defaults to `"glorot_uniform"`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor, one step of a batch of sequences.
        states: List of four tensors of shape `(batch, units)`: the output of
            the step before, :math:`n`, :math:`d` and :math:`m`. As long as
            :math:`d` is 0, nothing was read.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, units)`, and a list of the four states.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Ostmeyer and Cowell, 2017](https://arxiv.org/abs/1703.01253)
    """

    def __init__(
        self,
        units,
        activation="tanh",
        kernel_initializer="glorot_uniform",
        recurrent_initializer="glorot_uniform",
        **kwargs,
    ):
        if not is_integer(units) or units <= 0:
            raise invalid_argument("units", "a positive integer", units)
        super().__init__(**kwargs)
        self.units = int(units)
        self.activation = _get_activation("activation", activation)
        self.kernel_initializer = _get_initializer(
            "kernel_initializer", kernel_initializer
        )
        self.recurrent_initializer = _get_initializer(
            "recurrent_initializer", recurrent_initializer
        )
        self.state_size = [self.units] * 4
        self.output_size = self.units

    def build(self, input_shape):
        units = self.units
        # The columns are those of u, g and a; of g and a; of u and g.
        self.kernel = self.add_weight(
            (input_shape[-1], 3 * units), self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (units, 2 * units),
            self.recurrent_initializer,
            name="recurrent_kernel",
        )
        self.bias = self.add_weight((2 * units,), "zeros", name="bias")
        self.start = self.add_weight((units,), "zeros", name="start")
        super().build(input_shape)

    def get_initial_state(self, batch_size=None):
        """The learned first output, and sums without a term.

        Args:
            batch_size: Integer or scalar tensor.

        Returns:
            List of the four states.
        """
        zeros = ops.zeros((batch_size, self.units), self.compute_dtype)
        start = ops.cast(self.start, self.compute_dtype)
        return [zeros + self.activation(start), zeros, zeros, zeros]

    def call(self, inputs, states):
        h, n, d, most = states
        u, g, a = ops.split(ops.matmul(inputs, self.kernel), 3, axis=-1)
        see_g, see_a = ops.split(ops.matmul(h, self.recurrent_kernel), 2, -1)
        b_u, b_g = ops.split(self.bias, 2)
        z = (u + b_u) * ops.tanh(g + see_g + b_g)
        a = a + see_a
        # Before the first step there is no largest `a`.
        begun = d > 0
        new_most = ops.where(begun, ops.maximum(most, a), a)
        most = ops.where(begun, most, a)
        fading, weight = ops.exp(most - new_most), ops.exp(a - new_most)
        n = n * fading + z * weight
        d = d * fading + weight
        h = self.activation(n / d)
        return h, [h, n, d, new_most]

    def get_config(self):
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "recurrent_initializer": keras.initializers.serialize(
                self.recurrent_initializer
            ),
        }
        base_config = super().get_config()
        return {**base_config, **config}
