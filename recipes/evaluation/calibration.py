"""
Calibration: scores for probabilities, how to game them, how to mend them
=========================================================================

A network says "numpy, 99 %". Of all texts of which it is so sure, are 99 of 100
about numpy? Then it is *calibrated*. Accuracy does not ask; these scores do,
each in its own way, for a probability :math:`p_{ic}` of class :math:`c` and the
label :math:`y_i` of example :math:`i`:

.. math::

   \\text{log loss} = -\\frac 1 n \\sum_i \\log p_{i y_i}, \\qquad
   \\text{Brier} = \\frac 1 n \\sum_i \\sum_c (p_{ic} - [c = y_i])^2

ROC AUC asks for the order alone: is a text of the class ranked above one of
another? The expected calibration error (ECE) puts examples into bins by their
confidence, and adds up how far each bin's mean confidence is from its accuracy:

.. math::

   \\text{ECE} = \\sum_b \\frac{n_b}{n} \\,
   |\\text{accuracy}_b - \\text{confidence}_b|

Each can be gamed on its own. What is miscalibrated can be mended afterwards, on
validation data: *temperature scaling* divides all logits by one number
:math:`T`, Platt's way fits a sigmoid for each class, isotonic regression any
rising curve.

:question: Can I believe the probabilities of my network, and if not, what then?
:level: intermediate
:notes: Deep Neural Nets Basics, Mastery on cross entropy, Brier, ROC AUC
:papers: Guo et al. 2017, https://arxiv.org/abs/1706.04599;
    Zadrozny and Elkan 2002, https://doi.org/10.1145/775047.775151
:backends: tensorflow, jax, torch
:before: evaluation/f1_callback
"""

import functools

import keras
import numpy as np
from keras import layers
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.utils.extmath import softmax

from kerasrecipes.analysis import find_temperature
from kerasrecipes.datasets import FOLDS, load_docstrings
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.metrics import ExpectedCalibrationError
from kerasrecipes.plotting import plot_reliability

# The last two game a score: confidence without reason, and no opinion at all.
VARIANTS = {
    "as trained": {"treatment": None},
    "temperature": {"treatment": "temperature"},
    "Platt": {"treatment": "Platt"},
    "isotonic": {"treatment": "isotonic"},
    "sharpened": {"treatment": "sharpened"},
    "constant": {"treatment": "constant"},
}
CONDITIONS = {
    "300 texts": {"examples": 300},
    "2,000 texts": {"examples": 2000},
}
QUICK = {
    "epochs": 3,
    "seeds": 1,
    "variants": ["as trained", "temperature"],
    "conditions": ["300 texts"],
}
WORDS, HELD_BACK = 2000, 1000

# %%
# The network
# -----------
# Which of four packages is a docstring from? The network sees which of 2,000
# words are in the text. It ends in logits, so that a temperature has something
# to divide.


