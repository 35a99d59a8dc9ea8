"""The norm of the gradient, as training goes on."""

import keras
import numpy as np
from keras import ops

from kerasrecipes.callbacks.reset_states import (
    _find_stateful_layers,
    _states_of,
)


class GradientNorms(keras.callbacks.Callback):
    r"""Writes the norm of the gradient on given data into the logs.

    With the gradients :math:`g_k` of the loss that the model was compiled
    with, one for each trainable variable, the global norm is

    .. math:: \lVert g \rVert = \Big(\sum_k \lVert g_k \rVert^2\Big)^{1/2}

    It is measured at the end of every epoch, always on the same examples and
    with the layers as they are at inference, so that it changes with the
    weights alone: batch normalization uses its moving statistics, dropout is
    left out. Penalties and further losses are part of it; it is taken before
    the optimizer clips. A norm that grows from epoch to epoch announces a
    training that will diverge; one that vanishes while the loss is high, a
    plateau.

    Training is left as it was, to the last bit: the gradient goes to an
    optimizer that keeps its norms and does nothing else, and what a layer
    changes at inference as well (the state of a seed generator or of a
    stateful layer) is put back. The one exception is PyTorch's own random
    generator, which Keras' recurrent layers with dropout and without a `seed`
    draw from whenever they are called, in validation as well. A model with a
    `train_step` of its own is measured by its `compute_loss`.

    A norm is right up to the largest float of 32 bits; a gradient that has
    overflowed is written as `inf`, one that is not a number as `nan`.

    Put it before the callbacks that monitor its norms, and give those
    `mode="min"` or `mode="max"`: Keras cannot tell which way is better. A
    `History` of your own belongs after it too; the one that `fit` returns has
    the norms in any order.

    Example:

    ```python
    norms = GradientNorms((x[:500], y[:500]))
    history = model.fit(x, y, epochs=20, callbacks=[norms])
    print(history.history["gradient_norm"])  # 20 norms, one for each epoch
    ```

    Args:
        data: Tuple `(x, y)` or `(x, y, sample_weight)` of what
            `train_on_batch` takes: arrays, or lists or dicts of arrays for
            several inputs or outputs. It is one batch, so give no more
            examples than fit into memory at a time. `y` may be `None` for a
            model that needs no targets.
        per_variable: Boolean, whether the norm of each variable is written as
            well, under `name`, a slash and the variable's path. Defaults to
            `False`.
        name: String, the key of the global norm in the logs. Defaults to
            `"gradient_norm"`.

    Raises:
        ValueError: From the constructor, if an argument is invalid. From
            `fit`, if the model has no trainable weights, or if the logs hold
            something of that name already.

    Reference:
        - [Pascanu et al., 2013](https://arxiv.org/abs/1211.5063)
    """

    def __init__(self, data, per_variable=False, name="gradient_norm"):
        super().__init__()
        if not isinstance(per_variable, bool):
            raise _refusal(
                "per_variable", "a boolean", f"per_variable={per_variable!r}"
            )
        if not isinstance(name, str) or not name:
            raise _refusal("name", "a name, a string", f"{name!r}")
        self.data = _check_data(data)
        self.per_variable = per_variable
        self.name = name
        self._forget(is_fitting=False)

    def _forget(self, is_fitting):
        # A model may be compiled anew between one `fit` and the next.
        self._probe, self._is_fitting = None, is_fitting

    def on_train_begin(self, logs=None):
        self._forget(is_fitting=True)

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        for name, norm in self.evaluate().items():
            if name in logs:
                raise _refusal(
                    "name",
                    "a name that no metric or other callback uses",
                    f"{self.name!r}, but the logs hold {', '.join(logs)}",
                )
            logs[name] = norm

    def on_train_end(self, logs=None):
        self._forget(is_fitting=False)

    def evaluate(self):
        """Measures the gradient at the current weights.

        Call it after `fit`, or within it from another callback, to measure
        more often than once an epoch.

        Returns:
            Dict of floats: the global norm under `name`, then those of the
            variables if `per_variable`.
        """
        # Read once: on JAX this is what brings the weights up to date.
        model = self.model
        if model is None or not (model.built and model.compiled):
            raise ValueError(
                "GradientNorms has no model to measure: expected `evaluate` "
                "to be called after `fit`, or after `set_model` with a model "
                f"that is built and compiled. Received: model={model!r}"
            )
        probe = self._probe or _Probe(model)
        if self._is_fitting:
            self._probe = probe  # with its compiled step
        each = probe.measure(self.data)
        # In float64, where no square of a float32 overflows.
        norms = {self.name: float(np.linalg.norm(list(each.values())))}
        if self.per_variable:
            norms |= {f"{self.name}/{k}": norm for k, norm in each.items()}
        return norms


