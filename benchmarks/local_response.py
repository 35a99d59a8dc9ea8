"""LocalResponseNormalization against TensorFlow's own kernel.

Run with ``python -m benchmarks.local_response``. Each repetition times a
forward and a backward pass of both, in turn, so that a busy machine slows
both. A ratio below 1 means that ours is faster.
"""

import sys
import time

import keras
import numpy as np

from kerasrecipes.layers import LocalResponseNormalization

SHAPES = [(32, 27, 27, 96), (32, 8, 8, 16), (8, 13, 13, 256)]
REPETITIONS = 20
# Calls are repeated until a timing is this long, far above the clock's grain.
SECONDS_PER_TIMING = 0.02


def make_step(function, jit_compile):
    """Returns a compiled function of inputs and cotangents: the gradient."""
    import tensorflow as tf

    @tf.function(jit_compile=jit_compile)
    def step(inputs, cotangents):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(function(inputs) * cotangents)
        return tape.gradient(loss, inputs)

    return step


def measure(step, arguments, calls):
    """Returns the seconds of one call, the mean over some calls."""
    start = time.perf_counter()
    for _ in range(calls):
        gradient = step(*arguments)
    gradient.numpy()
    return (time.perf_counter() - start) / calls


def compare(shape, jit_compile):
    """Returns the seconds of ours and of TensorFlow's, a row each."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    arguments = [
        tf.constant(generator.standard_normal(shape), tf.float32)
        for _ in range(2)
    ]
    layer = LocalResponseNormalization()
    layer.build(shape)

    def peer(inputs):
        return tf.nn.local_response_normalization(
            inputs, depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75
        )

    steps = [make_step(layer, jit_compile), make_step(peer, jit_compile)]
    gradients = [step(*arguments).numpy() for step in steps]
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)
    slowest = max(measure(step, arguments, calls=3) for step in steps)
    calls = int(SECONDS_PER_TIMING / slowest) + 1
    return np.transpose(
        [
            [measure(step, arguments, calls) for step in steps]
            for _ in range(REPETITIONS)
        ]
    )


def main():
    if keras.backend.backend() != "tensorflow":
        sys.exit("This benchmark needs the backend tensorflow.")
    print("Forward and backward, ms: median (first to third quartile)")
    print(f"{'shape':18} {'XLA':4} {'ours':23} {'tf.nn':23} ratio")
    for jit_compile in (False, True):
        for shape in SHAPES:
            seconds = compare(shape, jit_compile)
            quartiles = 1000 * np.quantile(seconds, [0.25, 0.5, 0.75], axis=1)
            columns = [
                f"{median:.3f} ({low:.3f} to {high:.3f})"
                for low, median, high in quartiles.T
            ]
            ratio = np.median(seconds[0] / seconds[1])
            print(
                f"{shape!s:18} {'yes' if jit_compile else 'no':4} "
                f"{columns[0]:23} {columns[1]:23} {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