def build_model() -> keras.Model:
    """Logits of four packages for (batch, words) of zeros and ones."""
    return keras.Sequential(
        [
            layers.Input((WORDS,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(4),
        ]
    )


# %%
# What the variants share
# -----------------------
# Put your own data in the first line: x of shape (samples, length), words as
# integers, y integers. A thousand texts are held back from training, to mend
# probabilities by. All variants are made of the logits of one network, which is
# trained once for each seed.


@functools.cache
def train_once(seed: int, epochs: int, examples: int):
    """Logits and labels, of the texts held back and of the test."""
    (x, y), (x_test, y_test) = load_docstrings(
        examples + HELD_BACK, fold=seed, words=WORDS
    )
    x, x_test = (contain(texts) for texts in (x, x_test))
    keras.utils.set_random_seed(seed)
    model = build_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x[:examples], y[:examples], epochs=epochs, verbose=0)
    logits, logits_test = (
        model.predict(texts, batch_size=500, verbose=0).astype("float64")
        for texts in (x[examples:], x_test)
    )
    return logits, y[examples:], logits_test, y_test


def contain(texts):
    """Which words are in a text: 0 and 1 of shape (samples, words)."""
    found = np.zeros((len(texts), WORDS), "float32")
    np.put_along_axis(found, texts, 1.0, axis=1)
    found[:, :2] = 0.0  # no words: the end of a text, and rare ones
    return found


# %%
# How probabilities are mended
# ----------------------------
# The temperature is the one of least log loss on the texts held back. Platt's
# sigmoid and the isotonic curve are fitted for each class on its own, and the
# classes' probabilities are then made to add up to 1.


def treat(treatment, held, y_held, logits):
    """Probabilities of test logits, with what was learned from those held."""
    if treatment == "temperature":
        return softmax(logits / find_temperature(held, y_held))
    if treatment in ("Platt", "isotonic"):
        pairs = zip(held.T, logits.T, strict=True)
        columns = [
            fit_curve(treatment, z_held, y_held == label)(z)
            for label, (z_held, z) in enumerate(pairs)
        ]
        p = np.transpose(columns) + 1e-12  # a text may get 0 in each
        return p / p.sum(-1, keepdims=True)
    if treatment == "constant":
        return np.tile(np.bincount(y_held) / len(y_held), (len(logits), 1))
    return softmax(logits * (3 if treatment == "sharpened" else 1))


def fit_curve(treatment: str, z, is_class):
    """A function from logits of a class to its probabilities."""
    if treatment == "isotonic":
        curve = IsotonicRegression(out_of_bounds="clip")
        return curve.fit(z, is_class).predict
    sigmoid = LogisticRegression(C=np.inf).fit(z[:, None], is_class)
    return lambda z: sigmoid.predict_proba(z[:, None])[:, 1]


# %%
# One trial
# ---------
# A network that may refuse to answer is judged by its error among the texts
# that it is most sure of: its risk at a coverage of 80 %, and how much that is
# of its error on all. The mean ECE of batches of 32 is what a metric that is a
# plain function would report.


def train(seed: int, epochs: int, examples: int, treatment: str | None) -> dict:
    """Treats the logits of one network; returns scores of probabilities."""
    held, y_held, logits, y = train_once(seed, epochs, examples)
    p = treat(treatment, held, y_held, logits)
    said, starts = p.argmax(-1), range(0, len(y), 32)
    surest = np.argsort(-p.max(-1), kind="stable")[: round(0.8 * len(y))]
    error, kept = np.mean(said != y), np.mean(said[surest] != y[surest])
    metric = ExpectedCalibrationError()
    whole = float(metric(y, p))
    parts = [calibration_error(y[s : s + 32], p[s : s + 32]) for s in starts]
    names = ("examples", "confidence", "hits")
    sums = [keras.ops.convert_to_numpy(sum_) for sum_ in metric.variables]
    return {
        "accuracy": 1 - error,
        "log loss": log_loss(y, p),
        "Brier": brier_score_loss(y, p),
        "ROC AUC": roc_auc_score(y, p, multi_class="ovr"),
        "ECE": whole,
        "ECE of batches": np.mean(parts) - whole,
        "risk at 80 %": kept,
        "share of risk": kept / error,
        "another class": np.mean(said != logits.argmax(-1)),
        "curves": dict(zip(names, sums, strict=True)),
    }


def calibration_error(y, p, bins: int = 15) -> float:
    """The ECE of labels and probabilities, by the metric."""
    return float(ExpectedCalibrationError(bins)(y, p))


# %%
# What must hold exactly
# ----------------------
# A forecaster of two classes who is right about its probabilities is judged by
# 400 examples, then bent by rising functions. Two groups that are wrong in
# opposite ways share one bin. Of 200 examples ten are of class 1, and somebody
# without an opinion says 5 % to all. Bins are (low, high], with 0 in the first:
# some libraries give 1 a bin of its own, and `digitize` puts 0 in none.


def measure(seed: int) -> dict:
    """Scores against formulas, and gamed."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    p = generator.random(400)
    y = (generator.random(400) < p) * 1
    logits, auc = np.log(p / (1 - p)), roc_auc_score(y, p)
    bent = (p / 100, p**3, 1 / (1 + np.exp(-5 * logits)))
    doubt = -np.abs(logits)

    four = generator.normal(0, 3, (1000, 4))
    passed = generator.random((1000, 1)) > softmax(four / 2).cumsum(-1)
    labels = passed[:, :-1].sum(-1)
    temperature = find_temperature(four, labels)
    tempered = softmax(four / temperature)
    sure = tempered.max(-1)
    off = (tempered.argmax(-1) == labels) - sure
    sums, _ = np.histogram(sure, 15, (0, 1), weights=off)

    opposite = np.repeat([0.9, 0.6], 10)  # 0.2 above the hits, and below
    hits = np.r_[np.arange(10) < 7, np.arange(10) < 8] * 1
    one_bin = calibration_error(hits, opposite, bins=1)
    rare, shrug = np.repeat([0, 1], [190, 10]), np.full(200, 0.05)
    at_1, wrong = np.array([0.95, 1.0]), np.array([1, 0])
    at_0, both = np.array([0.0, 1.0]), np.array([1, 1])
    found = np.digitize(at_0, np.arange(16) / 15, right=True) > 0
    return {
        "metric": calibration_error(labels, tempered)
        - np.sum(np.abs(sums)) / 1000,
        "1 on its own": np.mean(np.abs(wrong - at_1))
        - calibration_error(wrong, at_1),
        "0 left out": np.sum(found * np.abs(both - at_0)) / 2
        - calibration_error(both, at_0),
        "AUC": max(abs(roc_auc_score(y, q) - auc) for q in bent),
        "order": np.sum(np.argsort(doubt) != np.argsort(doubt / 7)),
        "sharpened": find_temperature(3 * four, labels) / temperature,
        "hidden": calibration_error(hits, opposite) - one_bin,
        "Brier of 5 %": np.mean((shrug - rare) ** 2),
        "ECE of 5 %": calibration_error(rare, shrug),
        "AUC of 5 %": roc_auc_score(rare, shrug),
        "ECE of the truth": calibration_error(y, p),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares treatments of the same logits, seed by seed.

    Args:
        epochs: passes over the training texts.
        seeds: networks, each with every treatment.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    plain, said = "as trained", "5 % said of a class of 5 %"
    lower = functools.partial(trials.is_lower, than=plain)
    higher = functools.partial(trials.is_higher, than=plain)
    no_other = functools.partial(trials.agrees, "another class", 0, within=0)
    # Sums in float32; the search knows a temperature to eight digits.
    near = functools.partial(facts.agrees, within=1e-6)
    claims = {
        "The metric equals its formula": near("metric", 0.0),
        "A bin of its own for 1 turns an ECE of .475 into .525": (
            near("1 on its own", 0.05)
        ),
        "digitize(right=True) drops 0 and turns an ECE of .5 into 0": (
            near("0 left out", -0.5)
        ),
        "Rising functions leave ROC AUC as it is": near("AUC", 0.0),
        "Errors of .2 in both directions hide in one bin": near("hidden", 0.2),
        f"{said} has an ECE of 0": near("ECE of 5 %", 0.0),
        f"{said} has a Brier score of .0475": near("Brier of 5 %", 0.0475),
        f"{said} does not deceive ROC AUC: .5": near("AUC of 5 %", 0.5),
        "Sharpening by 3 changes no predicted class": no_other("sharpened"),
        "Sharpening by 3 raises log loss": higher("log loss", "sharpened"),
        "Sharpening by 3 raises the Brier score": higher("Brier", "sharpened"),
        "A constant has a lower ECE than the network": lower("ECE", "constant"),
        "A constant has a higher log loss than the network": (
            higher("log loss", "constant")
        ),
        "The truth itself has an ECE above .03 on 400 examples": (
            facts.is_above("ECE of the truth", 0.03)
        ),
        "The mean ECE of batches of 32 is over 5 points too large": (
            trials.is_above("ECE of batches", 0.05, "temperature")
        ),
        "Temperature scaling changes no predicted class": (
            no_other("temperature")
        ),
        "Temperature scaling undoes sharpening by 3": near("sharpened", 3.0),
        "A temperature leaves the order of doubt, of two classes": (
            near("order", 0.0)
        ),
    }
    for place in CONDITIONS:
        claims[f"Temperature scaling lowers ECE, {place}"] = lower(
            "ECE", "temperature", at=place
        )
    claims |= {
        "Temperature scaling lowers log loss": lower("log loss", "temperature"),
        "Temperature scaling lowers Brier's score": (
            lower("Brier", "temperature")
        ),
        "Temperature scaling keeps ROC AUC within half a point": (
            trials.is_same("ROC AUC", "temperature", than=plain, within=0.005)
        ),
        "Platt's sigmoids lower ECE": lower("ECE", "Platt"),
        "Isotonic curves lower ECE": lower("ECE", "isotonic"),
        "Isotonic curves lower ECE more than temperature scaling": (
            trials.is_lower("ECE", "isotonic", than="temperature")
        ),
        "Isotonic curves have a higher log loss than temperature scaling": (
            trials.is_higher("log loss", "isotonic", than="temperature")
        ),
        "Isotonic curves change predicted classes": (
            trials.is_above("another class", 0.0, "isotonic")
        ),
        "Refusing the least sure fifth takes a third of the error away": (
            trials.is_below("share of risk", 2 / 3, plain)
        ),
    }
    notes = "Deep Neural Nets Basics, Mastery on cross entropy, Brier, ROC AUC"
    return Report(
        trials.table("accuracy", "log loss", "Brier", "ROC AUC", "ECE"),
        trials.table("risk at 80 %", "share of risk", "another class"),
        facts.table("ECE of the truth"),
        plot_reliability(trials, variants=[plain, "temperature", "sharpened"]),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look at two scores at least, and at the diagram: one that asks for order (ROC
# AUC) or for hits (accuracy), and one that asks for honest probabilities (log
# loss or Brier, which a forecaster makes best by saying what it believes). ECE
# alone rewards having no opinion, and it is itself an estimate: compare it with
# what the truth would get from as many examples. Temperature scaling is one
# number, and so hard to get wrong; sigmoids and rising curves want more
# validation data, and an isotonic curve says 0 % and 100 % where it has seen no
# exception, which log loss does not forgive. What mends probabilities mends
# them for data like the validation data. Two things to try: 50 texts held back
# in place of 1,000; and early stopping on validation loss, after which there
# may be less to mend.

if __name__ == "__main__":
    cook(main)
