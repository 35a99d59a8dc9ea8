"""
Class imbalance: what to do about rare classes
==============================================

Of half of the classes there is plenty, of the others hardly anything. One can
show the rare ones again and again (oversampling), leave most of the others out
(undersampling), make errors on rare ones dearer (class weights), learn from
balanced data first and then train the last layer on all (two phases); or train
as ever, and ask in another way. For a network speaks of a world that has the
shares :math:`\\pi_k` of its training data. Divided by them, its probabilities
are those of a world where all classes are as frequent:

.. math::

   \\tilde p(k \\mid x) = \\frac{p(k \\mid x) / \\pi_k}
   {\\sum_j p(j \\mid x) / \\pi_j}

That is thresholding. Another school learns from one class alone, and takes for
something else whatever does not look like it.

The notes cite a study of convolutional networks, and sum it up: oversampling is
usually better in most cases, and does not cause overfitting.

:question: Some of my classes are rare. Oversample, undersample, or what?
:level: intermediate
:notes: Deep Learning Models, A study that deals with class imbalance in CNN's
:papers: Buda et al. 2018, https://arxiv.org/abs/1710.05381
:backends: tensorflow, jax, torch
:before: evaluation/class_weights
"""

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from kerasrecipes.datasets import (
    FOLDS,
    load_digits,
    make_gratings,
    sample_rows,
    step_counts,
)
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "none": {"treatment": "none"},
    "oversampling": {"treatment": "oversampling"},
    "undersampling": {"treatment": "undersampling"},
    "class weights": {"treatment": "class weights"},
    "two phases": {"treatment": "two phases"},
}
# A hundredth of the digits of a class would be one or two images. Larger ratios
# are for data that can be made: 1,000 gratings of each frequent class.
CONDITIONS = {
    "1 to 10": {"ratio": 10},
    "1 to 50": {"ratio": 50},
    "1 to 100": {"ratio": 100},
}
DIGITS = {"1 to 10": {"ratio": 10}, "1 to 30": {"ratio": 30}}
ONE_CLASS = {"none": {"is_alone": False}, "one class": {"is_alone": True}}
OTHERS = {"1 to 10": {"ratio": 10}, "1 to 80": {"ratio": 80}}
QUICK = {
    "steps": 20,
    "seeds": 1,
    "variants": ["none", "oversampling"],
    "conditions": ["1 to 10"],
}
FULL = {"steps": 400, "seeds": 10}

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH, RATE = 50, 2e-3

# %%
# One trial
# ---------
# Put your own images in the first line: x of shape (samples, 8, 8, 1), y
# integers from 0. Half of the classes, drawn anew for each seed, are made rare;
# test data stay balanced. `sample_rows` both leaves rows out and repeats them.
# All treatments take the same number of steps. Of two phases the second goes on
# with the last layer alone, at a tenth of the rate.


def train(seed: int, steps: int, ratio: int, treatment: str) -> dict:
    """Digits: trains a network in one of the ways, and scores it."""
    (x, y), test = load_digits(fold=seed)
    counts = step_counts(np.bincount(y).min(), 10, ratio, seed=seed)
    rows = sample_rows(y, counts, seed=seed)
    return learn(x[rows], y[rows], test, seed, steps, treatment)


def train_on_gratings(seed: int, steps: int, ratio: int, treatment: str):
    """The same with waves across the image, in six directions."""
    counts = step_counts(1000, 6, ratio, seed=seed)
    x, y = make_gratings(counts, seed=2 * seed)
    test = make_gratings([200] * 6, seed=2 * seed + 1)
    return learn(x, y, test, seed, steps, treatment)


def learn(x, y, test, seed: int, steps: int, treatment: str) -> dict:
    """Scores of a network that learns from x and y in one of the ways."""
    counts, rows, weights = np.bincount(y), np.arange(len(y)), None
    if treatment == "undersampling":
        rows = sample_rows(y, np.full_like(counts, counts.min()), seed)
    elif treatment in ("oversampling", "two phases"):
        rows = sample_rows(y, np.full_like(counts, counts.max()), seed)
    elif treatment == "class weights":
        weights = dict(enumerate((counts.mean() / counts).tolist()))
    keras.utils.set_random_seed(seed)
    model = build_model(len(counts))
    phases = 2 if treatment == "two phases" else 1
    fit(model, x, y, rows, steps // phases, class_weight=weights)
    if phases == 2:
        for layer in model.layers[:-1]:
            layer.trainable = False
        fit(model, x, y, np.arange(len(y)), steps // 2, RATE / 10)
    is_skewed = treatment in ("none", "two phases")
    own = counts if is_skewed else np.ones_like(counts)
    return score(model, (x, y), test, own)


def build_model(classes: int) -> keras.Model:
    """Small convolutional classifier of (batch, 8, 8, 1) images."""
    ways = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, **ways),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, **ways),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(classes),
        ]
    )


