import keras
from keras import ops

from kerasrecipes.checks import invalid_argument

# Where other layers keep the layers whose kernels count as theirs.
CHILDREN = ("layer", "cell", "cells", "forward_layer", "backward_layer")
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@keras.saving.register_keras_serializable(package="kerasrecipes")
class WeightNormalization(keras.layers.Wrapper):
    r"""Wrapper that splits a layer's weights into lengths and directions.

    The weights of each output unit are

    .. math:: w = g \frac{v}{\lVert v \rVert}

    with a scalar :math:`g`, their length, and a vector :math:`v`, of which
    only the direction counts. Both are trained in place of :math:`w`, so that
    the gradient with respect to :math:`v` is orthogonal to :math:`v`.

    The kernel of the wrapped layer is :math:`v`, and is no weight beside it;
    `scales` holds :math:`g`, and `normalized_kernels()` returns :math:`w`. A
    regularizer or a constraint of the kernel is one of :math:`v`. The bias
    and everything else stays with the wrapped layer.

    What an output unit is:

    - Of a dense or convolutional layer it is one of its `units` or `filters`:
      all weights of the kernel that lead to it, over positions and channels.
    - Of a transposed convolution likewise; of a depthwise one it is a filter
      of a single channel.
    - Of a recurrent layer it is one gate of one unit: a column of the kernel,
      and apart from it, with a :math:`g` of its own, the same column of the
      recurrent kernel. An LSTM has four of each for every unit, a GRU three.

    Recurrent layers, `keras.layers.Bidirectional` and
    `keras.layers.TimeDistributed` may be wrapped, and cells for
    `keras.layers.RNN`: but it is cheaper to wrap the `RNN` layer, whose
    weights are normalized once for a sequence and not at every step.

    Where :math:`v` is zero, so are the weights. A saved model that has the
    layer loads after `import kerasrecipes.layers`.

    Args:
        layer: A `keras.layers.Layer` with a kernel. It may be trained
            already.
        train_scale: Boolean, whether :math:`g` is trained; if not it keeps its
            first value. Defaults to `True`.
        scale_initializer: Keras initializer for :math:`g`, such as `"ones"`
            for weights of length one. Defaults to `None`: the length of
            :math:`v`, so that the layer begins as it would without the
            wrapper.
        **kwargs: Base wrapper keyword arguments (e.g. `name` and `dtype`).

    Call arguments:
        inputs: Inputs of the wrapped layer.
        *args: Its other tensors, such as the states of a cell.
        **kwargs: Its keyword arguments, such as `initial_state`.

    Input shape:
        That of the wrapped layer.

    Output shape:
        That of the wrapped layer. Masks are what they are without the wrapper.

    Raises:
        ValueError: If an argument is not as described above, if the layer
            has no kernel or one whose output units are not known, or if it is
            a cell with dropout, which needs the `RNN` layer to be wrapped.

    Reference:

    - [Salimans and Kingma, 2016](https://arxiv.org/abs/1602.07868)
    """

    def __init__(
        self, layer, train_scale=True, scale_initializer=None, **kwargs
    ):
        if not isinstance(layer, keras.layers.Layer):
            raise invalid_argument("layer", "a Keras layer", layer)
        if _is_cell(layer) and _has_dropout(layer):
            # On JAX its masks must be drawn before the scan, by the RNN.
            raise invalid_argument(
                "layer",
                "a cell without dropout, or the RNN layer around it",
                layer,
            )
        if not isinstance(train_scale, bool):
            raise invalid_argument("train_scale", "a boolean", train_scale)
        try:
            initializer = keras.initializers.get(scale_initializer)
        except ValueError:
            raise invalid_argument(
                "scale_initializer",
                "None or a Keras initializer",
                scale_initializer,
            ) from None
        super().__init__(layer, **kwargs)
        self.train_scale = train_scale
        self.scale_initializer = initializer
        self.supports_masking = layer.supports_masking

    def build(self, input_shape):
        super().build(input_shape)
        kernels = _find_kernels(self.layer)
        if not kernels:
            raise ValueError(
                "Only a layer with a kernel can be wrapped. Received: "
                f"layer={self.layer!r}"
            )
        self.scales = [
            self.add_weight(
                shape=_squeezed_shape(kernel, axes),
                initializer=self.scale_initializer or _lengths_of(kernel, axes),
                trainable=self.train_scale,
                name=f"{kernel.name}_scale",
            )
            for kernel, axes in kernels
        ]

    def normalized_kernels(self):
        """Returns the weights in use, a tensor for each kernel.

        Of a recurrent layer they are the kernel and the recurrent kernel.
        """
        return [
            ops.cast(scale, direction.dtype) * direction
            for scale, direction in zip(
                self.scales, self._directions(), strict=True
            )
        ]

    def _directions(self):
        return [
            ops.divide(kernel, _compute_length(kernel, axes, at_zero=1.0))
            for kernel, axes in _find_kernels(self.layer)
        ]

    def call(self, inputs, *args, **kwargs):
        variables = self.layer.variables
        scope = self._make_scope(self.normalized_kernels())
        before = [scope.get_current_value(v) for v in variables]
        with scope:
            outputs = self.layer(inputs, *args, **kwargs)
        for variable, value in zip(variables, before, strict=True):
            # What the layer itself has changed, such as the seed of dropout.
            if scope.get_current_value(variable) is not value:
                variable.assign(scope.get_current_value(variable))
        for loss in scope.losses:
            # A sum is a new tensor: the layer's own would be counted twice.
            self.add_loss(loss + 0.0)
        return keras.tree.map_structure(
            lambda output: ops.cast(output, self.compute_dtype), outputs
        )

    def _make_scope(self, kernels):
        """A scope in which the layer's kernels have these values."""
        # All variables, for a scope within another one hides what they are
        # there: on JAX, the state of the training step.
        state = [
            (variable, variable.value) for variable in self.layer.variables
        ]
        names = [kernel for kernel, _ in _find_kernels(self.layer)]
        state += zip(names, kernels, strict=True)  # the last entry counts
        return keras.StatelessScope(state, collect_losses=True)

    def initialize_from_data(self, inputs):
        """Sets lengths and bias by a batch of inputs, before any training.

        They are set so that what goes into the activation has the mean 0 and
        the variance 1 for each output unit, over the batch and over all
        positions. A layer without a bias keeps its means.

        Layers of a network are initialized in their order, each by what the
        one before returns.

        Args:
            inputs: Array or tensor, a batch of inputs for this layer.

        Returns:
            The outputs of the layer for these inputs.

        Raises:
            ValueError: If the layer is recurrent, since the inputs of its
                steps depend on its weights, or if a unit's values do not vary
                over the batch.
        """
        inputs = ops.convert_to_tensor(inputs, self.compute_dtype)
        if not self.built:
            self.build(inputs.shape)
        layer = self.layer
        if not hasattr(layer, "kernel") or hasattr(layer, "recurrent_kernel"):
            raise ValueError(
                "Only a dense or convolutional layer can be initialized from "
                f"data. Received: layer={layer!r}"
            )
        bias = getattr(layer, "bias", None)
        activation = getattr(layer, "activation", None)
        layer.activation = None
        try:
            with self._make_scope(self._directions()):
                if bias is not None:
                    bias.assign(ops.zeros(bias.shape))
                sums = layer(inputs, training=False)
        finally:
            layer.activation = activation
        if getattr(layer, "data_format", None) == "channels_first":
            sums = ops.moveaxis(sums, 1, -1)
        sums = ops.convert_to_numpy(ops.cast(sums, "float32"))
        sums = sums.reshape(-1, sums.shape[-1]).astype("float64")
        mean, deviation = sums.mean(0), sums.std(0)
        if not (deviation > 0).all():
            raise ValueError(
                "Each unit's values must vary over the batch. Received: "
                f"inputs of shape {tuple(inputs.shape)} for which some do not"
            )
        (scale,) = self.scales
        scale.assign((1 / deviation).reshape(scale.shape))
        if bias is not None:
            bias.assign(-mean / deviation)
        return self(inputs, training=False)

    # What `keras.layers.RNN` asks a cell for, and finds at no other layer.

    @property
    def state_size(self):
        return self._get_of_cell("state_size")

    @property
    def output_size(self):
        return self._get_of_cell("output_size")

    @property
    def get_initial_state(self):
        return self._get_of_cell("get_initial_state")

    def _get_of_cell(self, name):
        if not _is_cell(self.layer):
            raise AttributeError(f"{self.layer!r} is not a recurrent cell")
        return getattr(self.layer, name)

    def compute_mask(self, inputs, previous_mask):
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        config = {
            "train_scale": self.train_scale,
            "scale_initializer": keras.initializers.serialize(
                self.scale_initializer
            ),
        }
        base_config = super().get_config()
        # The wrapper builds the layer, also when it is loaded.
        base_config["layer"].pop("build_config", None)
        return {**base_config, **config}


