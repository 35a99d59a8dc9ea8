import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer, is_number


@keras.saving.register_keras_serializable(package="kerasrecipes")
class MonteCarloDropout(keras.layers.Layer):
    r"""Dropout that stays random after training.

    It sets units to zero with the probability `rate` and scales the others by
    `1 / (1 - rate)`, in training as `keras.layers.Dropout` does, and in
    `predict`, `evaluate` and a plain call of the model as well. Many such
    passes are a sample of predictions: for a network :math:`f` with the masks
    :math:`m_1 \dots m_T`, their mean

    .. math:: \bar y = \frac{1}{T} \sum_{t=1}^{T} f(x, m_t)

    is the prediction, and their spread says how much it depends on single
    units. `kerasrecipes.analysis.predict_samples` makes the passes.

    A `keras.layers.Dropout` that is called with `training=True` while a
    functional model is built is silent in `predict`: there the model's own
    `training=False` takes its place. A whole model that is called with
    `training=True` is random, but so its `BatchNormalization` layers train as
    well: they normalise by the statistics of the batch, and move their own.
    This layer leaves all others as they are.

    It has no weights, so that it may take the place of a `Dropout` in a model
    that is trained already:

    ```python
    def keep_random(layer):
        if isinstance(layer, keras.layers.Dropout):
            return MonteCarloDropout(layer.rate, layer.noise_shape)
        return layer.__class__.from_config(layer.get_config())

    random_model = keras.models.clone_model(model, clone_function=keep_random)
    random_model.set_weights(model.get_weights())
    ```

    Two calls draw different masks. Two layers with the same `seed` draw the
    same ones, call by call, and so does a saved model once it is loaded again;
    without a `seed` it draws others. It loads after
    `import kerasrecipes.layers`.

    Args:
        rate: Float, at least 0 and below 1. The share of units to drop.
        noise_shape: Tuple or list with an entry for each axis of the inputs,
            the shape of the mask: a `1` where one mask serves the whole axis,
            else the axis' size, or `None` for it. With `(None, 1, features)`
            the steps of a sequence share a mask, as Gal and Ghahramani have
            it. A `1` for the batch gives all examples one mask, which is not
            for `predict_samples`. Defaults to `None`: a unit of its own for
            every value.
        seed: Non-negative integer, the seed of the masks. Defaults to `None`:
            they differ from layer to layer.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor of any rank. There is no argument `training`.

    Input shape:
        Any; that of `noise_shape` where it is given.

    Output shape:
        Same as the input shape. A mask is passed on.

    Raises:
        ValueError: If an argument is not as described above, or if
            `noise_shape` does not fit the inputs.

    Reference:

    - [Gal and Ghahramani, 2016](https://arxiv.org/abs/1506.02142)
    - [Gal and Ghahramani, 2016, recurrent networks](
      https://arxiv.org/abs/1512.05287)
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        if not is_number(rate) or not 0 <= rate < 1:
            raise invalid_argument(
                "rate", "a number at least 0 and below 1", rate
            )
        if noise_shape is not None and (
            not isinstance(noise_shape, list | tuple)
            or not all(
                size is None or (is_integer(size) and size > 0)
                for size in noise_shape
            )
        ):
            raise invalid_argument(
                "noise_shape",
                "None or a tuple of positive integers and None",
                noise_shape,
            )
        if seed is not None and (not is_integer(seed) or seed < 0):
            raise invalid_argument(
                "seed", "None or a non-negative integer", seed
            )
        super().__init__(**kwargs)
        self.rate = float(rate)
        self.noise_shape = noise_shape
        if noise_shape is not None:
            self.noise_shape = tuple(
                None if size is None else int(size) for size in noise_shape
            )
        self.seed = None if seed is None else int(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.supports_masking = True

    def build(self, input_shape):
        if self.noise_shape is not None:
            fits = len(self.noise_shape) == len(input_shape) and all(
                None in (size, axis) or size in (1, axis)
                for size, axis in zip(
                    self.noise_shape, input_shape, strict=True
                )
            )
            if not fits:
                raise ValueError(
                    "`noise_shape` must have an entry for each axis of the "
                    "inputs: 1, None or its size. Received: noise_shape="
                    f"{self.noise_shape}, input_shape={input_shape}"
                )
            self.input_spec = keras.layers.InputSpec(ndim=len(input_shape))
        super().build(input_shape)

    def call(self, inputs):
        if self.rate == 0.0:
            return inputs
        shape = ops.shape(inputs)
        if self.noise_shape is not None:
            shape = [
                axis if size is None else size
                for axis, size in zip(shape, self.noise_shape, strict=True)
            ]
        # In float32, so that a seed gives the same mask in every precision.
        drawn = keras.random.uniform(
            shape, dtype="float32", seed=self.seed_generator
        )
        scaled = inputs / (1.0 - self.rate)
        return ops.where(drawn >= self.rate, scaled, ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        noise_shape = self.noise_shape
        config = {
            "rate": self.rate,
            "noise_shape": None if noise_shape is None else list(noise_shape),
            "seed": self.seed,
        }
        base_config = super().get_config()
        return {**base_config, **config}
