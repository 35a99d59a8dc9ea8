import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_finite_number, is_integer


@keras.saving.register_keras_serializable(package="kerasrecipes")
class BatchNormLSTMCell(keras.layers.Layer):
    r"""LSTM cell with recurrent batch normalization.

    What comes from the inputs, what comes from the state, and the cell are
    normalized, each by statistics of its own for each step :math:`t`:

    .. math::

        (i, f, g, o) &= \mathrm{BN}_t(x_t W; \gamma_x)
            + \mathrm{BN}_t(h_{t-1} U; \gamma_h) + b

        c_t &= \sigma(f) \odot c_{t-1} + \sigma(i) \odot \tanh(g)

        h_t &= \sigma(o) \odot \tanh(\mathrm{BN}_t(c_t; \gamma_c) + \beta_c)

        \mathrm{BN}_t(z; \gamma) &= \gamma \odot
            \frac{z - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}}

    The cell is carried on as it is, so that the gradient that flows along it
    meets no normalization. The gates are in Keras' order, input, forget,
    candidate and output, and the forget gate's bias starts at 1.

    In training :math:`\mu_t` and :math:`\sigma_t^2` are those of the batch at
    this step, in inference moving averages of them. There is a pair for each
    of the first `max_steps` steps; later steps take the last one.

    A cell runs inside a loop, and on JAX a loop may not change a variable
    that is outside of it. So a cell cannot keep averages by itself: train it
    as a part of `BatchNormLSTM`, a layer that hands the statistics out of its
    loop. `keras.layers.RNN` takes the cell as well (`RNN(layer.cell)`), for
    inference, or with `trainable=False`, which means the moving averages in
    training too, as in `keras.layers.BatchNormalization`. There the steps of
    a sequence are counted from its first unmasked one. A third state counts
    the steps in the dtype of the cell, and so to 256 at most in bfloat16. A
    saved model that has the cell loads after `import kerasrecipes.cells`.

    Args:
        units: Positive integer, the size of the output and of the cell.
        max_steps: Positive integer, the number of steps with statistics of
            their own: as a rule the length of the longest sequence to train
            with. Where it is larger, the averages of the steps that no
            sequence reaches stay at a mean of 0 and a variance of 1.
        gamma: Float, where the three scales start. With 1.0 the activations
            saturate. Defaults to `0.1`.
        momentum: Float, at least 0 and below 1. What a moving average keeps
            of itself at a training step. Defaults to `0.99`.
        epsilon: Non-negative float, added to the variances. Defaults to
            `0.001`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor, one step of a batch of sequences.
        states: List of three tensors: output and cell of the step before, of
            shape `(batch, units)`, and the number of steps that were taken,
            of shape `(batch, 1)`.
        training: Boolean. Must be false unless the cell is frozen.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, units)`, and a list of the three states.

    Raises:
        ValueError: If an argument is not as described above, or if the cell
            is trained in another layer than `BatchNormLSTM`.

    Reference:

    - [Cooijmans, Ballas, Laurent, Gülçehre and Courville, 2016](
        https://arxiv.org/abs/1603.09025)
    """

    def __init__(
        self,
        units,
        max_steps,
        gamma=0.1,
        momentum=0.99,
        epsilon=0.001,
        **kwargs,
    ):
        for name, value in (("units", units), ("max_steps", max_steps)):
            if not is_integer(value) or value <= 0:
                raise invalid_argument(name, "a positive integer", value)
        if not is_finite_number(gamma):
            raise invalid_argument("gamma", "a finite number", gamma)
        if not is_finite_number(momentum) or not 0 <= momentum < 1:
            raise invalid_argument(
                "momentum", "a number at least 0 and below 1", momentum
            )
        if not is_finite_number(epsilon) or epsilon < 0:
            raise invalid_argument("epsilon", "a non-negative number", epsilon)
        super().__init__(**kwargs)
        self.units = int(units)
        self.max_steps = int(max_steps)
        self.gamma = float(gamma)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.state_size = [self.units, self.units, 1]
        self.output_size = self.units

    def build(self, input_shape):
        gates = 4 * self.units
        self.kernel = self.add_weight(
            (input_shape[-1], gates), "glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, gates), "orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight((gates,), _start_bias, name="bias")
        start = keras.initializers.Constant(self.gamma)
        self.input_gamma, self.recurrent_gamma, self.cell_gamma = (
            self.add_weight((size,), start, name=name)
            for name, size in (
                ("input_gamma", gates),
                ("recurrent_gamma", gates),
                ("cell_gamma", self.units),
            )
        )
        self.cell_beta = self.add_weight(
            (self.units,), "zeros", name="cell_beta"
        )
        # A row for each step: what comes from the inputs to the four gates,
        # what comes from the state, the cell.
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                (self.max_steps, 2 * gates + self.units),
                start,
                name=name,
                trainable=False,
                autocast=False,
            )
            for name, start in (
                ("moving_mean", "zeros"),
                ("moving_variance", "ones"),
            )
        )
        super().build(input_shape)

    def call(self, inputs, states, training=False):
        if training and self.trainable:
            raise ValueError(
                "Inside this layer `BatchNormLSTMCell` cannot keep its "
                "statistics. Train it in `kerasrecipes.cells.BatchNormLSTM`, "
                "or freeze it by `trainable=False`."
            )
        h, c, count = states
        h, c = self.step(inputs, h, c, self.averages_at(count))
        return h, [h, c, count + 1]

    @property
    def moving_averages(self):
        """The weights that hold the means and the variances, a row a step."""
        return [self.moving_mean, self.moving_variance]

    def averages_at(self, count):
        """Looks up the moving averages of a step.

        Args:
            count: Tensor of shape `(batch, 1)`, the number of steps before.

        Returns:
            Means and variances, both of shape `(batch, 9 * units)`.
        """
        rows = ops.minimum(ops.cast(count[:, 0], "int32"), self.max_steps - 1)
        return [ops.take(kept, rows, axis=0) for kept in self.moving_averages]

    def step(self, inputs, h, c, averages=None, real=None):
        """Takes one step.

        Args:
            inputs: Tensor of shape `(batch, features)`.
            h: Tensor of shape `(batch, units)`, the output of the step before.
            c: Tensor of shape `(batch, units)`, the cell of the step before.
            averages: Means and variances to normalize by. Defaults to `None`:
                those of the batch.
            real: Boolean tensor of shape `(batch, 1)`, false where an example
                is left out of the batch's statistics. Needed without
                `averages`.

        Returns:
            The output and the cell.
        """
        gates = 4 * self.units

        def normalize(values, gamma, start):
            # Short floats would lose the variance.
            values = _at_least_float32(values)
            if averages is None:
                mean, variance = _moments(values, real)
            else:
                end = start + values.shape[-1]
                mean, variance = (kept[:, start:end] for kept in averages)
            scale = ops.rsqrt(variance + self.epsilon)
            scale = scale * ops.cast(gamma, values.dtype)
            return ops.cast((values - mean) * scale, self.compute_dtype)

        from_inputs = ops.matmul(inputs, self.kernel)
        from_state = ops.matmul(h, self.recurrent_kernel)
        total = (
            normalize(from_inputs, self.input_gamma, 0)
            + normalize(from_state, self.recurrent_gamma, gates)
            + self.bias
        )
        i, f, g, o = ops.split(total, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        normal_c = normalize(c, self.cell_gamma, 2 * gates)
        return ops.sigmoid(o) * ops.tanh(normal_c + self.cell_beta), c

    def keep(self, sequences, h, c, mask):
        """Adds the statistics of a batch to the moving averages.

        Args:
            sequences: Tensor of shape `(batch, steps, features)`.
            h: Tensor of shape `(batch, steps, units)`, the outputs.
            c: Tensor of the same shape, the cells.
            mask: Boolean tensor of shape `(batch, steps)`. A step at which
                all examples are masked has no statistics.
        """
        before = ops.pad(h, [(0, 0), (1, 0), (0, 0)])[:, :-1]
        values = ops.concatenate(
            [
                ops.matmul(sequences, self.kernel),
                ops.matmul(before, self.recurrent_kernel),
                c,
            ],
            axis=-1,
        )
        values = ops.stop_gradient(_at_least_float32(values))
        found = _moments(values, mask[:, :, None])  # (steps, 9 * units)
        # Each step's share in each row of the averages. Steps beyond the last
        # row are averaged there.
        rows = ops.minimum(ops.arange(ops.shape(c)[1]), self.max_steps - 1)
        shares = ops.one_hot(rows, self.max_steps, dtype=values.dtype)
        has_any = ops.any(mask, axis=0)[:, None]
        shares = ops.transpose(shares * ops.cast(has_any, values.dtype))
        counts = ops.sum(shares, axis=1, keepdims=True)
        for kept, new in zip(self.moving_averages, found, strict=True):
            new = ops.matmul(shares, new) / ops.maximum(counts, 1)
            change = (1 - self.momentum) * (new - kept)
            kept.assign_add(ops.where(counts > 0, change, 0.0))

    def get_config(self):
        config = {
            "units": self.units,
            "max_steps": self.max_steps,
            "gamma": self.gamma,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
        base_config = super().get_config()
        return {**base_config, **config}


@keras.saving.register_keras_serializable(package="kerasrecipes")
class BatchNormLSTM(keras.layers.Layer):
    r"""LSTM layer with recurrent batch normalization.

    It runs a `BatchNormLSTMCell`, its attribute `cell`, over sequences, as
    `keras.layers.LSTM` does with its own, and keeps the statistics of each
    step: its loop hands them out, and the moving averages change when it is
    over. So it works under `fit` on every backend, which `keras.layers.RNN`
    with this cell does not.

    Masked steps are passed over: output and cell stay what they were, and
    padding takes no part in the statistics. A step is counted from the start
    of the batch, so that in training all examples are at the same one.

    Args:
        units: Positive integer, the size of the output and of the cell.
        max_steps: Positive integer, the number of steps with statistics of
            their own; see `BatchNormLSTMCell`.
        gamma: Float, where the three scales start. Defaults to `0.1`.
        momentum: Float, at least 0 and below 1. What a moving average keeps
            of itself at a training step. Defaults to `0.99`.
        epsilon: Non-negative float, added to the variances. Defaults to
            `0.001`.
        return_sequences: Boolean, whether to return the outputs of all steps
            rather than the last one. Defaults to `False`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        sequences: Tensor.
        mask: Boolean tensor of shape `(batch, steps)`, false at steps to pass
            over.
        training: Boolean, whether to normalize by the batch's statistics (in
            training) or by the moving averages (in inference, and with
            `trainable=False`).

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, units)`, or `(batch, steps, units)` with `return_sequences`;
        then the mask is passed on.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Cooijmans, Ballas, Laurent, Gülçehre and Courville, 2016](
        https://arxiv.org/abs/1603.09025)
    """

    def __init__(
        self,
        units,
        max_steps,
        gamma=0.1,
        momentum=0.99,
        epsilon=0.001,
        return_sequences=False,
        **kwargs,
    ):
        if not isinstance(return_sequences, bool):
            raise invalid_argument(
                "return_sequences", "a boolean", return_sequences
            )
        super().__init__(**kwargs)
        self.cell = BatchNormLSTMCell(
            units, max_steps, gamma, momentum, epsilon, dtype=self.dtype_policy
        )
        self.loop = keras.layers.RNN(
            _CellWithMask(self.cell, dtype=self.dtype_policy, name="with_mask"),
            return_sequences=True,
            dtype=self.dtype_policy,
        )
        self.return_sequences = return_sequences
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        batch, steps, features = input_shape
        self.loop.build((batch, steps, features + 1))
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
        super().build(input_shape)

    def call(self, sequences, mask=None, training=False):
        sequences = ops.cast(sequences, self.compute_dtype)
        if mask is None:
            mask = ops.ones(ops.shape(sequences)[:2], "bool")
        real = ops.cast(mask, self.compute_dtype)[:, :, None]
        frozen = not (training and self.trainable)
        outputs = self.loop(
            ops.concatenate([sequences, real], axis=-1), training=not frozen
        )
        h, c = ops.split(outputs, 2, axis=-1)
        if not frozen:
            self.cell.keep(sequences, h, c, mask)
        return h if self.return_sequences else h[:, -1]

    def compute_mask(self, sequences, mask=None):
        return mask if self.return_sequences else None

    def compute_output_shape(self, input_shape):
        batch, steps, _ = input_shape
        if self.return_sequences:
            return (batch, steps, self.cell.units)
        return (batch, self.cell.units)

    def get_config(self):
        cell = self.cell
        config = {
            "units": cell.units,
            "max_steps": cell.max_steps,
            "gamma": cell.gamma,
            "momentum": cell.momentum,
            "epsilon": cell.epsilon,
            "return_sequences": self.return_sequences,
        }
        base_config = super().get_config()
        return {**base_config, **config}


class _CellWithMask(keras.layers.Layer):
    """The cell as `BatchNormLSTM` runs it.

    Its last feature is 1, or 0 where an example is masked: RNN would not tell
    a cell. So it counts masked steps too. Its outputs are those of the cell,
    and then the cell itself.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.state_size = cell.state_size
        self.output_size = 2 * cell.units

    def build(self, input_shape):
        batch, features = input_shape
        self.cell.build((batch, features - 1))
        super().build(input_shape)

    def call(self, inputs, states, training=False):
        h, c, count = states
        inputs, real = inputs[:, :-1], inputs[:, -1:] > 0
        averages = None if training else self.cell.averages_at(count)
        new_h, new_c = self.cell.step(inputs, h, c, averages, real)
        h, c = ops.where(real, new_h, h), ops.where(real, new_c, c)
        return ops.concatenate([h, c], axis=-1), [h, c, count + 1]


def _start_bias(shape, dtype=None):
    """Zeros, and ones for the forget gate."""
    zeros = ops.zeros(shape[0] // 4, dtype)
    return ops.concatenate([zeros, zeros + 1, zeros, zeros])


def _at_least_float32(values):
    return ops.cast(values, keras.backend.result_type(values.dtype, "float32"))


def _moments(values, real):
    """Mean and variance of the unmasked examples of a batch."""
    weights = ops.cast(real, values.dtype)
    weights = weights / ops.maximum(ops.sum(weights, axis=0), 1)
    mean = ops.sum(weights * values, axis=0)
    variance = ops.sum(weights * ops.square(values - mean), axis=0)
    return mean, variance
