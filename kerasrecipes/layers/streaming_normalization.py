import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer, is_number

ORDERS = (1, 2)


@keras.saving.register_keras_serializable(package="kerasrecipes")
class StreamingNormalization(keras.layers.Layer):
    r"""Normalization by running statistics, in training as well.

    Batch normalization takes its statistics from the batch while training,
    and running averages of them in inference. With a batch of one sample the
    first are nothing to go by. This layer normalizes by running statistics
    over all samples seen so far, the present ones included, and does the same
    in inference, so that batches of one are as good as any.

    For each channel, :math:`m_t` and :math:`v_t` are the mean and the variance
    of batch :math:`t` over all other axes. With the decay :math:`\kappa` the
    batch has the weight :math:`w_t` in the running statistics,

    .. math::

        w_t = \frac{1 - \kappa}{1 - \kappa^t}, \qquad
        \mu_t = (1 - w_t)\, \mu_{t-1} + w_t\, m_t

        \sigma^2_t = (1 - w_t)\, \sigma^2_{t-1} + w_t\, v_t
            + w_t (1 - w_t) (m_t - \mu_{t-1})^2

        y = \gamma \frac{x - \mu_t}{\sqrt{\sigma^2_t + \epsilon}} + \beta

    which makes :math:`\mu_t` and :math:`\sigma^2_t` the mean and the variance
    of everything seen, where a batch counts :math:`\kappa` times as much as
    the next one. The last term of the variance is what batches differ by: a
    single vector has no variance of its own.

    The first samples: the weights are corrected for their small number, as
    the formula says. The first batch has the weight 1, so that one vector
    becomes :math:`\beta`, the second has about 1 / 2, and so on. No output in
    training is farther from :math:`\beta` than :math:`\gamma / \sqrt{w_t}`
    where a batch has one value for each channel. Before any training the
    layer takes a mean of 0 and a variance of 1, as `BatchNormalization` does.

    The statistics move with every call in training. A layer that is called at
    each step of a sequence moves them at each step, and all steps share them.
    It must not be called within a cell of `keras.layers.RNN`, for on JAX a
    cell cannot assign a variable: write the steps out, or normalize what goes
    into the recurrent layer.

    The paper has more, which is left out here:

    - Gradients flow through the present batch's share of the statistics
      alone. The paper's streaming gradients, running averages of the
      gradients of the statistics, need a backward pass of their own.
    - A batch is taken for a weight update. The paper also averages the
      statistics of several batches, or steps, between two updates, and may
      update at other times than it accumulates.
    - The paper's spread may be a moment of any order. Here it is the standard
      deviation, or with `order=1` the mean absolute deviation. Deviations
      are from the running mean, hence :math:`\mu_t`, and the formula is

      .. math:: a_t = (1 - w_t)\, a_{t-1} + w_t \,
          \mathrm{mean}\, |x - \mu_t|, \qquad
          y = \gamma \frac{x - \mu_t}{a_t + \epsilon} + \beta

    A saved model that has the layer loads after `import kerasrecipes.layers`.

    Args:
        axis: Integer, the axis of the channels, each of which has statistics
            of its own; not 0, the axis of the batch. Defaults to `-1`.
        decay: Float, at least 0 and below 1: how much a batch counts against
            the next one. What was seen `1 / (1 - decay)` batches ago is half
            forgotten, roughly. Defaults to `0.99`.
        batch_share: Float, from 0 to 1: the least weight that the batch has in
            the statistics that normalize it while training, the paper's
            second alpha. The running statistics are not touched by it. With
            `1.0` the layer is batch normalization. Defaults to `0.0`.
        order: Integer, `1` or `2`: whether to divide by the mean absolute or
            by the standard deviation. Defaults to `2`.
        epsilon: Positive float, which keeps the division finite. Defaults to
            `1e-3`.
        center: Boolean, whether to add `beta`. Defaults to `True`.
        scale: Boolean, whether to multiply by `gamma`. Defaults to `True`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor. The statistics are in float32 at least.
        training: Boolean, whether to move the statistics. A layer whose
            `trainable` is `False` does not move them.
        mask: Tensor of booleans, of the shape of the inputs without the axis
            of the channels. What it leaves out does not count.

    Input shape:
        `(batch, ..., channels)`, or with the channels on another axis. Their
        number must be known.

    Output shape:
        Same as the input shape. A mask is passed on.

    Raises:
        ValueError: If an argument is not as described above, or if `axis` is
            not one of the inputs' axes, or their number of channels unknown.

    Reference:

    - [Liao, Kawaguchi and Poggio, 2016](https://arxiv.org/abs/1610.06160)
    """

    def __init__(
        self,
        axis=-1,
        decay=0.99,
        batch_share=0.0,
        order=2,
        epsilon=1e-3,
        center=True,
        scale=True,
        **kwargs,
    ):
        if not is_integer(axis) or axis == 0:
            raise invalid_argument("axis", "an integer other than 0", axis)
        if not is_number(decay) or not 0 <= decay < 1:
            raise invalid_argument(
                "decay", "a number at least 0 and below 1", decay
            )
        if not is_number(batch_share) or not 0 <= batch_share <= 1:
            raise invalid_argument(
                "batch_share", "a number from 0 to 1", batch_share
            )
        if not is_integer(order) or order not in ORDERS:
            raise invalid_argument("order", f"one of {ORDERS}", order)
        if not is_number(epsilon) or not 0 < epsilon < float("inf"):
            raise invalid_argument("epsilon", "a positive number", epsilon)
        for name, value in (("center", center), ("scale", scale)):
            if not isinstance(value, bool):
                raise invalid_argument(name, "a boolean", value)
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.decay = float(decay)
        self.batch_share = float(batch_share)
        self.order = int(order)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank < self.axis < rank:
            raise ValueError(
                f"`axis={self.axis}` is not an axis behind the batch. "
                f"Received: input_shape={input_shape}"
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                "The number of channels must be known. "
                f"Received: input_shape={input_shape}"
            )
        self.input_spec = keras.layers.InputSpec(
            ndim=rank, axes={self.axis: channels}
        )

        # A float16 ends at 65504, and a short one hardly moves at a high decay.
        precise = keras.backend.result_type(self.variable_dtype, "float32")

        def add(name, initializer, shape=(channels,), **arguments):
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                autocast=False,
                **arguments,
            )

        running = {"trainable": False, "dtype": precise}
        self.gamma = add("gamma", "ones") if self.scale else None
        self.beta = add("beta", "zeros") if self.center else None
        self.running_mean = add("running_mean", "zeros", **running)
        # The variance, or with order 1 the mean absolute deviation.
        self.running_spread = add("running_spread", "ones", **running)
        # 1 - decay ** t, after t batches: zero before the first.
        self.seen = add("seen", "zeros", shape=(), **running)
        super().build(input_shape)

    def call(self, inputs, training=False, mask=None):
        # Sums of short floats would lose digits, and squares overflow.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        x = ops.cast(inputs, dtype)
        past = ops.cast(self.running_mean, dtype)
        past = past, ops.cast(self.running_spread, dtype)
        if training and self.trainable:
            mean, spread = self._follow(x, past, mask)
        else:
            mean, spread = past
        # After masked sequences a spread may be below zero by rounding.
        if self.order == 1:
            scale = 1.0 / (spread + self.epsilon)
        else:
            scale = ops.rsqrt(spread + self.epsilon)
        if self.scale:
            scale = scale * ops.cast(self.gamma, dtype)
        outputs = (x - self._align(mean, x)) * self._align(scale, x)
        if self.center:
            outputs = outputs + self._align(ops.cast(self.beta, dtype), x)
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, x, past, mask):
        """Moves the statistics on, and returns those for this batch."""
        total = None
        if mask is not None:
            mask = ops.cast(ops.expand_dims(mask, self.axis), x.dtype)
            mask = ops.broadcast_to(mask, ops.shape(x))
            total = ops.sum(mask, self._others(x))
        # Rounded once and alike, so that the first weight is exactly 1.
        new = 1.0 - self.decay
        seen = self.decay * ops.cast(self.seen, x.dtype) + new
        weight = new / seen
        if total is not None:
            # All are masked for all channels, or for none.
            weight = ops.where(ops.max(total) > 0, weight, 0.0)
            seen = ops.where(
                ops.max(total) > 0, seen, ops.cast(self.seen, x.dtype)
            )
        moved = self._mix(x, past, weight, mask, total)
        used = moved
        if self.batch_share > 1.0 - self.decay:
            # Without a weight there is nothing to normalize but the padding.
            share = ops.where(
                weight > 0, ops.maximum(weight, self.batch_share), 0.0
            )
            used = self._mix(x, past, share, mask, total)
        self.seen.assign(ops.cast(seen, self.seen.dtype))
        for variable, value in zip(
            (self.running_mean, self.running_spread), moved, strict=True
        ):
            variable.assign(ops.cast(value, variable.dtype))
        return used

    def _mix(self, x, past, weight, mask, total):
        """Statistics of the past and of a batch that has this weight."""
        past_mean, past_spread = past
        mean = self._average(x, mask, total)
        mixed = past_mean + weight * (mean - past_mean)
        if self.order == 1:
            deviation = ops.abs(x - self._align(mixed, x))
            spread = self._average(deviation, mask, total)
            return mixed, past_spread + weight * (spread - past_spread)
        deviation = ops.square(x - self._align(mean, x))
        spread = self._average(deviation, mask, total)
        between = weight * (1.0 - weight) * ops.square(mean - past_mean)
        return mixed, (1.0 - weight) * past_spread + weight * spread + between

    def _average(self, x, mask, total):
        """Mean of each channel, over what the mask leaves."""
        if mask is None:
            return ops.mean(x, self._others(x))
        # What is masked may be NaN or infinite.
        kept = ops.where(mask > 0, x, 0.0)
        return ops.sum(kept, self._others(x)) / ops.maximum(total, 1.0)

    def _others(self, x):
        """The axes that are averaged over."""
        rank = len(x.shape)
        return tuple(a for a in range(rank) if a != self.axis % rank)

    def _align(self, values, x):
        """Values of the channels, in a shape that goes with the inputs."""
        shape = [1] * len(x.shape)
        shape[self.axis] = -1
        return ops.reshape(values, shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "axis": self.axis,
            "decay": self.decay,
            "batch_share": self.batch_share,
            "order": self.order,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
        base_config = super().get_config()
        return {**base_config, **config}