class _Probe(keras.Model):
    """Takes the training step of a network, but for the step itself.

    Its inputs are the data with the targets, its output is the network's
    loss, so that the loss is computed in one place with the forward pass:
    JAX knows what `add_loss` was given only there.
    """

    def __init__(self, network):
        # Not in the global policy: the network casts its inputs itself, and
        # targets and loss stay as they are. Nor is the loss to be scaled.
        super().__init__(name="probe", dtype=keras.config.floatx())
        if not network.trainable_variables:
            raise ValueError(
                "GradientNorms measures a gradient: expected a model with "
                "trainable weights. Received: a model without any"
            )
        self.network = network
        self.built = True
        self.compile(
            _NormKeeper(self.trainable_variables),
            jit_compile=network.jit_compile,
            run_eagerly=network.run_eagerly,
        )

    def call(self, inputs):
        x, y, weights = (inputs.get(k) for k in ("x", "y", "sample_weight"))
        y_pred = self.network(x, training=False)
        return self.network.compute_loss(
            x=x, y=y, y_pred=y_pred, sample_weight=weights
        )

    def compute_loss(self, x=None, y=None, y_pred=None, *args, **kwargs):
        return y_pred

    def measure(self, data):
        """Returns the norm of each variable's gradient, by its path."""
        state = [
            *self.network.non_trainable_variables,
            *self.network.metrics_variables,
        ]
        for layer in _find_stateful_layers(self.network):
            state += _states_of(layer)
        # Copies, whether or not a backend hands out views of its memory.
        before = [np.array(ops.convert_to_numpy(v)) for v in state]
        try:
            self.train_on_batch(data)
        finally:
            for variable, value in zip(state, before, strict=True):
                variable.assign(value)
        norms = map(float, ops.convert_to_numpy(self.optimizer.norms))
        paths = [variable.path for variable in self.trainable_variables]
        return dict(zip(_distinct(paths), norms, strict=True))


class _NormKeeper(keras.optimizers.Optimizer):
    """Keeps the norms of the last gradients, and leaves the weights alone."""

    def __init__(self, variables):
        super().__init__(learning_rate=1.0)
        self.build(variables)
        self.norms = self.add_variable(
            (len(variables),), dtype="float32", name="norms"
        )

    def apply(self, grads, trainable_variables=None):
        # In place of Keras' own, which would clip, decay and constrain.
        self.norms.assign(ops.stack([_norm(gradient) for gradient in grads]))


def _norm(gradient):
    """Returns the norm of a gradient in float32."""
    if gradient is None:
        return ops.zeros(())  # the loss does not depend on the variable
    # Reshaping also adds up what TensorFlow keeps apart: the gradient of an
    # Embedding comes as a list of rows, in which a row may occur twice.
    values = ops.abs(ops.cast(ops.reshape(gradient, (-1,)), "float32"))
    # Scaled, for squares of large or small numbers would leave the range.
    # Where the largest is 0, inf or nan, it is the norm.
    largest = ops.max(values)
    usable = (largest > 0) & (largest < np.inf)
    scale = ops.where(usable, largest, 1.0)
    norm = scale * ops.sqrt(ops.sum(ops.square(values / scale)))
    return ops.where(usable, norm, largest)


def _distinct(names):
    """Returns the names, with a number where one occurs again."""
    seen = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}_{seen[name]}"


def _refusal(argument, expected, received):
    return ValueError(
        f"Invalid value for argument `{argument}`: expected {expected}. "
        f"Received: {received}"
    )


def _check_data(data):
    """Returns the data as a dict of arrays, without what is None."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        received = type(data).__name__
        if isinstance(data, tuple | list):
            received += f" of length {len(data)}"
        raise _refusal(
            "data", "a tuple (x, y) or (x, y, sample_weight)", received
        )
    parts = {
        name: keras.tree.map_structure(_to_array, part)
        for name, part in zip(("x", "y", "sample_weight"), data, strict=False)
        if part is not None or name == "x"
    }
    shapes = [
        leaf.shape
        for part in parts.values()
        for leaf in keras.tree.flatten(part)
    ]
    lengths = {shape[:1] for shape in shapes}
    if len(lengths) != 1 or lengths <= {(), (0,)}:
        raise _refusal(
            "data",
            "arrays with the same number of examples along the first axis, at "
            "least one",
            f"shapes {', '.join(map(str, shapes))}",
        )
    return parts


def _to_array(array):
    """Returns an array as `fit` would feed it: floats in Keras' own type."""
    # np.asarray cannot read a tensor on an accelerator.
    if ops.is_tensor(array):
        array = ops.convert_to_numpy(array)
    array = np.asarray(array)
    is_float = array.dtype.kind == "f"
    return array.astype(keras.config.floatx()) if is_float else array
