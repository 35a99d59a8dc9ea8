"""
Class weights: what they buy and what they cost
===============================================

With one positive in ten, a network does well by saying "no". Class weights
make an error on a rare class dearer: each example's loss is multiplied by the
weight of its class. scikit-learn's balanced weights, for :math:`n` examples in
:math:`k` classes of :math:`n_c` examples each, are

.. math::

   w_c = \\frac{n}{k \\, n_c}, \\qquad \\text{so that} \\quad
   n_c w_c = \\frac{n}{k} \\quad \\text{for every class}

Every class weighs the same in all, and the mean weight is 1. The price: such a
network speaks of a world in which the classes are equally frequent. Its odds
are too high by :math:`w_1 / w_0`; who needs probabilities takes that out again:

.. math::

   p = \\frac{w_0 \\, \\tilde p}{w_0 \\, \\tilde p + w_1 (1 - \\tilde p)}

:question: My classes are imbalanced. What do class weights do to my network?
:level: beginner
:notes: Deep Learning Models, Imbalanced classes? Use class_weights;
    Deep Learning Models, SKlearn formula for balanced class weights and why
    it works
:papers: King and Zeng 2001, https://doi.org/10.1093/oxfordjournals.pan.a004868;
    Byrd and Lipton 2019, https://arxiv.org/abs/1812.03372
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import functools

import keras
import numpy as np
from keras import layers
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.utils.class_weight import compute_class_weight

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {"none": {"balanced": False}, "balanced": {"balanced": True}}
CONDITIONS = {
    "logistic regression": {"units": 0},
    "hidden layer": {"units": 64},
}
QUICK = {"epochs": 2, "seeds": 1, "conditions": ["logistic regression"]}
THRESHOLDS = np.arange(1, 100) / 100

# %%
# The network
# -----------
# The digit 8 against the rest. A logistic regression cannot get all of them
# right; with a hidden layer nearly all are.


def build_model(units: int = 0) -> keras.Model:
    """Probability that an image of 64 pixels is an 8, shape (batch, 1)."""
    hidden = [layers.Dense(units, activation="relu")] if units else []
    output = layers.Dense(1, activation="sigmoid")
    return keras.Sequential([layers.Input((64,)), *hidden, output])


# %%
# One trial
# ---------
# Put your own data in the first two lines: x of shape (samples, features), y
# with 1 for the rare class.


def train(seed: int, epochs: int, units: int, balanced: bool) -> dict:
    """Trains with class weights or without; returns what became of it."""
    (x, y), (x_test, y_test) = load_digits(1000, fold=seed, flat=True)
    y, y_test = (y == 8) * 1, (y_test == 8) * 1
    weights = balanced_weights(y) if balanced else {0: 1.0, 1: 1.0}
    keras.utils.set_random_seed(seed)
    model = build_model(units)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x, y, epochs=epochs, class_weight=weights, verbose=0)
    p = model.predict(x_test, verbose=0)[:, 0].astype("float64")
    return {
        "recall": recall_score(y_test, p > 0.5),
        "accuracy": np.mean((p > 0.5) == y_test),
        "ROC AUC": roc_auc_score(y_test, p),
        "Brier": np.mean((p - y_test) ** 2),
        "Brier, corrected": np.mean((correct(p, weights) - y_test) ** 2),
        "curves": {
            "8s": [np.mean(p[y_test == 1] > t) for t in THRESHOLDS],
            "others": [np.mean(p[y_test == 0] > t) for t in THRESHOLDS],
        },
    }


def balanced_weights(y) -> dict:
    """scikit-learn's balanced weights, in the form that Keras wants."""
    classes = np.unique(y)
    weights = compute_class_weight("balanced", classes=classes, y=y).tolist()
    return dict(zip(classes.tolist(), weights, strict=True))


def correct(p, weights: dict):
    """The probability of class 1, without what the weights did to its odds."""
    return weights[0] * p / (weights[0] * p + weights[1] * (1 - p))


# %%
# What must hold exactly
# ----------------------
# Small models take a step or two, too few to be worth compiling, by plain SGD
# with rate 1. They begin with weights of zero and say 1/2 to all, a loss of
# log 2. Class 1 weighs 3: its six examples and eighteen others act like 36.


