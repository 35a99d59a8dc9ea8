import math

import keras
import numpy as np
from keras import ops

from kerasrecipes.checks import (
    invalid_argument,
    is_finite_number,
    is_integer,
    is_number,
)


class _PooledRNN(keras.layers.Layer):
    """What SRU and QRNN have in common: all but weights and pooling.

    They multiply for all steps at once, and only what each unit keeps of
    itself is taken from step to step, by `keras.ops.scan`. Its step takes the
    carry and a step's parts, and returns the new carry twice.
    """

    def __init__(
        self,
        units,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        if not is_integer(units) or units <= 0:
            raise invalid_argument("units", "a positive integer", units)
        for name, value in (
            ("return_sequences", return_sequences),
            ("return_state", return_state),
            ("go_backwards", go_backwards),
            ("zero_output_for_mask", zero_output_for_mask),
        ):
            if not isinstance(value, bool):
                raise invalid_argument(name, "a boolean", value)
        super().__init__(**kwargs)
        self.units = int(units)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.zero_output_for_mask = zero_output_for_mask
        # `keras.layers.Bidirectional` asks for these two.
        self.stateful = False
        self.states = None
        self.supports_masking = True
        # XLA cannot train TensorFlow's `ops.scan`: it wants to know before
        # how often a loop is run.
        self.supports_jit = keras.config.backend() != "tensorflow"
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, sequences_shape, initial_state_shape=None):
        self.features = sequences_shape[-1]
        self.input_spec = keras.layers.InputSpec(
            ndim=3, axes={-1: self.features}
        )
        self._add_weights()

    def get_initial_state(self, batch_size):
        """Zeros, for a batch of this size.

        Args:
            batch_size: Integer or scalar tensor.

        Returns:
            List of the states.
        """
        return [
            ops.zeros(shape, self.compute_dtype)
            for shape in self._state_shapes(batch_size, self.features)
        ]

    def _state_shapes(self, batch, features):
        """Shapes of the states, as `return_state` gives them."""
        return [(batch, self.units)] * 2

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if initial_state is None:
            initial_state = self.get_initial_state(ops.shape(sequences)[0])
        states = [ops.cast(s, self.compute_dtype) for s in initial_state]
        sequences = ops.swapaxes(sequences, 0, 1)  # (steps, batch, features)
        if mask is not None:
            mask = ops.transpose(ops.cast(mask, "bool"))[:, :, None]
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=0)
            mask = None if mask is None else ops.flip(mask, axis=0)
        outputs, states = self._pool(sequences, states, mask, training)
        if mask is not None:
            _, outputs = _scan(_keep_if_masked, states[0], (outputs, mask))
        states = [outputs[-1], *states[1:]]
        if not self.return_sequences:
            outputs = states[0]
        else:
            if mask is not None and self.zero_output_for_mask:
                outputs = ops.where(mask, outputs, ops.zeros_like(outputs))
            outputs = ops.swapaxes(outputs, 0, 1)
        return (outputs, *states) if self.return_state else outputs

    def compute_mask(self, sequences, previous_mask=None):
        mask = keras.tree.flatten(previous_mask)[0]
        if mask is not None and self.go_backwards:
            mask = ops.flip(mask, axis=1)
        mask = mask if self.return_sequences else None
        if self.return_state:
            return [mask, *(None for _ in self._state_shapes(None, None))]
        return mask

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, steps, features = sequences_shape
        shape = (batch, self.units)
        if self.return_sequences:
            shape = (batch, steps, self.units)
        if self.return_state:
            return (shape, *self._state_shapes(batch, features))
        return shape

    def get_config(self):
        config = {
            "units": self.units,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "zero_output_for_mask": self.zero_output_for_mask,
        }
        base_config = super().get_config()
        return {**base_config, **config}


# How many steps a round of the loop takes. On TensorFlow a round costs more
# than what is done in it; PyTorch, for each part that a round reads, makes a
# gradient as large as all parts. JAX gains nothing.
_STEPS_A_ROUND = {"tensorflow": 8, "torch": 32}


