"""
F1 of a validation set, and the mean of batches that is not it
==============================================================

With few positives accuracy says little: whoever never says "yes" is right nine
times in ten. F1 counts the errors on the positives alone, from the true
positives, false positives and false negatives of the whole set:

.. math::

   F_1 = \\frac{2 TP}{2 TP + FP + FN} = \\frac{2 p r}{p + r}

A function given to ``compile(metrics=...)`` sees one batch at a time, and Keras
reports the mean over the batches. The mean of ratios is not the ratio of sums:
a batch without positives counts as zero, however well it was classified. Keras
removed such an F1 for that reason; the notes still have it. Their callback, at
the end of an epoch, is the right place, but it reads a ``validation_data`` that
Keras no longer sets. ``ValidationF1`` is given the data, predicts them once,
and writes the score where EarlyStopping finds it.

:question: Why is the F1 that Keras prints not the one scikit-learn gives me?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning, Callbacks;
    Everything You Always Wanted to Know About Deep Learning,
    Performance Metrics
:papers: Chollet 2017, https://github.com/keras-team/keras/issues/5794
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import functools
import time
import warnings

import keras
import numpy as np
from keras import layers, ops
from sklearn.metrics import f1_score, precision_score, recall_score

from kerasrecipes.callbacks import ValidationF1
from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "whole set": {"callback": True},
    "mean of batches": {"callback": False},
}
CONDITIONS = {
    "1 in 10, batches of 8": {"positives": (8,), "batch_size": 8},
    "1 in 10, batches of 32": {"positives": (8,), "batch_size": 32},
    "1 in 10, batches of 128": {"positives": (8,), "batch_size": 128},
    "1 in 2, batches of 32": {"positives": (0, 2, 4, 6, 8), "batch_size": 32},
}
PASSES = {
    "ValidationF1": {"one_pass": True},
    "predict for each score": {"one_pass": False},
}
QUICK = {
    "epochs": 2,
    "seeds": 1,
    "conditions": ["1 in 10, batches of 8"],
}
FULL = {"epochs": 20, "seeds": 10}

# %%
# The notes' F1
# -------------
# Their function, with its parts. It is right for the arrays that it is given;
# it is given a batch.


def batch_recall(y_true, y_pred):
    """Recall of one batch, in the notes' form; both of shape (batch, 1)."""
    hits = ops.sum(ops.round(ops.clip(y_true * y_pred, 0, 1)))
    positives = ops.sum(ops.round(ops.clip(y_true, 0, 1)))
    return hits / (positives + keras.config.epsilon())


def batch_f1(y_true, y_pred):
    """F1 of one batch: precision is recall with the roles exchanged."""
    recall, precision = (
        batch_recall(y_true, y_pred),
        batch_recall(y_pred, y_true),
    )
    return (
        2 * precision * recall / (precision + recall + keras.config.epsilon())
    )


# %%
# One trial
# ---------
# Put your own data in the first two lines: x of shape (samples, features), y
# of shape (samples, 1) with 1 for a positive. Both variants train the same
# network from the same seed; only the counting differs.


def train(
    seed: int, epochs: int, positives: tuple, batch_size: int, callback: bool
) -> dict:
    """Trains one network; returns its F1 by epoch, and how wrong that is."""
    (x, y), (x_test, y_test) = load_digits(400, fold=seed, flat=True)
    y, y_test = (np.isin(t, positives)[:, None] * 1.0 for t in (y, y_test))
    keras.utils.set_random_seed(seed)
    model = build_model(x.shape[1])
    model.compile(
        keras.optimizers.Adam(3e-3),
        "binary_crossentropy",
        metrics=[] if callback else [batch_f1],
    )
    history = model.fit(
        x,
        y,
        epochs=epochs,
        validation_data=(x_test, y_test),
        validation_batch_size=batch_size,
        callbacks=[ValidationF1((x_test, y_test))] if callback else [],
        verbose=0,
    ).history
    curve = history["val_f1" if callback else "val_batch_f1"]
    guesses = model.predict(x_test, verbose=0) > 0.5
    truth = f1_score(y_test, guesses, zero_division=0)
    return {
        "f1": curve[-1],
        "error": abs(curve[-1] - truth),
        "curves": {"f1": curve},
    }


def build_model(features: int) -> keras.Model:
    """Classifier with one sigmoid column."""
    return keras.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


