"""F1 over the whole validation set, at the end of every epoch."""

import math
import numbers

import keras
import numpy as np
from sklearn.metrics import f1_score

AVERAGES = (None, "binary", "micro", "macro", "weighted")


class ValidationF1(keras.callbacks.Callback):
    r"""Writes the F1 score of a validation set into the logs of each epoch.

    With the true positives, false positives and false negatives of a class,
    counted over *all* validation examples,

    .. math:: F_1 = \frac{2 TP}{2 TP + FP + FN}

    F1 is not a mean over examples, so the mean of the F1 of the batches is
    another number, which changes with the batch size. Keras 2 removed its
    batch-wise F1 for that reason. This callback predicts the whole
    validation set, once an epoch however many scores it gives, and lets
    scikit-learn count. Training is left as it was, to the last bit, unless a
    layer draws random numbers or keeps a state at inference as well.

    How predictions become labels:

    - a model with one output column: class 1 where the output is greater than
      `threshold`, else class 0;
    - several columns: the class of the greatest output (`threshold` plays no
      part);
    - several columns and multi-label `y`: every column on its own, 1 where
      it is greater than `threshold`. `y` is multi-label when it has several
      columns and some row has no 1 or several.

    A class without examples and without predictions scores 0
    (`zero_division=0`), and `"macro"` always divides by the number of the
    model's classes, so that epochs can be compared with each other.

    Put it *before* the callbacks that monitor its scores, and give those
    `mode="max"`: Keras cannot tell from the name `val_f1` which way is up,
    and `mode="auto"` is an error. Keras calls the `History` that `fit`
    returns last, so it has the scores in any order; a `History` of your own
    among the callbacks belongs after this one too.

    Example:

    ```python
    model.compile("adam", "binary_crossentropy")
    history = model.fit(
        x,
        y,
        epochs=100,
        callbacks=[
            ValidationF1((x_val, y_val)),
            keras.callbacks.EarlyStopping("val_f1", mode="max", patience=5),
        ],
    )
    print(history.history["val_f1"])
    ```

    Further scores from the same predictions:

    ```python
    ValidationF1(
        (x_val, y_val),
        average="macro",
        scores={"val_kappa": sklearn.metrics.cohen_kappa_score},
        output_scores={"val_auc": sklearn.metrics.roc_auc_score},
    )
    ```

    Args:
        validation_data: Pair `(x, y)` of arrays. `x`: what `predict` takes,
            an array, or a list or dict of arrays for several inputs. `y`:
            integers of shape `(n,)` or `(n, 1)`, one-hot rows, or multi-label
            rows of zeros and ones, of shape `(n, classes)`. For a model with
            one output column the classes are 0 and 1.
        average: `"binary"` (the F1 of class 1), `"macro"` (the mean over the
            classes), `"weighted"` (the mean weighted by the examples of each
            class), `"micro"` (counts summed over the classes; the accuracy,
            unless `y` is multi-label) or `None`: `"binary"` for two classes,
            `"macro"` for more and for multi-label `y`. Defaults to `None`.
        threshold: Float, in the unit of the model's outputs: 0.5 for a
            sigmoid, 0.0 for a model that ends in logits. Defaults to `0.5`.
        scores: Optional dict, name in the logs to a function `(y_true,
            y_pred)` of labels that returns one number. Both arguments are
            integers, of shape `(n,)`, or `(n, classes)` for multi-label `y`.
        output_scores: Optional dict as `scores`, whose functions get the
            model's outputs in place of the predicted labels, for scores such
            as ROC AUC: shape `(n,)` for one column, else `(n, classes)`.
        batch_size: Integer or `None`, as in `predict`. Defaults to `None`.
        name: String, the key of F1 in the logs. Defaults to `"val_f1"`.

    Raises:
        ValueError: From the constructor, if an argument is invalid. From
            `fit`, if the labels do not suit the model's output (before the
            first epoch where the model knows its output shape, else after
            it), if a prediction is NaN, if a score is not one number, or if
            the logs hold a score of that name already.

    Reference:
        - [scikit-learn, Precision, recall and F-measures](
          https://scikit-learn.org/stable/modules/model_evaluation.html)
        - [Keras issue 5794, why batch-wise F1 was removed](
          https://github.com/keras-team/keras/issues/5794)
    """

    def __init__(
        self,
        validation_data,
        average=None,
        threshold=0.5,
        scores=None,
        output_scores=None,
        batch_size=None,
        name="val_f1",
    ):
        super().__init__()
        self.x, y = _check_pair(validation_data)
        self.y_true, self.label_columns = _read_labels(y)
        self.average = _check_average(average, self.y_true, self.label_columns)
        self.threshold = _check_threshold(threshold)
        self.name = _check_name("name", name)
        self.scores = _check_scores("scores", scores, {name})
        self.output_scores = _check_scores(
            "output_scores", output_scores, {name, *self.scores}
        )
        self.batch_size = _check_batch_size(batch_size)

    @property
    def multi_label(self):
        """Whether an example may belong to several classes, or to none."""
        return self.y_true.ndim == 2

    def on_train_begin(self, logs=None):
        # Functional and Sequential models know their output shape: better to
        # refuse wrong labels now than after an epoch.
        shape = getattr(self.model, "output_shape", None)
        if isinstance(shape, (list, dict)):
            _check_single_output(shape)
        elif isinstance(shape, tuple) and len(shape) == 2 and shape[1]:
            self._count_classes(shape[1])

    def on_epoch_end(self, epoch, logs=None):
        # Callbacks share one dict of logs: what is written here is seen by
        # those that come after.
        logs = {} if logs is None else logs
        self._check_names_are_free(logs)
        logs.update(self.evaluate())

    def evaluate(self):
        """Scores the current weights of the model that was trained.

        Use it after `fit` when the best weights have been restored.

        Returns:
            Dict of floats: F1 under `name`, then the further scores.
        """
        if self.model is None:
            raise ValueError(
                "ValidationF1 has no model yet: expected `evaluate` to be "
                "called after `fit` or `set_model`. Received: model=None"
            )
        outputs = self._read_outputs()
        classes = self._count_classes(outputs.shape[1])
        y_pred = self._to_labels(outputs)
        if outputs.shape[1] == 1:
            outputs = outputs[:, 0]
        values = {self.name: float(self._f1(y_pred, classes))}
        for argument, predictions in (
            ("scores", y_pred),
            ("output_scores", outputs),
        ):
            for name, function in getattr(self, argument).items():
                value = function(self.y_true, predictions)
                values[name] = _to_float(argument, name, value)
        return values

    def _check_names_are_free(self, logs):
        for argument, names in (
            ("name", [self.name]),
            ("scores", self.scores),
            ("output_scores", self.output_scores),
        ):
            for name in names:
                if name in logs:
                    raise _invalid(
                        argument,
                        "a name that no metric or other callback uses",
                        f"{name!r}, but the logs hold {', '.join(logs)}",
                    )

    def _predict(self):
        """Returns the outputs for the validation data, one for each row."""
        if keras.config.backend() != "torch":
            outputs = self.model.predict(
                self.x, batch_size=self.batch_size, verbose=0
            )
            return np.asarray(_check_single_output(outputs))
        # `predict` opens a DataLoader, which draws from torch's global
        # generator, and the next epoch of `fit` would shuffle in another way.
        return np.concatenate(
            [
                _check_single_output(self.model.predict_on_batch(batch))
                for batch in _split(self.x, len(self.y_true), self.batch_size)
            ]
        )

    def _read_outputs(self):
        """Returns the outputs as floats of shape (n, columns)."""
        outputs = self._predict()
        if outputs.dtype.itemsize < 4:
            # scikit-learn knows no bfloat16, which mixed precision returns.
            outputs = outputs.astype("float32")
        if outputs.ndim == 1:
            outputs = outputs[:, np.newaxis]
        if outputs.ndim != 2 or len(outputs) != len(self.y_true):
            raise _invalid(
                "validation_data",
                f"predictions of shape ({len(self.y_true)}, columns) for it",
                f"predictions of shape {outputs.shape}",
            )
        missing = np.isnan(outputs).any(axis=1).sum()
        if missing:
            raise _invalid(
                "validation_data",
                "numbers as predictions for it",
                f"NaN in {missing} of {len(outputs)} rows; has the training "
                "diverged?",
            )
        return outputs

    def _count_classes(self, columns):
        """Returns the number of classes, after a check against the labels."""
        classes = columns if self.multi_label else max(columns, 2)
        model = f"a model with {_columns(columns, 'output ')}"
        if self.label_columns not in (None, classes):
            raise _invalid(
                "validation_data",
                f"a y of {_columns(classes)} for {model}",
                f"a y of {_columns(self.label_columns)}",
            )
        if self.y_true.max() >= classes:
            raise _invalid(
                "validation_data",
                f"labels from 0 to {classes - 1} for {model}",
                f"label {self.y_true.max()}",
            )
        if self.average == "binary" and classes > 2:
            raise _invalid_average(model)
        return classes

    def _to_labels(self, outputs):
        if self.multi_label:
            return (outputs > self.threshold).astype(int)
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > self.threshold).astype(int)
        return outputs.argmax(axis=1)

    def _f1(self, y_pred, classes):
        average = self.average
        if average is None:
            two = classes == 2 and not self.multi_label
            average = "binary" if two else "macro"
        return f1_score(
            self.y_true,
            y_pred,
            # All classes of the model, or an epoch that misses one would be
            # averaged over fewer.
            labels=None if average == "binary" else np.arange(classes),
            average=average,
            zero_division=0,
        )