def _scan(step, start, parts):
    """`ops.scan`, with several steps in each round."""
    steps = parts[0].shape[0]
    size = _STEPS_A_ROUND.get(keras.config.backend(), 1)
    if size == 1 or steps is None:
        return ops.scan(step, start, parts)

    def take(c, parts):
        outputs = []
        for part in zip(*map(ops.unstack, parts), strict=True):
            c, output = step(c, part)
            outputs.append(output)
        return ops.stack(outputs)

    def take_round(before, parts):
        outputs = take(before[-1], parts)
        return outputs, outputs

    outputs = start[None]
    rounds = steps // size
    if rounds:
        split = [
            ops.reshape(
                part[: rounds * size],
                (rounds, size, *ops.shape(part)[1:]),
            )
            for part in parts
        ]
        first = ops.repeat(outputs, size, axis=0)
        _, found = ops.scan(take_round, first, split)
        found = ops.reshape(found, (rounds * size, *ops.shape(start)))
        outputs = ops.concatenate([outputs, found])
    if steps % size:
        rest = [part[rounds * size :] for part in parts]
        outputs = ops.concatenate([outputs, take(outputs[-1], rest)])
    return outputs[-1], outputs[1:]


def _keep_if_masked(before, output_and_real):
    """One step of `ops.scan` that repeats the last output at masked ones."""
    output, real = output_and_real
    output = ops.where(real, output, before)
    return output, output