# %%
# What must hold exactly
# ----------------------
# A model that hands its input on lets us choose the predictions. Four labels
# in two batches make the smallest counterexample: the first batch has no
# positive and counts as zero, the second finds one of two.


def parrot(classes: int = 1) -> keras.Model:
    """A model whose prediction is its input."""
    model = keras.Sequential([layers.Input((classes,)), layers.Identity()])
    model.compile(loss="mse")
    return model


def validation_f1(y_true, y_pred, **arguments) -> float:
    """What ValidationF1 says of given labels and predictions."""
    callback = ValidationF1((y_pred, y_true), **arguments)
    callback.set_model(parrot(y_pred.shape[1]))
    return callback.evaluate()["val_f1"]


def by_hand(y_true, y_pred, average: str) -> float:
    """F1 of integer labels from the counts, in every average."""
    classes = np.arange(y_pred.shape[1])
    true = y_true[:, None] == classes
    said = y_pred.argmax(1)[:, None] == classes
    hits = (true & said).sum(0)
    total = true.sum(0) + said.sum(0)  # 2 TP + FP + FN of every class
    if average == "micro":
        return 2 * hits.sum() / total.sum()
    weights = true.sum(0) if average == "weighted" else None
    return np.average(2 * hits / np.maximum(total, 1), weights=weights)


def measure(seed: int) -> dict:
    """The counterexample, the callback against counts, and three pitfalls."""
    y_true = np.array([[0.0], [0.0], [1.0], [1.0]])
    y_pred = np.array([[0.0], [0.0], [1.0], [0.0]])
    model = parrot()
    model.compile(loss="mse", metrics=[batch_recall])
    batches = model.evaluate(
        y_pred, y_true, batch_size=2, verbose=0, return_dict=True
    )

    # Class 4 of five has no example, and class 3 is never predicted.
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, 101)
    outputs = generator.random((101, 5))
    outputs[:, 3] = 0.0
    off = [
        abs(
            validation_f1(labels, outputs, average=average)
            - by_hand(labels, outputs, average)
        )
        for average in ("micro", "macro", "weighted")
    ]

    # Keras' own F1Score takes the largest of one column: all are positive.
    by_keras = {}
    for threshold in (None, 0.5):
        metric = keras.metrics.F1Score(threshold=threshold)
        metric.update_state(y_true, y_pred)
        by_keras[threshold] = float(metric.result()[0])
    return {
        "recall, mean of batches": batches["batch_recall"],
        "off the counts": max(off),
        "no positive predicted": validation_f1(y_true, y_pred * 0),
        "Keras' F1Score, off": by_keras[0.5] - validation_f1(y_true, y_pred),
        "Keras' F1Score, no threshold": by_keras[None],
        "epochs, callback first": epochs_run(first=True),
        "epochs, callback last": epochs_run(first=False),
        "epochs, mode auto": epochs_run(first=True, mode="auto"),
    }


# %%
# Who sees the score
# ------------------
# EarlyStopping sees what stands before it in the list of callbacks, and has to
# be told which way is up: it cannot know that from the name ``val_f1``.


def epochs_run(*, first: bool, mode: str = "max") -> int:
    """Epochs of five that a run takes whose F1 never improves; 0: refused."""
    y = np.array([[0.0], [1.0]])
    score = ValidationF1((y, y))
    stop = keras.callbacks.EarlyStopping("val_f1", mode=mode, patience=1)
    callbacks = [score, stop] if first else [stop, score]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "val_f1 which is not available"
        try:
            run = parrot().fit(y, y, epochs=5, callbacks=callbacks, verbose=0)
        except ValueError:
            return 0
    return len(run.epoch)


# %%
# The cost
# --------
# The notes call ``predict`` in a callback for one score; a second score in the
# same style predicts again. Rows are counted as they are predicted, and the
# scores' time is taken without the training.


class CountingModel(keras.Sequential):
    """A model that counts the rows which it predicts."""

    rows = 0

    def predict(self, x, **arguments):
        self.rows += len(x)
        return super().predict(x, **arguments)

    def predict_on_batch(self, x):
        self.rows += len(x)
        return super().predict_on_batch(x)