def _invalid(argument, expected, received):
    return ValueError(
        f"Invalid value for argument `{argument}`: expected {expected}. "
        f"Received: {received}"
    )


def _invalid_average(received):
    return _invalid(
        "average",
        "None, 'micro', 'macro' or 'weighted' for more than two classes or "
        "multi-label y",
        f"average='binary' with {received}",
    )


def _check_pair(validation_data):
    """Returns (x, y) if both have the same, positive number of examples."""
    if (
        not isinstance(validation_data, (tuple, list))
        or len(validation_data) != 2
    ):
        received = type(validation_data).__name__
        if isinstance(validation_data, (tuple, list)):
            received += f" of length {len(validation_data)}"
        raise _invalid("validation_data", "a pair (x, y) of arrays", received)
    x, y = validation_data
    y = _to_numpy(y)
    # A list or a dict of arrays holds several inputs, as in `predict`.
    shapes = [getattr(leaf, "shape", ()) for leaf in keras.tree.flatten(x)]
    if not shapes or not all(len(shape) for shape in shapes) or not y.ndim:
        raise _invalid(
            "validation_data",
            "arrays with examples along the first axis",
            f"x={type(x).__name__}, y={type(validation_data[1]).__name__}",
        )
    lengths = [int(shape[0]) for shape in shapes]
    if set(lengths) != {len(y)} or not len(y):
        raise _invalid(
            "validation_data",
            "x and y with the same number of examples, at least one",
            f"{', '.join(map(str, lengths))} in x and {len(y)} in y",
        )
    return x, y