def fit(model, x, y, rows, steps: int, rate=RATE, loss=LOSS, **options):
    """Takes a number of steps on these rows, again and again."""
    model.compile(keras.optimizers.Adam(rate), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    rows = np.resize(np.random.permutation(rows), steps * BATCH)
    model.fit(x[rows], y[rows], batch_size=BATCH, verbose=0, **options)


# %%
# Scores
# ------
# `thresholded` divides by the shares in the data before any sampling, as the
# study does: that makes two more treatments, thresholding alone (of `none`) and
# oversampling with thresholding. `matched` divides by the shares that training
# has shown last. `gap` is the mean recall of the classes on training images,
# each image counted once, less the accuracy on test images.


def score(model, data, test, own) -> dict:
    """Scores as the network answers, thresholded, and matched."""
    (x, y), (x_test, y_test) = data, test
    shares = np.bincount(y) / len(y)
    p, answers = predict(model, x_test)
    accuracy = np.mean(answers == y_test)
    thresholded = np.mean((p / shares).argmax(-1) == y_test)
    learned = recall_score(y, predict(model, x)[1], average="macro")
    return {
        "ROC AUC": roc_auc_score(y_test, p, multi_class="ovr"),
        "F1": f1_score(y_test, answers, average="macro"),
        "accuracy": accuracy,
        "thresholded": thresholded,
        "gain": thresholded - accuracy,
        "matched": np.mean((p / own).argmax(-1) == y_test),
        "gap": learned - accuracy,
    }


def predict(model, x):
    """Probabilities in float64, and the class of the largest."""
    logits = keras.ops.convert_to_numpy(model(x)).astype("float64")
    p = normalize(np.exp(logits - logits.max(-1, keepdims=True)))
    return p, p.argmax(-1)


def normalize(p):
    """Rows with a sum of one."""
    return p / p.sum(-1, keepdims=True)


# %%
# One class alone
# ---------------
# One digit is known, and everything else is to be told from it. An autoencoder
# sees the known digit alone, squeezes it through eight numbers, and errs more
# on what is no such digit. A classifier sees some of the others as well: 16 of
# all the other digits at 1 to 10, two at 1 to 80.


def train_on_one(seed: int, steps: int, ratio: int, is_alone: bool) -> dict:
    """How well the known digit is told from the rest."""
    (x, y), (x_test, y_test) = load_digits(fold=seed, flat=True)
    known, rest = x[y == seed % 10], x[y != seed % 10]
    seen = np.concatenate([known, rest[: len(known) // ratio]])
    targets = (np.arange(len(seen)) < len(known)) * 1
    if is_alone:
        seen = targets = known
    keras.utils.set_random_seed(seed)
    hidden = layers.Dense(8 if is_alone else 64, activation="relu")
    output = layers.Dense(64 if is_alone else 1, activation="sigmoid")
    model = keras.Sequential([layers.Input((64,)), hidden, output])
    loss = "mse" if is_alone else "binary_crossentropy"
    fit(model, seen, targets, np.arange(len(seen)), steps, loss=loss)
    likeness = keras.ops.convert_to_numpy(model(x_test))
    if is_alone:
        likeness = -np.square(likeness - x_test).mean(-1)
    return {"ROC AUC": roc_auc_score(y_test == seed % 10, likeness)}


# %%
# What must hold exactly
# ----------------------
# Three classes have normal densities, in shares of 1 to 10 to 100. A ROC curve
# asks in which order examples come, and division by a number changes none. And
# a trap: who oversamples first and holds back a fifth of the rows afterwards
# validates on copies of what the network was trained on.


def measure(seed: int) -> dict:
    """Rows that are drawn, and what thresholding does to right answers."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat([0, 1, 2], [3, 30, 300]))
    over, under = (sample_rows(y, [n] * 3, seed=seed) for n in (300, 3))
    held, kept = np.split(generator.permutation(over), [len(over) // 5])
    left_out, twice = len(y) - len({*over}), len(under) - len({*under})
    x = generator.normal(y)[:, None]
    density = np.exp(-((x - np.arange(3)) ** 2) / 2)
    p = normalize(density * [3, 30, 300])
    found = normalize(p / [3, 30, 300])
    two = normalize(p[y < 2, :2])
    both = areas(y[y < 2], two), areas(y[y < 2], normalize(two / [3, 30]))
    return {
        "oversampled": np.abs(np.bincount(y[over]) - 300).max() + left_out,
        "undersampled": np.abs(np.bincount(y[under]) - 3).max() + twice,
        "unseen": np.mean(~np.isin(held[y[held] == 0], kept)),
        "posterior": np.abs(found - normalize(density)).max(),
        "two classes": np.ptp(both),
        "divided": np.abs(areas(y, p / [3, 30, 300]) - areas(y, p)).max(),
        "normalised": np.abs(areas(y, found) - areas(y, p)).max(),
    }


def areas(y, p):
    """ROC AUC of each class against the rest."""
    return np.array([roc_auc_score(y == k, p[:, k]) for k in np.unique(y)])


# %%
# The experiment
# --------------


def plot_treatments(shades: dict, **runs) -> Figure:
    """Three scores of every treatment, by data and ratio."""
    places = [(data, name) for data in runs for name in runs[data].conditions]
    titles = ("macro ROC AUC", "accuracy", "accuracy, thresholded")
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[2].sharey(axes[1])
    for axis, title in zip(axes, titles, strict=True):
        one = title.removeprefix("macro ").removeprefix("accuracy, ")
        for shift, (variant, shade) in enumerate(shades.items()):
            for row, (data, place) in enumerate(places):
                found = [*runs[data].scores(one, variant, place).values()]
                at, mean = row + (shift - 2) * 0.14, np.mean(found or np.nan)
                axis.plot([at] * len(found), found, color=shade, alpha=0.5)
                label = None if row else variant
                axis.plot(at, mean, ".", color=shade, ms=10, label=label)
        axis.set_xticks(range(len(places)), map("\n".join, places), fontsize=7)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("score on balanced test images")
    axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("dot: mean of the seeds, line: their range", fontsize=9)
    return figure


def main(steps: Count = 200, seeds: Count = 3) -> Report:
    """Compares the treatments, seed by seed.

    Args:
        steps: training steps of every network, of 50 images each.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    gratings = run_trials(
        train_on_gratings, VARIANTS, CONDITIONS, seeds=seeds, steps=steps
    )
    digits = run_trials(
        train, VARIANTS, DIGITS, seeds=seeds, folds=FOLDS, steps=steps
    )
    one = run_trials(
        train_on_one, ONE_CLASS, OTHERS, seeds=seeds, folds=FOLDS, steps=steps
    )
    exact = {
        "Oversampled, each class has the largest one's count": "oversampled",
        "Undersampled, each class has the smallest one's count": "undersampled",
        "Divided by shares, posteriors are those for equal shares": "posterior",
        "Thresholding leaves the ROC AUC of two classes alone": "two classes",
        "Division alone leaves the ROC AUC of several classes": "divided",
        "Held back after copying, every rare row was trained on": "unseen",
    }
    claims = {  # Counts and ranks; quotients in float64.
        text: facts.agrees(name, 0, within=1e-12)
        for text, name in exact.items()
    }
    claims["Divided and normalised, ROC AUC of a class moves by over 0.001"] = (
        facts.is_above("normalised", 0.001)
    )
    for data, trials in (("digits", digits), ("gratings", gratings)):
        over = {"variant": "oversampling"}
        under = {"variant": "undersampling", "at": "1 to 10"}
        alone = {"variant": "none", "than": "oversampling"}
        found = {
            f"Oversampling is better than {other} by ROC AUC": (
                trials.is_higher("ROC AUC", than=other, **over)
            )
            for other in VARIANTS
            if other != "oversampling"
        } | {
            "Oversampling is better than none by F1": (
                trials.is_higher("F1", than="none", **over)
            ),
            "Oversampling does not overfit: a gap at most 2 points wider": (
                trials.is_lower("gap", than="none", by=-0.02, **over)
            ),
            "Undersampling loses to none by ROC AUC at 1 to 10": (
                trials.is_lower("ROC AUC", than="none", **under)
            ),
            "Thresholding gives none over 5 points of accuracy": (
                trials.is_above("gain", 0.05, "none")
            ),
            "Thresholding alone is within 2 points of oversampling": (
                trials.is_same("matched", within=0.02, **alone)
            ),
            "Thresholding after oversampling raises accuracy": (
                trials.is_above("gain", 0.0, "oversampling")
            ),
        }
        claims |= {f"{text}, {data}": each for text, each in found.items()}
    alone = {"variant": "one class", "than": "none"}
    claims |= {
        "Accuracy without treatment falls with the ratio, gratings": (
            gratings.trend("accuracy", "none", over="ratio", falls=True)
        ),
        "Learning from one class beats a classifier with 2 of the others": (
            one.is_higher("ROC AUC", at="1 to 80", **alone)
        ),
        "Learning from one class loses to a classifier with 16 of the others": (
            one.is_lower("ROC AUC", at="1 to 10", **alone)
        ),
    }
    title = "Deep Learning Models"
    notes = f"{title}, A study that deals with class imbalance in CNN's"
    columns = ("ROC AUC", "F1", "accuracy", "thresholded", "matched", "gap")
    return Report(
        digits.table(*columns),
        gratings.table(*columns),
        one.table("ROC AUC"),
        plot_treatments(colours(VARIANTS), digits=digits, gratings=gratings),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Rank first, then decide. ROC AUC says what a network can tell apart, and a
# sampling may help it there; a threshold in the wrong place costs accuracy that
# a division wins back without any training. A network that has seen copies of
# a few images knows those by heart, and the gap says so: a price, and no reason
# against copies as long as the test score is what rises. Copy after the split,
# never before. Where hardly any of the others are known, learn what is normal.
# Two things to try: oversampling half of the way, to `counts.max() // 2`; and
# `sklearn.ensemble.IsolationForest` in the autoencoder's place.

if __name__ == "__main__":
    cook(main)
