"""A training step of a layer alone, on whatever backend Keras has loaded."""

import keras
import numpy as np
from keras import ops


def compiles(layer, shape):
    """Whether Keras compiles a model of this layer by XLA, by default."""
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    model.compile()
    return model.jit_compile


def training_step(call, variables, inputs, compiled=True):
    """Makes a function that computes all gradients once.

    Args:
        call: a layer, or a function of the backend's tensors.
        variables: its trainable variables, as Keras' or, on PyTorch, as its
            own parameters.
        inputs: array; its gradient is taken, too.
        compiled: whether XLA compiles it, on TensorFlow.

    Returns:
        A function without arguments. It waits for the result, and returns the
        gradient of the inputs.
    """
    make = {
        "tensorflow": _tensorflow_step,
        "jax": _jax_step,
        "torch": _torch_step,
    }[keras.config.backend()]
    x = ops.convert_to_tensor(inputs)
    shape = ops.shape(call(x))
    weights = np.random.default_rng(1).standard_normal(shape)
    return make(
        call, variables, x, ops.cast(weights, "float32"), compiled=compiled
    )


def _tensorflow_step(call, variables, x, weights, compiled):
    import tensorflow as tf

    variables = [variable.value for variable in variables]

    @tf.function(jit_compile=compiled)
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(call(x) * weights)
        return tape.gradient(loss, [x, *variables])

    return lambda: gradients(x)[0].numpy()


def _jax_step(call, variables, x, weights, compiled):
    import jax

    def loss(x, values):
        pairs = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return ops.sum(call(x) * weights)

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))
    values = [variable.value for variable in variables]
    return lambda: np.asarray(jax.block_until_ready(gradients(x, values))[0])


def _torch_step(call, variables, x, weights, compiled):
    import torch

    variables = [getattr(variable, "value", variable) for variable in variables]
    x = x.requires_grad_()

    def step():
        loss = (call(x) * weights).sum()
        return torch.autograd.grad(loss, [x, *variables])[0].numpy()

    return step