def _columns(count, kind=""):
    return f"{count} {kind}column{'' if count == 1 else 's'}"


def _split(x, examples, batch_size):
    """Yields batches of `x`, an array or a structure of arrays."""
    size = 32 if batch_size is None else batch_size  # 32: as in `predict`
    for start in range(0, examples, size):
        batch = slice(start, start + size)
        yield keras.tree.map_structure(lambda leaf, b=batch: leaf[b], x)


def _to_numpy(array):
    # np.asarray cannot read a tensor on an accelerator.
    if keras.ops.is_tensor(array):
        return keras.ops.convert_to_numpy(array)
    return np.asarray(array)


def _read_labels(y):
    """Returns the labels and the number of columns they came in.

    The labels are integers of shape (n,), or zeros and ones of shape
    (n, classes) if `y` is multi-label. The number of columns is None for
    integers, whose classes the model's output counts.
    """
    if y.dtype.kind not in "biuf":
        raise _invalid(
            "validation_data", "a y of numbers", f"a y of dtype {y.dtype}"
        )
    y = y.astype("float64")
    wrong = y[~(np.isfinite(y) & (y >= 0) & (y == np.round(y)))]
    if wrong.size:
        raise _invalid(
            "validation_data", "labels 0, 1, 2, ... in y", f"label {wrong[0]}"
        )
    if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
        return y.reshape(-1).astype(int), None
    if y.ndim != 2 or y.shape[1] == 0:
        raise _invalid(
            "validation_data",
            "a y of shape (n,), (n, 1) or (n, classes)",
            f"a y of shape {y.shape}",
        )
    if y.max() > 1:
        raise _invalid(
            "validation_data",
            "zeros and ones in a y with several columns",
            f"label {int(y.max())}",
        )
    if np.all(y.sum(axis=1) == 1):
        return y.argmax(axis=1), y.shape[1]
    return y.astype(int), y.shape[1]


