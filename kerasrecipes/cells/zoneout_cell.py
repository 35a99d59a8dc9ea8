import keras
import numpy as np
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer, is_number

_KEY_SIZE = 3  # bytes, each a number that even bfloat16 holds exactly


@keras.saving.register_keras_serializable(package="kerasrecipes")
class ZoneoutCell(keras.layers.Layer):
    r"""Zoneout: units that at random keep the state they had.

    It wraps a recurrent cell. Where dropout would set a unit to zero, zoneout
    leaves it at its state of the step before. With the new states
    :math:`\tilde s_t` that the cell computes from the old ones,

    .. math::

        s_t &= m_t \odot s_{t-1} + (1 - m_t) \odot \tilde s_t
            &\text{in training}

        s_t &= p \, s_{t-1} + (1 - p) \, \tilde s_t &\text{in inference}

    with a mask :math:`m_t` of zeros and ones, drawn anew at each step for each
    sequence and unit, that has a one with probability :math:`p`, the rate.
    Nothing is scaled up: in inference there is the mean of what training does.
    Each state has masks of its own, an LSTM's output others than its cell.

    The output is the first state, as it is of all of Keras' cells.

    On JAX a cell must not draw random numbers. So this one has a state more,
    the last of its list: a key of three bytes for each sequence. The key is
    drawn before the loop, by `get_initial_state`, and each step makes a new
    one from it and from this its masks, by integer arithmetic that is the same
    on every backend. Where you give an initial state yourself, take the key
    from an earlier call (`return_state=True`), and the masks go on; or from
    `get_initial_state`. A `stateful` layer that is reset has keys of zeros,
    and then the same masks for all sequences.

    A saved model that has the cell loads after `import kerasrecipes.cells`.

    Args:
        cell: Recurrent cell with a list of states of which the first is its
            output, and without dropout of its own, such as
            `keras.layers.LSTMCell`. Wrap the cells of a stack one by one.
        rate: Float, at least 0 and at most 1, the probability of a unit to
            keep its state; or a list of one for each state. Defaults to `0.1`.
        seed: Optional non-negative integer, for equal masks in every run.
            Defaults to `None`: a random one.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor, one step of a batch of sequences.
        states: List of tensors: the states of the cell, and the key.
        training: Boolean, whether to draw masks.

    Input shape:
        `(batch, features)`, as of the cell.

    Output shape:
        As of the cell, and a list of its states and the key, of shape
        `(batch, 3)`.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Krueger et al., 2016](https://arxiv.org/abs/1606.01305)
    """

    def __init__(self, cell, rate=0.1, seed=None, **kwargs):
        sizes = getattr(cell, "state_size", None)
        sizes = [sizes] if is_integer(sizes) else list(sizes or [])
        has_dropout = any(
            getattr(cell, name, 0) for name in ("dropout", "recurrent_dropout")
        )
        if not sizes or not all(map(is_integer, sizes)) or has_dropout:
            expected = "a recurrent cell, no stack, without dropout of its own"
            raise invalid_argument("cell", expected, cell)
        is_list = isinstance(rate, (list, tuple))
        rates = rate if is_list else [rate] * len(sizes)
        if len(rates) != len(sizes) or not all(
            is_number(one) and 0 <= one <= 1 for one in rates
        ):
            expected = (
                "a number from 0 to 1, or a list of one for each of the "
                f"cell's {len(sizes)} states"
            )
            raise invalid_argument("rate", expected, rate)
        if seed is not None and (not is_integer(seed) or seed < 0):
            raise invalid_argument(
                "seed", "None or a non-negative integer", seed
            )
        super().__init__(**kwargs)
        self.cell = cell
        self.rate = [float(one) for one in rate] if is_list else float(rate)
        self.seed = None if seed is None else int(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.state_size = [*sizes, _KEY_SIZE]
        self.output_size = getattr(cell, "output_size", sizes[0])
        # For each unit of each state: its rate, and its place among all.
        self._rates = np.repeat(rates, sizes).astype("float32")
        self._places = np.arange(sum(sizes))

    def build(self, input_shape):
        if not self.cell.built:
            self.cell.build(input_shape)
        super().build(input_shape)

    def get_initial_state(self, batch_size=None):
        sizes = self.state_size[:-1]
        if hasattr(self.cell, "get_initial_state"):
            states = self.cell.get_initial_state(batch_size=batch_size)
            states = states if isinstance(states, (list, tuple)) else [states]
        else:
            states = [
                ops.zeros((batch_size, size), self.compute_dtype)
                for size in sizes
            ]
        key = keras.random.randint(
            (batch_size, _KEY_SIZE), 0, 256, seed=self.seed_generator
        )
        return [*states, ops.cast(key, self.compute_dtype)]

    def call(self, inputs, states, training=False):
        *old, key = states
        _, new = self.cell(inputs, old)
        new = new if isinstance(new, (list, tuple)) else [new]
        old, new = (
            ops.cast(ops.concatenate(parts, axis=-1), self.compute_dtype)
            for parts in (old, new)
        )
        if training:
            number = _next_number(key)
            key = ops.cast(_to_bytes(number), key.dtype)
            limits = np.round(self._rates * 2.0**24)
            kept = _hash(number, self._places) < ops.cast(limits, "int32")
            mixed = ops.where(kept, old, new)
        else:
            rates = ops.cast(self._rates, self.compute_dtype)
            mixed = rates * old + (1 - rates) * new
        ends = np.cumsum(self.state_size[:-1])
        states = [
            mixed[:, end - size : end]
            for end, size in zip(ends, self.state_size[:-1], strict=True)
        ]
        return states[0], [*states, key]

    def get_config(self):
        cell = keras.saving.serialize_keras_object(self.cell)
        # This cell builds it, also when it is loaded.
        cell.pop("build_config", None)
        config = {
            "cell": cell,
            "rate": self.rate,
            "seed": self.seed,
        }
        base_config = super().get_config()
        return {**base_config, **config}

    @classmethod
    def from_config(cls, config):
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})


def _next_number(key):
    """From three bytes a sequence, (batch, 3), the next number of 24 bits."""
    weights = ops.convert_to_tensor([1, 2**8, 2**16], "int32")
    number = ops.sum(ops.cast(key, "int32") * weights, axis=-1, keepdims=True)
    # A linear congruential generator, which runs through all numbers.
    return ops.bitwise_and(number * 1664525 + 1013904223, 2**24 - 1)


def _to_bytes(number):
    parts = [number, ops.right_shift(number, 8), ops.right_shift(number, 16)]
    return ops.bitwise_and(ops.concatenate(parts, axis=-1), 255)


def _hash(number, places):
    """Random numbers of 24 bits, (batch, places), from one a sequence.

    The function "lowbias32" of Wellons' hash-prospector. Products wrap around
    in int32 as they do in uint32.
    """
    spread = (places * 0x9E3779B1 % 2**32).astype("uint32").view("int32")
    x = number + ops.convert_to_tensor(spread, "int32")
    x = ops.bitwise_xor(x, _shift_right(x, 16)) * 0x7FEB352D
    x = ops.bitwise_xor(x, _shift_right(x, 15)) * (0x846CA68B - 2**32)
    x = ops.bitwise_xor(x, _shift_right(x, 16))
    return ops.bitwise_and(x, 2**24 - 1)


def _shift_right(x, bits):
    """Shifts zeros in from the left, whatever the sign."""
    kept = 2 ** (32 - bits) - 1
    return ops.bitwise_and(ops.right_shift(x, bits), kept)