def step(x, y, loss="binary_crossentropy", stream=False, **arguments):
    """Losses of full-batch steps, then the weights that these lead to."""
    inputs = layers.Input(x.shape[1:])
    heads = {
        name: layers.Dense(1, "sigmoid", kernel_initializer="zeros")(inputs)
        for name in (y if isinstance(y, dict) else ["y"])
    }
    model = keras.Model(inputs, heads if isinstance(y, dict) else heads["y"])
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    data = [(batch for batch in [(x, y)])] if stream else [x, y]
    whole = {"batch_size": len(x), "shuffle": False, "verbose": 0}
    history = model.fit(*data, **whole, **arguments).history
    losses = history["loss"] + history.get("val_loss", [])
    return np.concatenate([losses, *map(np.ravel, model.get_weights())])


def measure(seed: int) -> dict:
    """Class weights against formulas, copies, sample weights; `val_loss`."""
    counts = np.array([1, 2, 6, 15])
    of_four = [*balanced_weights(np.repeat(range(4), counts)).values()]
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat([0, 1], [18, 6]))
    x = generator.normal(size=(24, 3)).astype("float32")
    weights, rare = {0: 1.0, 1: 3.0}, balanced_weights(y)[1]
    each = weigh(y, weights)
    fit = functools.partial(step, x, y, class_weight=weights)
    right = fit()
    by_sample = step(x, y, sample_weight=each, epochs=2)
    copied = step(*(np.repeat(a, each.astype(int), axis=0) for a in (x, y)))
    mean = keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")
    # Validation on the training data; the losses by hand, after the step.
    _, plain, *kernel, bias = fit(validation_data=(x, y))
    _, third, *_ = fit(validation_data=(x, y, each))
    losses = np.logaddexp(0, (1 - 2 * y) * (x @ kernel + bias))
    off = {
        "formula": of_four - 24 / (4 * counts),
        "class totals": of_four * counts - 6,
        "sample weights": fit(epochs=2) - by_sample,
        "copies": right * 24 / 36 - copied,
        "weighted mean": fit(loss=mean) - copied,
        "no weight": fit(class_weight={1: 3.0}) - right,
        "text": fit(class_weight={"0": 1.0, "1": 3.0}) - step(x, y),
        "val_loss": plain - np.mean(losses),
        "third element": third - np.mean(each * losses),
    }
    mean_weight = fit(class_weight={1: rare})[0] / np.log(2)
    return {
        **{name: np.abs(value).max() for name, value in off.items()},
        "share": 6 * rare / (24 * mean_weight),
        "val_loss over weighted": plain / third,
        **measure_shapes(x, y, weights, right),
    }


# %%
# Where Keras takes no class weights
# ----------------------------------
# With several outputs, with a label at each step of a sequence, with a
# generator, Keras wants a weight for each label in place of one for each class.
# Left to itself, it takes a class without a weight for 1.0; here that is an
# error. Labels of sequences need a last axis of one: without it `class_weight`
# reads them as one-hot rows, and the first step with a 1 becomes the class.


def weigh(labels, weights: dict):
    """The weights of integer labels of any shape."""
    classes = np.unique(labels).tolist()
    missing = [label for label in classes if label not in weights]
    if missing:
        raise ValueError(
            "Invalid value for argument `weights`: expected a weight for "
            f"each class in {classes}. Received: none for {missing}"
        )
    return np.vectorize(weights.get, otypes=["float32"])(labels)


def measure_shapes(x, y, weights: dict, right) -> dict:
    """What Keras makes of class weights for sequences and two outputs."""
    sequences, labels = x.reshape(6, 4, 3), y.reshape(6, 4)
    column, pair = labels[:, :, None], {"a": y, "b": 1 - y}
    in_time = step(sequences, column, sample_weight=weigh(labels, weights))
    silent = step(sequences, labels, class_weight=weights)
    others = {0: 2.0, 1: 0.5}
    each = {"a": weigh(y, weights), "b": weigh(1 - y, others)}
    second = step(x, 1 - y, class_weight=others)
    apart = [right[0] + second[0], *right[1:], *second[1:]]
    norm = np.linalg.norm
    return {
        "sequences": np.abs(in_time - right).max(),
        "outputs": np.abs(step(x, pair, sample_weight=each) - apart).max(),
        "step in silence": norm(silent[1:] - right[1:]) / norm(right[1:]),
        "two outputs": answer(x, pair),
        "both weights": answer(x, y, sample_weight=weigh(y, weights)),
        "generator": answer(x, y, stream=True),
        "column": answer(sequences, column),
    }