def _find_kernels(layer):
    """Kernels of a layer and its children, with the axes of their units."""
    axes = (-1,)
    if isinstance(layer, TRANSPOSED):
        axes = (-2,)
    elif isinstance(layer, DEPTHWISE):
        axes = (-2, -1)
    elif isinstance(layer, keras.layers.EinsumDense):
        return []  # its equation says which axes are outputs
    found = {}
    for name in ("kernel", "recurrent_kernel"):
        kernel = getattr(layer, name, None)
        if isinstance(kernel, keras.Variable):
            found[id(kernel)] = kernel, axes
    for name in CHILDREN:
        for child in keras.tree.flatten(getattr(layer, name, None)):
            if isinstance(child, keras.layers.Layer):
                found |= {id(k): (k, a) for k, a in _find_kernels(child)}
    return list(found.values())


def _is_cell(layer):
    return hasattr(layer, "state_size") and not hasattr(layer, "cell")


def _has_dropout(cell):
    return any(
        getattr(part, "dropout", 0) or getattr(part, "recurrent_dropout", 0)
        for part in (cell, *getattr(cell, "cells", ()))
    )


def _squeezed_shape(kernel, axes):
    """Shape of a unit's numbers: it broadcasts against the kernel's."""
    first = min(axes)
    return tuple(
        kernel.shape[axis] if axis in axes else 1 for axis in range(first, 0)
    )


def _compute_length(kernel, axes, at_zero=0.0):
    """Lengths of the weights of each unit, and a number in place of zeros."""
    # Squares of short floats would be far from it.
    dtype = keras.backend.result_type(kernel.dtype, "float32")
    kernel = ops.cast(kernel, dtype)
    others = [a for a in range(-len(kernel.shape), 0) if a not in axes]
    squares = ops.sum(ops.square(kernel), axis=others, keepdims=True)
    # The root has no slope at zero, so it must not be taken there.
    lengths = ops.sqrt(ops.where(squares > 0, squares, 1.0))
    return ops.where(squares > 0, lengths, at_zero)


def _lengths_of(kernel, axes):
    """Initializer that returns the lengths of a kernel."""

    def initialize(shape, dtype=None):
        lengths = _compute_length(kernel, axes)
        return ops.cast(ops.reshape(lengths, shape), dtype)

    return initialize
