import keras
import numpy as np
from keras import ops

from kerasrecipes.checks import invalid_argument, is_finite_number, is_integer

REGIONS = ("across_channels", "within_channel")
ALPHA_MODES = ("sum", "mean")
DATA_FORMATS = ("channels_last", "channels_first")


@keras.saving.register_keras_serializable(package="kerasrecipes")
class LocalResponseNormalization(keras.layers.Layer):
    r"""Local response normalization (LRN) layer.

    Each value is divided by a power of the summed squares of its neighbours,
    so that a large response damps the responses next to it:

    .. math:: b_i = a_i \Big/ \Big(k + \alpha \sum_{j \in W_i} a_j^2\Big)^\beta

    The window :math:`W_i` holds `size` neighbours, :math:`i` among them:
    `size // 2` before and `(size - 1) // 2` behind it.

    - With `region="across_channels"` they are the channels at the same
      position, and a window that sticks out is cut off at the first and the
      last channel.
    - With `region="within_channel"` they are the `size * size` pixels around
      in the same channel, and zeros stand for pixels outside the image.

    The paper, which goes across channels, prints the bounds `i - n / 2` and
    `i + n / 2`: `size` terms for an odd `n`, one more for an even `n`. This
    layer takes `size` terms always, as PyTorch does.

    Implementations differ in `alpha`, hence `alpha_mode`. With `"sum"`, the
    paper's and TensorFlow's way, it weighs the sum of squares. With `"mean"`,
    Caffe's and PyTorch's way, it is divided by the number of terms first: by
    `size` across channels, by `size * size` within a channel, where the zeros
    outside the image are counted. In detail:

    - `tf.nn.local_response_normalization(x, depth_radius, bias, alpha, beta)`
      has `size=2 * depth_radius + 1`, `k=bias` and `alpha_mode="sum"`.
    - `torch.nn.LocalResponseNorm(size, alpha, beta, k)` has
      `alpha_mode="mean"` and `data_format="channels_first"`.
    - Caffe's `WITHIN_CHANNEL` has `alpha_mode="mean"` and `k=1.0`: it ignores
      its own `k` there.

    The layer has no weights and does the same in training and inference.
    Across channels the cost grows with the square of their number, and an
    infinity or a NaN spreads to channels beyond its window too. A saved model
    that has the layer loads after `import kerasrecipes.layers`.

    Args:
        size: Positive integer, the full width of the window. Defaults to `5`.
        k: Positive float, what is added to the weighted sum of squares. Being
            above zero it keeps the power finite where all inputs are zero.
            Defaults to `2.0`.
        alpha: Non-negative float, the weight of the squares. Defaults to
            `1e-4`.
        beta: Float, the exponent. Defaults to `0.75`.
        region: String, `"across_channels"` or `"within_channel"`: where the
            neighbours are. Defaults to `"across_channels"`.
        alpha_mode: String, `"sum"` or `"mean"`: what `alpha` weighs. Defaults
            to `"sum"`.
        data_format: String, `"channels_last"` or `"channels_first"`, the
            place of the channels: the last axis, or the one behind the batch.
            Defaults to `None`, which takes Keras' `image_data_format`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor. The sums are computed in float32 at least, whatever
            the dtype of the layer.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height,
        width)` with `data_format="channels_first"`. Across channels also any
        other rank from 2 on, such as `(batch, steps, channels)`; the number of
        channels must be known. Within a channel height and width may be
        unknown.

    Output shape:
        Same as the input shape. A mask is passed on; masked steps are inputs
        like others.

    Raises:
        ValueError: If an argument is not as described above, or if the inputs
            have a wrong rank or an unknown number of channels.

    Reference:

    - [Krizhevsky, Sutskever and Hinton, 2012](
        https://proceedings.neurips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html)
    """

    def __init__(
        self,
        size=5,
        k=2.0,
        alpha=1e-4,
        beta=0.75,
        region="across_channels",
        alpha_mode="sum",
        data_format=None,
        **kwargs,
    ):
        if not is_integer(size) or size <= 0:
            raise invalid_argument("size", "a positive integer", size)
        # k > 0 and alpha >= 0 keep the logarithm in `call` finite.
        if not is_finite_number(k) or k <= 0:
            raise invalid_argument("k", "a positive number", k)
        if not is_finite_number(alpha) or alpha < 0:
            raise invalid_argument("alpha", "a non-negative number", alpha)
        if not is_finite_number(beta):
            raise invalid_argument("beta", "a finite number", beta)
        if region not in REGIONS:
            raise invalid_argument("region", f"one of {REGIONS}", region)
        if alpha_mode not in ALPHA_MODES:
            raise invalid_argument(
                "alpha_mode", f"one of {ALPHA_MODES}", alpha_mode
            )
        if data_format is None:
            data_format = keras.config.image_data_format()
        if data_format not in DATA_FORMATS:
            raise invalid_argument(
                "data_format", f"None or one of {DATA_FORMATS}", data_format
            )
        super().__init__(**kwargs)
        self.size = int(size)
        self.k = float(k)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.region = region
        self.alpha_mode = alpha_mode
        self.data_format = data_format
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        channel_axis = -1 if self.data_format == "channels_last" else 1
        if self.region == "within_channel":
            if rank != 4:
                raise ValueError(
                    'With `region="within_channel"` inputs must have rank 4. '
                    f"Received: input_shape={input_shape}"
                )
            self.input_spec = keras.layers.InputSpec(ndim=4)
        else:
            if rank < 2:
                raise ValueError(
                    "Inputs must have rank 2 or more. "
                    f"Received: input_shape={input_shape}"
                )
            channels = input_shape[channel_axis]
            if channels is None:
                raise ValueError(
                    "The number of channels must be known. "
                    f"Received: input_shape={input_shape}"
                )
            self.input_spec = keras.layers.InputSpec(
                ndim=rank, axes={channel_axis: channels}
            )
            self._weights_of_squares = self._make_band(channels)
        super().build(input_shape)

    def call(self, inputs):
        # The square of 300 is beyond float16, and bfloat16 would lose small
        # squares beside k: the sums need float32.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        scale = self.k + self._weigh_squares(ops.square(inputs))
        # On a CPU this takes a third of the time of `ops.power`.
        outputs = inputs * ops.exp(-self.beta * ops.log(scale))
        return ops.cast(outputs, self.compute_dtype)

    def _weigh_squares(self, squares):
        if self.region == "within_channel":
            return self._sum_over_pixels(squares)
        return self._sum_over_channels(squares)

    def _make_band(self, channels):
        """Matrix of shape (neighbour, channel): alpha in the window, else 0."""
        neighbours = np.arange(channels)[:, np.newaxis]
        offsets = neighbours - np.arange(channels)
        in_window = offsets >= -(self.size // 2)
        in_window &= offsets <= (self.size - 1) // 2
        terms = self.size if self.alpha_mode == "mean" else 1
        return self.alpha / terms * in_window

    def _sum_over_channels(self, squares):
        # One matrix product is faster than adding `size` slices, and unlike a
        # running sum it loses no precision.
        band = ops.convert_to_tensor(self._weights_of_squares, squares.dtype)
        if self.data_format == "channels_last":
            return ops.matmul(squares, band)
        channels_last = ops.moveaxis(squares, 1, -1)
        return ops.moveaxis(ops.matmul(channels_last, band), -1, 1)

    def _sum_over_pixels(self, squares):
        # `padding="same"` would leave the padding out of the mean.
        margins = (self.size // 2, (self.size - 1) // 2)
        padding = [(0, 0), margins, margins, (0, 0)]
        if self.data_format == "channels_first":
            padding = [(0, 0), (0, 0), margins, margins]
        means = ops.pad(squares, padding)
        # Rows, then columns: 2 * size terms a pixel instead of size * size.
        for window in ((self.size, 1), (1, self.size)):
            means = ops.average_pool(
                means, window, strides=1, data_format=self.data_format
            )
        terms = self.size**2 if self.alpha_mode == "sum" else 1
        return self.alpha * terms * means

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "size": self.size,
            "k": self.k,
            "alpha": self.alpha,
            "beta": self.beta,
            "region": self.region,
            "alpha_mode": self.alpha_mode,
            "data_format": self.data_format,
        }
        base_config = super().get_config()
        return {**base_config, **config}