def answer(x, y, **arguments) -> int:
    """1: class weights are refused by name. -1: another error. 0: taken."""
    try:
        step(x, y, class_weight={0: 1.0, 1: 3.0}, **arguments)
    except (TypeError, ValueError) as error:
        return 1 if "class_weight" in str(error) else -1
    return 0


# %%
# The experiment
# --------------


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares balanced weights with none, seed by seed.

    Args:
        epochs: passes over 1,000 digits.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    exact = {
        "Balanced weights equal n / (k n_c)": ("formula", 0),
        "Balanced weights make class totals equal": ("class totals", 0),
        "class_weight equals its sample_weight": ("sample weights", 0),
        "Weight w counts as w copies, up to N / sum(w)": ("copies", 0),
        "By mean_with_sample_weight w is w copies": ("weighted mean", 0),
        "A class without a weight is taken, and weighs 1": ("no weight", 0),
        "A weight for a rare class alone makes it 2/5, not 1/2": ("share", 0.4),
        "Keys of text are taken, and are no weights": ("text", 0),
        "Validation loss is not weighted by class": ("val_loss", 0),
        "A third element weights validation loss": ("third element", 0),
        "Keras refuses class weights for two outputs": ("two outputs", 1),
        "Keras refuses class and sample weights at once": ("both weights", 1),
        "Keras refuses class weights for a generator": ("generator", 1),
        "Labels (batch, time, 1) end in an obscure error": ("column", -1),
        "Sample weights (batch, time) do what was meant": ("sequences", 0),
        "A dict of sample weights serves two outputs": ("outputs", 0),
    }
    claims = {  # Losses, steps and weights near one, in float32.
        text: facts.agrees(score, value, within=1e-6)
        for text, (score, value) in exact.items()
    }
    silent = facts.is_above("step in silence", 0.1)
    claims |= {
        "Labels (batch, time) put the step off by over a tenth": silent,
        "Validation loss is over a tenth below the weighted one": (
            facts.is_below("val_loss over weighted", 0.9)
        ),
    }
    for place in CONDITIONS:
        pair = {"variant": "balanced", "than": "none", "at": place}
        rises = functools.partial(trials.is_higher, **pair)
        same = functools.partial(trials.is_same, **pair)
        restored = same("Brier, corrected", within=0.005)
        found = {
            "Recall of the rare class rises": rises("recall"),
            "Accuracy falls": trials.is_lower("accuracy", **pair),
            "ROC AUC is the same within 1 point": same("ROC AUC", within=0.01),
            "Probabilities are worse by the Brier score": rises("Brier"),
            "Corrected, the Brier score is the same within 0.005": restored,
        }
        claims |= {f"{text}, {place}": one for text, one in found.items()}
    notes = "Deep Learning Models, Imbalanced classes? Use class_weights"
    return Report(
        trials.table("recall", "accuracy", "ROC AUC"),
        trials.table("Brier", "Brier, corrected"),
        facts.table("step in silence", "val_loss over weighted"),
        plot_curves(
            trials,
            "8s",
            "others",
            xlabel="threshold: called an 8 above this probability, in percent",
            ylabel="share called an 8\nsolid: of the 8s, dashed: of the others",
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Class weights move a threshold more than they change a network. Where it
# cannot tell all examples apart, more of the rare class is found, with more
# false alarms; where it can, weights fade as training goes on (Byrd and
# Lipton). A threshold at the share of the rare class needs no training. Correct
# probabilities before anybody relies on them, and weight the validation data if
# early stopping looks at them. Two things to try: `p > 0.1` without weights;
# weights of 1 and 9, with Adam and with SGD: one of these takes larger steps.

if __name__ == "__main__":
    cook(main)