@keras.saving.register_keras_serializable(package="kerasrecipes")
class SRU(_PooledRNN):
    r"""Simple recurrent unit: an RNN that multiplies all steps at once.

    .. math::

        f_t &= \sigma(x_t W_f + v_f \odot c_{t-1} + b_f)

        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot x_t W

        r_t &= \sigma(x_t W_r + v_r \odot c_{t-1} + b_r)

        h_t &= r_t \odot c_t + \alpha \, (1 - r_t) \odot x_t W_x

    An LSTM multiplies a matrix by its last output at every step. Here no
    matrix waits for a state: one product serves the whole sequence, and each
    unit goes through it alone, with its own :math:`f` and :math:`c`. Where
    there are as many features as units, :math:`W_x` is left out, and the
    inputs are passed by the layer as they are. The factor :math:`\alpha =
    \sqrt{1 + 2 e^b}`, with :math:`b` for `highway_bias`, keeps the outputs'
    variance near that of the inputs.

    It does the same as `keras.layers.RNN` with `kerasrecipes.cells.SRUCell`,
    and has the same weights. `keras.layers.Bidirectional` takes it as it takes
    an LSTM. Masked steps are passed over: the state stays what it was, and the
    last output is repeated. With `go_backwards` the mask that is passed on is
    reversed as the outputs are. On TensorFlow the layer is not compiled by
    XLA. A saved model that has it loads after `import kerasrecipes.layers`.

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
        return_sequences: Boolean, whether to return the outputs of all steps
            rather than the last one. Defaults to `False`.
        return_state: Boolean, whether to return the two states as well, the
            last output and :math:`c`. Defaults to `False`.
        go_backwards: Boolean, whether to read the sequences from their ends;
            outputs are in the order in which they are made. Defaults to
            `False`.
        zero_output_for_mask: Boolean, whether the outputs of masked steps are
            zeros, with `return_sequences`. Defaults to `False`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        sequences: Tensor.
        initial_state: List of two tensors of shape `(batch, units)`, as
            `return_state` gives them. Defaults to zeros.
        mask: Boolean tensor of shape `(batch, steps)`, false at steps to pass
            over.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, units)`, or `(batch, steps, units)` with `return_sequences`;
        then the mask is passed on. With `return_state` a tuple of that and
        the states.

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
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        _check_sru(forget_bias, highway_bias, rescale, recurrent_gates)
        super().__init__(
            units,
            return_sequences,
            return_state,
            go_backwards,
            zero_output_for_mask,
            **kwargs,
        )
        self.forget_bias = float(forget_bias)
        self.highway_bias = float(highway_bias)
        self.rescale = rescale
        self.recurrent_gates = recurrent_gates

    def _add_weights(self):
        _add_sru_weights(self, self.features)

    def _pool(self, sequences, states, mask, training):
        h, c = states
        sums = ops.matmul(sequences, self.kernel)
        new, f, r, *skip = ops.split(sums, self.parts, axis=-1)
        skip = self.alpha * (skip[0] if skip else sequences)
        bias_f, bias_r = ops.split(self.bias, 2)
        see_f = see_r = ops.zeros_like(bias_f)
        if self.recurrent_gates:
            see_f, see_r = ops.split(self.gate_kernel, 2)

        def step(c, parts):
            new, f, *real = parts
            f = ops.sigmoid(f + see_f * c)
            after = new + f * (c - new)
            after = ops.where(real[0], after, c) if real else after
            return after, after

        parts = (new, f + bias_f) if mask is None else (new, f + bias_f, mask)
        last, after = _scan(step, c, parts)
        before = ops.concatenate([c[None], after[:-1]])
        r = ops.sigmoid(r + see_r * before + bias_r)
        return skip + r * (after - skip), [h, last]

    def get_config(self):
        config = {
            "forget_bias": self.forget_bias,
            "highway_bias": self.highway_bias,
            "rescale": self.rescale,
            "recurrent_gates": self.recurrent_gates,
        }
        base_config = super().get_config()
        return {**base_config, **config}


@keras.saving.register_keras_serializable(package="kerasrecipes")
class QRNN(_PooledRNN):
    r"""Quasi-recurrent layer: a convolution in time, pooled step by step.

    The candidate :math:`z` and the gates are convolutions over this step and
    those just before it, for all steps at once. Then each unit mixes what it
    is given, alone:

    .. math::

        z_t &= \tanh(W_z \ast x + b_z)_t

        f_t &= \sigma(W_f \ast x + b_f)_t

        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot z_t

    and :math:`o_t` and :math:`i_t` as :math:`f_t`, with weights of their own.
    Pooling `"f"` hands out :math:`c_t`, and the other two :math:`o_t \odot
    c_t`. With `"ifo"` it is :math:`i_t` that stands in the place of
    :math:`1 - f_t`.

    Before the first step there are zeros. No window reaches into the future:
    with `go_backwards`, where the sequence is read from its end, none reaches
    into the past.

    Zoneout makes a random share of the units, new at each step, keep all of
    :math:`c_{t-1}`, which is :math:`f_t = 1` and takes no scaling. At
    inference :math:`f_t` is what it is on average. With `ifo` such a unit
    still adds :math:`i_t z_t`.

    `keras.layers.Bidirectional` takes the layer as it takes an LSTM. Masked
    steps are passed over: the state stays what it was, the last output is
    repeated, and windows of later steps read zeros there. With `go_backwards`
    the mask that is passed on is reversed as the outputs are. On TensorFlow
    the layer is not compiled by XLA. A saved model that has it loads after
    `import kerasrecipes.layers`.

    The kernel's columns are those of :math:`z, f, o` and :math:`i`, as far as
    there are any.

    Args:
        units: Positive integer, the size of the output and of the state.
        window: Positive integer, how many steps the convolutions see: this
            one and those before. Defaults to `2`.
        pooling: `"f"`, `"fo"` or `"ifo"`, the gates that there are: forget,
            output, input. Defaults to `"fo"`.
        activation: Keras activation of the candidate. Defaults to `"tanh"`.
        forget_bias: Float, where :math:`b_f` starts. With a positive one the
            units remember for longer from the beginning. Defaults to `0.0`.
        zoneout: Float, at least 0 and below 1, the share of zoneout. Defaults
            to `0.0`.
        seed: `None` or non-negative integer, of the random numbers of
            zoneout. Defaults to `None`.
        return_sequences: Boolean, whether to return the outputs of all steps
            rather than the last one. Defaults to `False`.
        return_state: Boolean, whether to return the states as well: the last
            output, :math:`c` and, with a window of more than one step, the
            inputs that the next window begins with. Defaults to `False`.
        go_backwards: Boolean, whether to read the sequences from their ends;
            outputs are in the order in which they are made. Defaults to
            `False`.
        zero_output_for_mask: Boolean, whether the outputs of masked steps are
            zeros, with `return_sequences`. Defaults to `False`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        sequences: Tensor.
        initial_state: List of the states, as `return_state` gives them: two
            tensors of shape `(batch, units)`, and one of shape `(batch,
            window - 1, features)` where the window has more than one step.
            Defaults to zeros.
        mask: Boolean tensor of shape `(batch, steps)`, false at steps to pass
            over.
        training: Boolean, whether there is zoneout at random.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        `(batch, units)`, or `(batch, steps, units)` with `return_sequences`;
        then the mask is passed on. With `return_state` a tuple of that and
        the states.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Bradbury, Merity, Xiong and Socher, 2016](
        https://arxiv.org/abs/1611.01576)
    """

    def __init__(
        self,
        units,
        window=2,
        pooling="fo",
        activation="tanh",
        forget_bias=0.0,
        zoneout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        if not is_integer(window) or window <= 0:
            raise invalid_argument("window", "a positive integer", window)
        if pooling not in ("f", "fo", "ifo"):
            raise invalid_argument("pooling", "'f', 'fo' or 'ifo'", pooling)
        try:
            function = keras.activations.get(activation)
        except ValueError:
            raise invalid_argument(
                "activation", "None or a Keras activation", activation
            ) from None
        if not is_finite_number(forget_bias):
            raise invalid_argument(
                "forget_bias", "a finite number", forget_bias
            )
        if not is_number(zoneout) or not 0 <= zoneout < 1:
            raise invalid_argument(
                "zoneout", "a number at least 0 and below 1", zoneout
            )
        if seed is not None and (not is_integer(seed) or seed < 0):
            raise invalid_argument(
                "seed", "None or a non-negative integer", seed
            )
        super().__init__(
            units,
            return_sequences,
            return_state,
            go_backwards,
            zero_output_for_mask,
            **kwargs,
        )
        self.window = int(window)
        self.pooling = pooling
        self.activation = function
        self.forget_bias = float(forget_bias)
        self.zoneout = float(zoneout)
        self.seed = None if seed is None else int(seed)
        if self.zoneout:
            self.seed_generator = keras.random.SeedGenerator(self.seed)

    def _add_weights(self):
        columns = (1 + len(self.pooling)) * self.units
        self.kernel = self.add_weight(
            (self.window, self.features, columns),
            "glorot_uniform",
            name="kernel",
        )

        def start_bias(_, dtype=None):
            starts = np.zeros(columns)
            starts[self.units : 2 * self.units] = self.forget_bias
            return ops.convert_to_tensor(starts, dtype)

        self.bias = self.add_weight((columns,), start_bias, name="bias")

    def _state_shapes(self, batch, features):
        shapes = super()._state_shapes(batch, features)
        if self.window > 1:
            shapes.append((batch, self.window - 1, features))
        return shapes

    def _pool(self, sequences, states, mask, training):
        h, c, *recent = states
        if mask is not None:
            sequences = ops.where(mask, sequences, ops.zeros_like(sequences))
        if recent:
            before = ops.swapaxes(recent[0], 0, 1)
            sequences = ops.concatenate([before, sequences])
        sums = self.bias
        for place in range(self.window):
            # The last place of the window is this step.
            end = place - self.window + 1
            read = sequences[place : end or None]
            sums = sums + ops.matmul(read, self.kernel[place])
        z, *gates = ops.split(sums, 1 + len(self.pooling), axis=-1)
        z = self.activation(z)
        f, *others = (ops.sigmoid(gate) for gate in gates)
        f = self._zone_out(f, training)
        new = (others[1] if self.pooling == "ifo" else 1 - f) * z
        if mask is not None:
            f = ops.where(mask, f, ops.ones_like(f))
            new = ops.where(mask, new, ops.zeros_like(new))

        def step(c, parts):
            f, new = parts
            c = f * c + new
            return c, c

        last, outputs = _scan(step, c, (f, new))
        if self.pooling != "f":
            outputs = others[0] * outputs
        states = [h, last]
        if recent:
            ending = sequences[1 - self.window :]
            states.append(ops.swapaxes(ending, 0, 1))
        return outputs, states

    def _zone_out(self, f, training):
        if not self.zoneout:
            return f
        taking = 1 - self.zoneout
        if training:
            taking = keras.random.binomial(
                ops.shape(f), 1, taking, f.dtype, seed=self.seed_generator
            )
        return 1 - taking * (1 - f)

    def get_config(self):
        config = {
            "window": self.window,
            "pooling": self.pooling,
            "activation": keras.activations.serialize(self.activation),
            "forget_bias": self.forget_bias,
            "zoneout": self.zoneout,
            "seed": self.seed,
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