def _check_average(average, y_true, columns):
    if average not in AVERAGES:
        raise _invalid(
            "average",
            f"one of {', '.join(map(repr, AVERAGES))}",
            f"average={average!r}",
        )
    if average == "binary" and y_true.ndim == 2:
        raise _invalid_average("multi-label y")
    if average == "binary" and columns is not None and columns > 2:
        raise _invalid_average(f"a y of {columns} columns")
    if average == "binary" and y_true.max() > 1:
        raise _invalid_average(f"label {y_true.max()}")
    return average


def _check_threshold(threshold):
    if (
        not isinstance(threshold, numbers.Real)
        or isinstance(threshold, bool)
        or not math.isfinite(threshold)
    ):
        raise _invalid(
            "threshold", "a finite number", f"threshold={threshold!r}"
        )
    # A float of Python leaves float32 outputs as they are in a comparison.
    return float(threshold)


def _check_batch_size(batch_size):
    if batch_size is None:
        return None
    if (
        not isinstance(batch_size, numbers.Integral)
        or isinstance(batch_size, bool)
        or batch_size < 1
    ):
        raise _invalid(
            "batch_size",
            "a positive integer or None",
            f"batch_size={batch_size!r}",
        )
    return int(batch_size)


def _check_name(argument, name):
    if not isinstance(name, str) or not name:
        raise _invalid(argument, "a name, a string", f"{name!r}")
    return name


def _check_scores(argument, scores, taken):
    if scores is None:
        return {}
    if not isinstance(scores, dict):
        raise _invalid(
            argument, "a dict of functions", f"{type(scores).__name__}"
        )
    for name, function in scores.items():
        _check_name(argument, name)
        if name in taken:
            raise _invalid(
                argument, "names that differ from each other", f"{name!r} twice"
            )
        # A Keras metric can be called too, but adds up over the epochs.
        if not callable(function) or isinstance(function, keras.Metric):
            raise _invalid(
                argument,
                "functions of two arrays",
                f"{type(function).__name__} for {name!r}",
            )
    return dict(scores)


def _check_single_output(outputs):
    """Returns the only array (or shape) in what a model returns."""
    if not isinstance(outputs, (list, tuple, dict)):
        return outputs
    values = list(outputs.values() if isinstance(outputs, dict) else outputs)
    if len(values) != 1:
        raise ValueError(
            "ValidationF1 scores one output: expected a model with a single "
            f"output. Received: {len(values)} outputs"
        )
    return values[0]


def _to_float(argument, name, value):
    if np.ndim(value) or value is None:
        received = "None" if value is None else f"shape {np.shape(value)}"
        raise _invalid(
            argument, f"one number from the function for {name!r}", received
        )
    return float(value)
