"""Temperature scaling: one number that mends a classifier's confidence."""

import numpy as np

from kerasrecipes.checks import invalid_input

COLDEST, HOTTEST = 0.01, 100.0
# The golden ratio's part of an interval, and how often it is taken: what is
# left of the logarithm's interval is below 1e-10.
PART, STEPS = (np.sqrt(5) - 1) / 2, 54


def find_temperature(logits, y):
    r"""The temperature at which the log loss of labels is least.

    Divided by a temperature :math:`T` above 1, logits say what they said, less
    sure of themselves: the class of the largest logit stays the same. With the
    logits :math:`z_i` of validation examples that were not trained on,

    .. math:: T = \arg\min_T \, -\frac 1 n \sum_i \log
        \frac{\exp(z_{i y_i} / T)}{\sum_c \exp(z_{ic} / T)}

    As a function of :math:`\log T` that has one minimum, which is found by
    golden section: no step size, no random numbers, and the same answer every
    time. It is looked for between 0.01 and 100. An end of that is the answer
    where the labels always, or never more than by chance, have the largest
    logit.

    Example:

    ```python
    temperature = find_temperature(model.predict(x_val), y_val)
    probabilities = keras.ops.softmax(model.predict(x) / temperature)
    ```

    Args:
        logits: array of shape `(examples, classes)`: what comes before the
            softmax. For a sigmoid's logit `z` of shape `(examples,)` it is
            `np.stack([0 * z, z], axis=1)`.
        y: integers of shape `(examples,)`, the labels.

    Returns:
        Float, the temperature.

    Raises:
        ValueError: if an argument is no array of numbers, the shapes do not
            fit, a logit is not finite, or a label is no class.

    Reference:
        - [Guo, Pleiss, Sun and Weinberger, 2017](
          https://arxiv.org/abs/1706.04599)
    """
    logits, y = _as_array("logits", logits, "float64"), _as_array("y", y)
    if logits.ndim != 2 or not logits.size:
        raise invalid_input(
            "logits", "shape (examples, classes)", f"shape {logits.shape}"
        )
    if not np.isfinite(logits).all():
        raise invalid_input("logits", "finite numbers", "NaN or infinity")
    if y.shape != logits.shape[:1]:
        expected = f"a label for each of {len(logits)} examples"
        raise invalid_input("y", expected, f"shape {y.shape}")
    classes = logits.shape[1]
    expected = f"integers from 0 to {classes - 1}"
    if y.dtype.kind not in "iu":
        raise invalid_input("y", expected, f"type {y.dtype}")
    if y.min() < 0 or y.max() >= classes:
        raise invalid_input("y", expected, f"{y.min()} to {y.max()}")

    label = np.take_along_axis(logits, y[:, None], 1)
    off = logits - label  # the label's own is 0

    def log_loss(log_temperature):
        scaled = off / np.exp(log_temperature)
        return np.mean(np.logaddexp.reduce(scaled, axis=1))

    low, high = np.log([COLDEST, HOTTEST])
    for _ in range(STEPS):
        step = PART * (high - low)
        if log_loss(high - step) < log_loss(low + step):
            high = low + step
        else:
            low = high - step
    return float(np.exp((low + high) / 2))


def _as_array(name, values, kind=None):
    try:
        return np.asarray(values, kind)
    except (TypeError, ValueError):
        received = type(values).__name__
        raise invalid_input(name, "an array of numbers", received) from None
