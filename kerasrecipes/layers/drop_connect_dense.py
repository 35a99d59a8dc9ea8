import keras
import numpy as np
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer, is_number

MASK_MODES = ("per_example", "per_batch")
INFERENCES = ("mean", "moments")
# With these many the mean of a ReLU is off by a hundredth of the standard
# deviation of what goes into it, at the worst.
NODES = 32


@keras.saving.register_keras_serializable(package="kerasrecipes")
class DropConnectDense(keras.layers.Dense):
    r"""Dense layer with DropConnect: dropout of weights.

    Dropout silences units, which takes whole rows of the next kernel away.
    DropConnect silences each weight by itself. While training the layer
    computes

    .. math:: r = a\Big(\frac{(M \odot W)^\top v + m \odot b}{1 - p}\Big)

    for inputs :math:`v`, the kernel :math:`W`, the bias :math:`b` and the
    activation :math:`a`, where the masks :math:`M` and :math:`m` hold
    independent zeros, with the probability :math:`p`, and ones. The bias is
    dropped like a weight, as in the paper. The division keeps the mean of
    what goes into the activation; the paper multiplies the weights by
    :math:`1 - p` in inference instead, which is the same function when the
    weights carry the scale.

    With `mask_mode="per_example"`, as in the paper, every example of a batch
    has its own mask: `batch * features * units` numbers are drawn in each
    step, and held in memory. With `"per_batch"` all examples share one mask,
    which is cheap, but the gradient of a step is noisier. Where inputs have
    more than two axes, the positions of an example share its mask.

    In inference nothing is dropped.

    - With `inference="mean"` the layer is `keras.layers.Dense`: what goes
      into the activation is the mean over all masks.
    - With `inference="moments"` it returns the mean of what comes out of the
      activation, as in the paper. What goes in is taken as normal with the
      mean and the variance that it has over all masks,

      .. math:: \frac{p}{1 - p} \Big((W \odot W)^\top (v \odot v) +
          b \odot b\Big)

      The paper draws numbers from it and averages; this layer integrates by
      Gauss and Hermite's rule with 32 nodes, so that the same input has the
      same output. That is meant for an activation that takes each unit by
      itself. It costs two products of matrices and 32 activations.

    A saved model that has the layer loads after `import kerasrecipes.layers`.

    Args:
        units: Positive integer, the number of outputs.
        rate: Float, at least 0 and below 1. The share of weights to drop.
            Defaults to `0.5`.
        mask_mode: String, `"per_example"` or `"per_batch"`: whether examples
            have masks of their own. Defaults to `"per_example"`.
        inference: String, `"mean"` or `"moments"`: the network of the mean
            weights, or the mean over the networks. Defaults to `"mean"`.
        seed: Non-negative integer, the seed of the masks. Defaults to `None`:
            they differ from layer to layer.
        **kwargs: Keyword arguments of `keras.layers.Dense` (e.g. `activation`,
            `use_bias`, `kernel_initializer` and `name`).

    Call arguments:
        inputs: Tensor of rank 2 or more.
        training: Boolean, whether to drop weights (in training) or not (in
            inference).

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., units)`. A mask is passed on.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Wan, Zeiler, Zhang, LeCun and Fergus, 2013](
        https://proceedings.mlr.press/v28/wan13.html)
    """

    def __init__(
        self,
        units,
        rate=0.5,
        mask_mode="per_example",
        inference="mean",
        seed=None,
        **kwargs,
    ):
        if not is_integer(units) or units <= 0:
            raise invalid_argument("units", "a positive integer", units)
        if not is_number(rate) or not 0 <= rate < 1:
            raise invalid_argument(
                "rate", "a number at least 0 and below 1", rate
            )
        if mask_mode not in MASK_MODES:
            raise invalid_argument(
                "mask_mode", f"one of {MASK_MODES}", mask_mode
            )
        if inference not in INFERENCES:
            raise invalid_argument(
                "inference", f"one of {INFERENCES}", inference
            )
        if seed is not None and (not is_integer(seed) or seed < 0):
            raise invalid_argument(
                "seed", "None or a non-negative integer", seed
            )
        super().__init__(int(units), **kwargs)
        self.rate = float(rate)
        self.mask_mode = mask_mode
        self.inference = inference
        self.seed = None if seed is None else int(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, inputs, training=False):
        if training and self.rate > 0 and 0 not in inputs.shape[:-1]:
            return self._call_with_masks(inputs)
        if self.inference == "moments" and self.rate > 0:
            return self._call_with_moments(inputs)
        return super().call(inputs, training=training)

    def _call_with_masks(self, inputs):
        *outer, features = ops.shape(inputs)
        networks = outer[0] if self.mask_mode == "per_example" else 1
        # A batch of matrix products, one for each mask.
        rows = ops.reshape(inputs, (networks, -1, features))
        kernels = self.kernel * self._draw_mask(networks, features)
        sums = ops.matmul(rows, kernels)  # (networks, rows, units)
        if self.use_bias:
            sums = sums + self.bias * self._draw_mask(networks, 1)
        return self._activate(ops.reshape(sums, (*outer, self.units)))

    def _draw_mask(self, networks, rows):
        """Zeros, and ones over 1 - rate, for kernels or biases."""
        drawn = keras.random.uniform(
            (networks, rows, self.units),
            # Short floats would change the rate.
            dtype="float32",
            seed=self.seed_generator,
        )
        kept = ops.cast(drawn >= self.rate, self.compute_dtype)
        return kept / (1 - self.rate)

    def _call_with_moments(self, inputs):
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        inputs, kernel = ops.cast(inputs, dtype), ops.cast(self.kernel, dtype)
        mean = ops.matmul(inputs, kernel)
        variance = ops.matmul(ops.square(inputs), ops.square(kernel))
        if self.use_bias:
            bias = ops.cast(self.bias, dtype)
            mean, variance = mean + bias, variance + ops.square(bias)
        # The slope of the root at zero is infinite.
        variance = ops.maximum(variance * self.rate / (1 - self.rate), 1e-14)
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        weights = ops.convert_to_tensor(weights / weights.sum(), dtype)
        shape = (NODES, *[1] * len(mean.shape))
        nodes = ops.convert_to_tensor(nodes.reshape(shape), dtype)
        outputs = self._activate(mean + ops.sqrt(variance) * nodes)
        outputs = ops.tensordot(weights, outputs, axes=1)
        return ops.cast(outputs, self.compute_dtype)

    def _activate(self, sums):
        return sums if self.activation is None else self.activation(sums)

    def get_config(self):
        config = {
            "rate": self.rate,
            "mask_mode": self.mask_mode,
            "inference": self.inference,
            "seed": self.seed,
        }
        base_config = super().get_config()
        return {**base_config, **config}
