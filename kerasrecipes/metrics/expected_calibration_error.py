import keras
import numpy as np
from keras import ops

from kerasrecipes.checks import check_integer, invalid_argument


@keras.saving.register_keras_serializable(package="kerasrecipes")
class ExpectedCalibrationError(keras.metrics.Metric):
    r"""How far a model's confidence is from its accuracy.

    Predictions go into `bins` of equal width by their confidence. In each bin
    the mean confidence is compared with the share of hits, and the differences
    are averaged, each with the share of the examples that are in its bin:

    .. math::

        ECE = \sum_b \frac{n_b}{n} \, \Big|
        \frac{1}{n_b} \sum_{i \in b} h_i - \frac{1}{n_b} \sum_{i \in b} c_i
        \Big|

    With several columns of outputs, the confidence :math:`c` is the largest
    probability of a row, and :math:`h` is 1 where it stands at the label. With
    one column, the confidence is the probability of class 1, and :math:`h` is
    the label itself: 0 says as much as 1 does.

    A bin has its upper edge and not its lower one, except that the first one
    has both: confidences of exactly 0 and exactly 1 are counted like others.

    The sums over the bins are kept from batch to batch. So the result is that
    of all examples together, whatever the batch size, while a mean over the
    batches of a function of one batch is too large: with few examples in a
    bin, chance alone keeps hits away from confidence. For the same reason the
    error of a perfect model is above 0, the more so the more bins there are.

    Example:

    ```python
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=[ExpectedCalibrationError()],
    )
    ```

    Callbacks that monitor it need `mode="min"`: Keras cannot tell from the
    name which way is up.

    A reliability diagram needs the sums themselves, three arrays of shape
    `(bins,)`:

    ```python
    metric = ExpectedCalibrationError()
    metric.update_state(y, model.predict(x))
    examples, confidences, hits = map(ops.convert_to_numpy, metric.variables)
    ```

    A saved model that has the metric loads after `import
    kerasrecipes.metrics`.

    Args:
        bins: Positive integer, the number of bins between 0 and 1. Defaults to
            `15`.
        from_logits: Boolean, whether the outputs are logits in place of
            probabilities. Defaults to `False`.
        **kwargs: Base metric keyword arguments: `name`, by default
            `"expected_calibration_error"`, and `dtype`.

    Call arguments:
        y_true: Labels. For outputs with several columns: integers of shape
            `(batch, ...)` or `(batch, ..., 1)`, or rows of the outputs' shape,
            one-hot or the probability of each class; a hit is then what the
            label gives to the predicted class. For one column: 0, 1 or a
            probability, of shape `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: Outputs of shape `(batch, ..., classes)`, `(batch, ..., 1)`
            or `(batch,)`.
        sample_weight: Weights of shape `(batch, ...)`, or of some of these
            axes from the first on. An example of weight 2 counts as two, one
            of weight 0 not at all. Defaults to `None`, which is 1 for all.

    Raises:
        ValueError: If an argument is not as described above.

    Reference:

    - [Guo, Pleiss, Sun and Weinberger, 2017](https://arxiv.org/abs/1706.04599)
    - [Naeini, Cooper and Hauskrecht, 2015](
        https://doi.org/10.1609/aaai.v29i1.9602)
    """

    def __init__(self, bins=15, from_logits=False, **kwargs):
        bins = check_integer("bins", bins, 1, "a positive integer")
        if not isinstance(from_logits, bool):
            raise invalid_argument("from_logits", "a boolean", from_logits)
        # Keras would number the names, and with them the keys of a history.
        kwargs.setdefault("name", "expected_calibration_error")
        super().__init__(**kwargs)
        self.bins = bins
        self.from_logits = from_logits
        self.examples, self.confidences, self.hits = (
            self.add_variable((bins,), "zeros", name=name)
            for name in ("examples", "confidences", "hits")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.cast(y_true, self.dtype)
        y_pred = ops.cast(y_pred, self.dtype)
        if len(y_pred.shape) > 1 and y_pred.shape[-1] > 1:
            confidences, hits = self._read_classes(y_true, y_pred)
        else:
            confidences, hits = self._read_column(y_true, y_pred)
        weights = self._read_weights(sample_weight, confidences)
        in_bin = weights * self._find_bins(confidences)
        self.examples.assign_add(ops.sum(in_bin, 0))
        # Products and sums: a matrix product may be of lower precision.
        self.confidences.assign_add(
            ops.sum(in_bin * ops.reshape(confidences, (-1, 1)), 0)
        )
        self.hits.assign_add(ops.sum(in_bin * ops.reshape(hits, (-1, 1)), 0))

    def _read_classes(self, y_true, y_pred):
        if self.from_logits:
            y_pred = ops.softmax(y_pred)
        said = ops.argmax(y_pred, -1)
        classes = y_pred.shape[-1]
        rank = len(y_pred.shape)
        if len(y_true.shape) == rank and y_true.shape[-1] == classes:
            chosen = ops.one_hot(said, classes, dtype=self.dtype)
            hits = ops.sum(chosen * y_true, -1)
        else:
            if len(y_true.shape) == rank:
                y_true = ops.squeeze(y_true, -1)
            hits = ops.cast(y_true == ops.cast(said, self.dtype), self.dtype)
        return ops.max(y_pred, -1), hits

    def _read_column(self, y_true, y_pred):
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        if len(y_pred.shape) > 1:
            y_pred = ops.squeeze(y_pred, -1)
        return y_pred, ops.reshape(y_true, ops.shape(y_pred))

    def _read_weights(self, sample_weight, confidences):
        """Weights of shape (examples, 1)."""
        weights = 1.0 if sample_weight is None else sample_weight
        weights = ops.cast(weights, self.dtype)
        rank = len(confidences.shape)
        if len(weights.shape) == rank + 1:
            weights = ops.squeeze(weights, -1)
        for _ in range(rank - len(weights.shape)):
            weights = ops.expand_dims(weights, -1)
        weights = ops.broadcast_to(weights, ops.shape(confidences))
        return ops.reshape(weights, (-1, 1))

    def _find_bins(self, confidences):
        """One-hot rows of shape (examples, bins)."""
        # Edges by division are the floats that 0.2 or 0.3 are written as; a
        # confidence times the number of bins may be off by its last digit.
        edges = np.arange(1, self.bins) / self.bins
        edges = ops.convert_to_tensor(edges, self.dtype)
        above = ops.reshape(confidences, (-1, 1)) > edges
        index = ops.sum(ops.cast(above, "int32"), -1)
        return ops.one_hot(index, self.bins, dtype=self.dtype)

    def result(self):
        gaps = ops.sum(ops.abs(self.hits - self.confidences))
        return ops.divide_no_nan(gaps, ops.sum(self.examples))

    def get_config(self):
        config = {"bins": self.bins, "from_logits": self.from_logits}
        base_config = super().get_config()
        return {**base_config, **config}
