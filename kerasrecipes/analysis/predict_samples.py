"""Many passes of a model that is random in `predict`, in one call."""

import warnings

import keras
import numpy as np

from kerasrecipes.checks import check_integer, invalid_input


def predict_samples(model, x, samples=100, batch_size=1024):
    r"""Predicts every example many times, each time with new random numbers.

    For a model with layers that are random in `predict`, such as
    `kerasrecipes.layers.MonteCarloDropout`. The passes are the rows of one
    large batch: an example is repeated `samples` times, and as such a layer
    draws a mask for each row, the repetitions have masks of their own. So a few
    large batches are the same as `samples` calls with these masks, without the
    cost of starting that often.

    The repetitions are never in memory together. Each call of
    `predict_on_batch` gets `batch_size` rows, made out of `x`: beside `x` and
    the model that is `batch_size` inputs and their activations, and the
    result, `samples * examples` outputs. Where the result is too large, call
    it for parts of `x`.

    Example:

    ```python
    probabilities = predict_samples(model, x)  # (100, examples, classes)
    mean = probabilities.mean(0)
    entropy = -np.sum(mean * np.log(mean + 1e-12), axis=-1)
    ```

    What must hold for the rows to be separate passes:

    - A layer draws random numbers for each row. With `noise_shape=(1, ...)`,
      one mask for the whole batch, it does not.
    - Rows do not see each other in `predict`. Keras' layers, batch
      normalization among them, keep to that; stateful layers do not.

    Args:
        model: `keras.Model` with fixed numbers of examples neither in its
            inputs nor in its outputs.
        x: what `predict` takes as arrays: an array with the examples along
            the first axis, or a list, tuple or dict of such arrays.
        samples: positive integer, passes of each example. Defaults to `100`.
        batch_size: positive integer, rows of one step. A large one is faster
            until the activations fill the memory. Defaults to `1024`.

    Returns:
        Array of shape `(samples, examples, ...)`, or a list or dict of such
        arrays for a model with several outputs.

    Raises:
        ValueError: if `samples` or `batch_size` is no positive integer, or if
            `x` has no examples, or arrays of different lengths.

    Warns:
        UserWarning: if all passes are the same, as they are where every
            random layer is silent in `predict`.

    Reference:
        - [Gal and Ghahramani, 2016](https://arxiv.org/abs/1506.02142)
    """
    positive = "a positive integer"
    samples = check_integer("samples", samples, 1, positive)
    batch_size = check_integer("batch_size", batch_size, 1, positive)
    x = keras.tree.map_structure(np.asarray, x)
    shapes = [array.shape for array in keras.tree.flatten(x)]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or lengths == {0}:
        raise invalid_input(
            "x",
            "arrays with the same number of examples along the first axis, at "
            "least one",
            f"shapes {shapes}",
        )
    (examples,) = lengths
    rows = np.tile(np.arange(examples), samples)
    batches = [
        model.predict_on_batch(
            keras.tree.map_structure(lambda array, some=some: array[some], x)
        )
        for some in np.split(rows, range(batch_size, len(rows), batch_size))
    ]
    outputs = keras.tree.map_structure(
        lambda *parts: np.concatenate(parts).reshape(
            (samples, examples, *parts[0].shape[1:])
        ),
        *batches,
    )
    if samples > 1 and not any(
        (array[1:] != array[0]).any() for array in keras.tree.flatten(outputs)
    ):
        warnings.warn(
            "All passes are the same: no layer of the model is random in "
            "`predict`. `Dropout` is silent there, also where it was called "
            "with `training=True`; `MonteCarloDropout` is not.",
            stacklevel=2,
        )
    return outputs
