import keras
from keras import ops

from kerasrecipes.checks import invalid_argument, is_integer


@keras.saving.register_keras_serializable(package="kerasrecipes")
class CosineDense(keras.layers.Layer):
    r"""Dense layer with cosine normalization: it measures angles.

    Each unit returns the cosine between the inputs :math:`x` and its weights
    :math:`w`, in place of their dot product:

    .. math:: y = a\Big(\frac{x}{\lVert x \rVert} \cdot
        \frac{w}{\lVert w \rVert}\Big)

    with the activation :math:`a`. Before it, outputs are between -1 and 1 up
    to rounding, and neither the length of :math:`x` nor that of :math:`w`
    plays a part. There is no bias, which would depend on the length of
    :math:`x`. Inputs that are all zero have no direction: every unit returns
    0 for them, and gradients are finite; so it is for weights.

    As logits the outputs are too small for softmax, which then stays near its
    uniform start: multiply them, by `keras.layers.Rescaling` for example.

    A saved model that has the layer loads after `import kerasrecipes.layers`.

    Args:
        units: Positive integer, the number of outputs.
        activation: Keras activation, such as `"relu"`. Defaults to `None`:
            the cosine itself.
        kernel_initializer: Keras initializer for the weights, of which only
            the directions count. Defaults to `"glorot_uniform"`.
        **kwargs: Base layer keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Tensor of rank 2 or more. Lengths are computed in float32 at
            least, whatever the dtype of the layer.

    Input shape:
        `(batch, ..., features)`.

    Output shape:
        `(batch, ..., units)`. A mask is passed on.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Luo, Zhan, Xue, Wang, Ren and Yang, 2017](
        https://arxiv.org/abs/1702.05870)
    """

    def __init__(
        self,
        units,
        activation=None,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        if not is_integer(units) or units <= 0:
            raise invalid_argument("units", "a positive integer", units)
        try:
            function = keras.activations.get(activation)
        except ValueError:
            raise invalid_argument(
                "activation", "None or a Keras activation", activation
            ) from None
        try:
            initializer = keras.initializers.get(kernel_initializer)
        except ValueError:
            initializer = None
        if initializer is None:
            raise invalid_argument(
                "kernel_initializer", "a Keras initializer", kernel_initializer
            )
        super().__init__(**kwargs)
        self.units = int(units)
        self.activation = function
        self.kernel_initializer = initializer
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape):
        features = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(
            min_ndim=2, axes={-1: features}
        )
        self.kernel = self.add_weight(
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            name="kernel",
        )

    def call(self, inputs):
        directions = self._normalize(inputs, axis=-1)
        weights = self._normalize(self.kernel, axis=0)
        return self.activation(ops.matmul(directions, weights))

    def _normalize(self, vectors, axis):
        """Vectors of length one, or of zeros, in the layer's dtype."""
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        vectors = ops.cast(vectors, dtype)
        if 0 in vectors.shape:  # nothing has no largest number
            return ops.cast(vectors, self.compute_dtype)
        # Squares of tiny or huge numbers would be 0 or infinite. The result
        # does not depend on the size, and so needs no gradient of it.
        size = ops.max(ops.abs(vectors), axis, keepdims=True)
        size = ops.stop_gradient(ops.where(size > 0, size, 1.0))
        vectors = vectors / size
        squares = ops.sum(ops.square(vectors), axis, keepdims=True)
        # The root has no slope at zero, so it must not be taken there.
        squares = ops.where(squares > 0, squares, 1.0)
        return ops.cast(vectors / ops.sqrt(squares), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        config = {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
        }
        base_config = super().get_config()
        return {**base_config, **config}
