import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer, is_number

DATA_FORMATS = ("channels_last", "channels_first")


@keras.saving.register_keras_serializable(package="kerasrecipes")
class DropBlock2D(keras.layers.Layer):
    r"""DropBlock: dropout of square blocks of feature maps.

    Pixels beside each other say nearly the same, so that dropping single ones
    hides little. While training, this layer sets blocks of `block_size *
    block_size` neighbouring units of a channel to zero, each channel by a mask
    of its own, and scales up those that are kept. In inference it does
    nothing.

    A block begins at each of the places where it fits into the image with
    the probability

    .. math:: \gamma = \frac{p}{b^2} \cdot
        \frac{h \, w}{(h - b + 1)(w - b + 1)}

    for a rate :math:`p` (the paper's `1 - keep_prob`), a block size :math:`b`
    and maps of :math:`h \times w` units. That makes up for blocks that do not
    fit at the borders, but not for those that overlap: somewhat less than the
    rate is dropped, and less near the borders than in the middle. The paper
    says so, and has the same formula.

    With `block_size=1` the layer drops like `keras.layers.Dropout`; with a
    block as large as the image it drops whole channels, like
    `keras.layers.SpatialDropout2D`. An image that is smaller than the block,
    in height or in width, is covered by it in that direction.

    What is kept is scaled by the number of units over the number of kept
    units. Both are counted in each example over all its channels, so that an
    example does not depend on the others in its batch; the authors' own code
    counts over the batch. An example of which nothing is kept becomes zeros.

    The authors raise the rate from zero to its value in the course of
    training. This layer keeps it. A saved model that has the layer loads
    after `import kerasrecipes.layers`.

    Args:
        rate: Float, at least 0 and below 1. The share of units to drop.
        block_size: Positive integer, the height and width of a block. Defaults
            to `7`.
        data_format: String, `"channels_last"` or `"channels_first"`, the place
            of the channels: the last axis, or the one behind the batch.
            Defaults to `None`, which takes Keras' `image_data_format`.
        seed: Non-negative integer, the seed of the masks. Defaults to `None`:
            they differ from layer to layer.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor of rank 4.
        training: Boolean, whether to drop blocks (in training) or to return
            the inputs (in inference).

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height,
        width)` with `data_format="channels_first"`.

    Output shape:
        Same as the input shape. A mask is passed on.

    Raises:
        ValueError: If an argument is not as described above, or if the inputs
            have another rank.

    Reference:

    - [Ghiasi, Lin and Le, 2018](https://arxiv.org/abs/1810.12890)
    """

    def __init__(
        self, rate, block_size=7, data_format=None, seed=None, **kwargs
    ):
        if not is_number(rate) or not 0 <= rate < 1:
            raise invalid_argument(
                "rate", "a number at least 0 and below 1", rate
            )
        if not is_integer(block_size) or block_size <= 0:
            raise invalid_argument(
                "block_size", "a positive integer", block_size
            )
        if data_format is None:
            data_format = keras.config.image_data_format()
        if data_format not in DATA_FORMATS:
            raise invalid_argument(
                "data_format", f"None or one of {DATA_FORMATS}", data_format
            )
        if seed is not None and (not is_integer(seed) or seed < 0):
            raise invalid_argument(
                "seed", "None or a non-negative integer", seed
            )
        super().__init__(**kwargs)
        self.rate = float(rate)
        self.block_size = int(block_size)
        self.data_format = data_format
        self.seed = None if seed is None else int(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self.supports_masking = True

    def build(self, input_shape):
        super().build(input_shape)

    def call(self, inputs, training=False):
        if not training or self.rate == 0.0 or 0 in inputs.shape:
            return inputs
        # Counted in float32: a float16 ends at 65504.
        kept = ops.cast(self._draw_kept_units(ops.shape(inputs)), "float32")
        share = ops.mean(kept, axis=(1, 2, 3), keepdims=True)
        scale = kept / ops.maximum(share, keras.config.epsilon())
        return inputs * ops.cast(scale, inputs.dtype)

    def _draw_kept_units(self, shape):
        """Booleans of the shape of the inputs."""
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        places = list(shape)
        gamma = self.rate
        for axis in axes:
            # Where a block may begin; in a small image at the first unit.
            places[axis] = _at_least_one(shape[axis] - self.block_size + 1)
            covered = shape[axis] - places[axis] + 1
            gamma *= _ratio(shape[axis], covered * places[axis])
        drawn = keras.random.uniform(
            places, dtype="float32", seed=self.seed_generator
        )
        dropped = drawn < gamma
        for axis in axes:
            dropped = self._grow(dropped, axis)
        inside = [slice(None)] * 4
        for axis in axes:
            inside[axis] = slice(shape[axis])
        return ops.logical_not(dropped[tuple(inside)])

    def _grow(self, dropped, axis):
        """Extends what is dropped to whole blocks along an axis.

        Slices are faster than max pooling, and know both data formats.
        """
        margins = [(0, 0)] * 4
        margins[axis] = (self.block_size - 1, self.block_size - 1)
        dropped = ops.pad(dropped, margins, constant_values=False)
        length = 1
        while length < self.block_size:
            step = min(length, self.block_size - length)
            first, second = [slice(None)] * 4, [slice(None)] * 4
            first[axis], second[axis] = slice(-step), slice(step, None)
            dropped = ops.logical_or(
                dropped[tuple(first)], dropped[tuple(second)]
            )
            length += step
        return dropped

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "rate": self.rate,
            "block_size": self.block_size,
            "data_format": self.data_format,
            "seed": self.seed,
        }
        base_config = super().get_config()
        return {**base_config, **config}


def _at_least_one(size):
    """Of an integer, or of a tensor where a size is not known."""
    return max(size, 1) if isinstance(size, int) else ops.maximum(size, 1)


def _ratio(size, other):
    if isinstance(size, int):
        return size / other
    return ops.cast(size, "float32") / ops.cast(other, "float32")