def time_scores(seed: int, one_pass: bool) -> dict:
    """Passes over the validation data and milliseconds for three scores."""
    (x, y), _ = load_digits(fold=seed, flat=True)
    y = np.isin(y, (8,))[:, None] * 1.0
    keras.utils.set_random_seed(seed)
    model = CountingModel(build_model(x.shape[1]).layers)
    model.compile(loss="binary_crossentropy")
    model.fit(x, y, verbose=0)  # weights that say "yes" now and then
    precision = functools.partial(precision_score, zero_division=0)
    more = {"val_precision": precision, "val_recall": recall_score}
    callback = ValidationF1((x, y), scores=more)
    callback.set_model(model)

    def predict_for_each():
        for score in (f1_score, *more.values()):
            score(y, model.predict(x, verbose=0) > 0.5)

    count = callback.evaluate if one_pass else predict_for_each
    count()  # compiles
    model.rows, seconds = 0, []
    for _ in range(5):
        start = time.perf_counter()
        count()
        seconds.append(time.perf_counter() - start)
    passes = model.rows / len(x) / 5
    return {"passes": passes, "milliseconds": 1000 * min(seconds)}


# %%
# The experiment
# --------------


def main(epochs: Count = 15, seeds: Count = 3) -> Report:
    """Counts the same predictions in two ways, seed by seed.

    Args:
        epochs: passes over the 400 training digits.
        seeds: networks of each kind.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    costs = run_trials(time_scores, PASSES, seeds=seeds, timing=True)
    notes = (
        "Everything You Always Wanted to Know About Deep Learning, Callbacks"
    )
    small, medium, large, even = CONDITIONS
    whole, batches = VARIANTS
    claims = {
        "The counterexample: recall 0.5 is reported as 0.25": (
            # The notes' epsilon takes a ten-millionth off.
            facts.agrees("recall, mean of batches", 0.25, within=1e-6)
        ),
        "ValidationF1 equals the counts in every average": (
            facts.agrees("off the counts", 0.0, within=1e-12)
        ),
        "Without any positive prediction F1 is 0, not an error": (
            facts.agrees("no positive predicted", 0.0, within=0.0)
        ),
        "keras.metrics.F1Score agrees, given a threshold": (
            facts.agrees("Keras' F1Score, off", 0.0, within=1e-6)
        ),
        "F1Score without a threshold calls one column all positive": (
            facts.agrees("Keras' F1Score, no threshold", 2 / 3, within=1e-6)
        ),
        "Before EarlyStopping the callback stops a hopeless run": (
            facts.agrees("epochs, callback first", 2, within=0.0)
        ),
        "Behind EarlyStopping val_f1 is not seen, and all epochs run": (
            facts.agrees("epochs, callback last", 5, within=0.0)
        ),
        "Without mode='max' EarlyStopping refuses val_f1": (
            facts.agrees("epochs, mode auto", 0, within=0.0)
        ),
        "ValidationF1 has no error at any batch size": (
            trials.agrees("error", 0.0, whole, within=1e-12)
        ),
        "Three scores take one pass over the validation data": (
            costs.agrees("passes", 1, "ValidationF1", within=0.0)
        ),
        "The notes' F1 is too low for a rare class in batches of 8": (
            trials.is_lower("f1", batches, than=whole, at=small)
        ),
        "In batches of 32 the notes' F1 is off by more than 0.01": (
            trials.is_above("error", 0.01, batches, at=medium)
        ),
        "In batches of 128 the notes' F1 is right within 0.01": (
            trials.is_below("error", 0.01, batches, at=large)
        ),
        "With half the examples positive it is right within 0.01": (
            trials.is_below("error", 0.01, batches, at=even)
        ),
        "One pass is faster than predicting for each score": (
            costs.is_lower(
                "milliseconds", "ValidationF1", than="predict for each score"
            )
        ),
    }
    return Report(
        trials.table("f1", "error"),
        costs.table("passes", "milliseconds"),
        plot_curves(trials, "f1", ylabel="F1 on the validation digits"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Take ``ValidationF1`` for what scikit-learn can count and Keras cannot, and
# ``keras.metrics.F1Score(threshold=0.5)`` where F1 of the whole epoch is all
# you need: it adds up counts over the batches, which is right. Never average
# a ratio over batches. Two things to try: sort the validation set by class,
# and watch the mean of batches fall apart; and stop on ``val_f1`` in place of
# ``val_loss``, which need not be best in the same epoch.

if __name__ == "__main__":
    cook(main)
