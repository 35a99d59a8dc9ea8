"""
The share of data that is held back for validation
==================================================

A network is judged while it trains by examples that it does not train on. How
many should that be? Of :math:`n` examples, a share :math:`s` is held back. The
rest is what the network can learn from; the share is what the estimate of its
accuracy is made of, and an accuracy :math:`a` that is counted on few examples
is known badly:

.. math::

   \\text{standard error} = \\sqrt{\\frac{a \\, (1 - a)}{s \\, n}}

So a large share costs accuracy, a small one costs knowledge. The notes say 80 %
for training and 20 % for validation.

``fit(validation_split=0.2)`` does the splitting, and there is a catch: it takes
the *last* rows as they stand, and shuffles only what is left. Where rows are
sorted, by class or by time, the two parts have little in common.

:question: How much data should I hold back, and what does validation_split do?
:level: beginner
:notes: Deep Neural Nets Basics, 80% training and 20% validation;
    Deep Learning Models, Validation_split arg
:papers: Arlot and Celisse 2010, https://doi.org/10.1214/09-SS054
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits, load_iris
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "20 %": {"share": 0.2},
    "5 %": {"share": 0.05},
    "50 %": {"share": 0.5},
    "20 %, sorted by class": {"share": 0.2, "is_sorted": True},
}
CONDITIONS = {
    "200 digits": {"examples": 200},
    "1,000 digits": {"examples": 1000},
}
QUICK = {
    "epochs": 2,
    "seeds": 1,
    "variants": ["20 %", "50 %"],
    "conditions": ["200 digits"],
}
FULL = {"epochs": 20, "seeds": 10}

# %%
# The network
# -----------
# A plain network for images of 64 pixels.


def build_model() -> keras.Model:
    """Classifier of (batch, 64) digits."""
    return keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 64), y integers.
# The validation part does what it is for: it says when to stop, and which
# weights to keep. The accuracy that it gives them is the estimate; how far it
# is off is told by images that played no part.


def train(
    seed: int, epochs: int, examples: int, share: float, is_sorted: bool = False
) -> dict:
    """Trains one network; returns its accuracy and how far off its estimate."""
    (x, y), (x_test, y_test) = load_digits(examples, fold=seed, flat=True)
    if is_sorted:
        order = np.argsort(y, kind="stable")
        x, y = x[order], y[order]
    keras.utils.set_random_seed(seed)
    model = build_model()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=5, restore_best_weights=True
    )
    history = model.fit(
        x,
        y,
        epochs=epochs,
        validation_split=share,
        callbacks=[stop],
        verbose=0,
    )
    best = np.argmin(history.history["val_loss"])
    estimate = history.history["val_accuracy"][best]
    said = keras.ops.convert_to_numpy(model(x_test)).argmax(-1)
    accuracy = np.mean(said == y_test)
    return {
        "accuracy": accuracy,
        "estimate": estimate,
        "estimate off": abs(estimate - accuracy),
    }


# %%
# What must hold exactly
# ----------------------
# A network that returns its input, with a target of zero, has the mean square
# of its inputs as its loss. At a learning rate of zero that tells which rows
# were used for what. One part of the rows is rounded down, so that the other
# is rounded up: of seven rows, 20 % are two.


def losses_of_rows(x, share: float) -> tuple[float, float]:
    """Mean squares of the rows that are trained on, and validated on."""
    model = keras.Sequential(
        [layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(
        x, np.zeros_like(x), epochs=1, validation_split=share, verbose=0
    ).history
    return history["loss"][0], history["val_loss"][0]


def measure(seed: int) -> dict:
    """Which rows are held back, and what becomes of a class that is last."""
    generator = np.random.default_rng(seed)
    off = []
    for rows, share in ((7, 0.2), (10, 0.25), (50, 0.2)):
        x = generator.normal(size=(rows, 1)).astype("float32")
        held = int(np.ceil(rows * share))
        parts = x[:-held], x[-held:]
        expected = [np.mean(np.square(part)) for part in parts]
        off.append(np.abs(np.subtract(losses_of_rows(x, share), expected)))

    (x, y), _ = load_iris(fold=seed)
    order = np.argsort(y, kind="stable")
    keras.utils.set_random_seed(seed)
    flowers = keras.Sequential([layers.Input((4,)), layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    flowers.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    history = flowers.fit(
        x[order], y[order], epochs=5, validation_split=1 / 3, verbose=0
    ).history
    try:
        flowers.fit(iter([(x, y)]), validation_split=0.2, verbose=0)
        refused = 0.0
    except ValueError:
        refused = 1.0
    return {
        "losses off": np.max(off),
        "accuracy on the last class": history["val_accuracy"][-1],
        "a generator is refused": refused,
    }


# %%
# The experiment
# --------------


def plot_estimates(trials) -> Figure:
    """Accuracy on new images, and the estimate of it, for each share."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, len(trials.conditions), sharey=True)
    axes = np.atleast_1d(axes)
    for axis, condition in zip(axes, trials.conditions, strict=True):
        shares = [
            name
            for name, variant in trials.variants.items()
            if "is_sorted" not in variant
        ]
        shares.sort(key=lambda name: trials.variants[name]["share"])
        for row, name in enumerate(shares):
            for shift, score, shade in (
                (-0.12, "accuracy", "#0072B2"),
                (0.12, "estimate", "#D55E00"),
            ):
                found = [*trials.scores(score, name, condition).values()]
                places = row + shift + np.linspace(-0.07, 0.07, len(found))
                label = None if row else score
                axis.plot(places, found, "o", color=shade, ms=4, alpha=0.5)
                axis.plot(
                    row + shift,
                    np.mean(found),
                    "D",
                    color=shade,
                    label=label,
                )
        axis.set_xticks(range(len(shares)), shares)
        axis.set_title(condition, fontsize=10)
        axis.set_xlabel("share held back for validation")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of images that are told right")
    axes[-1].legend(frameon=False, fontsize=9, loc="lower right")
    figure.supxlabel(
        "accuracy: on new images, estimate: on those held back; "
        "dot: a seed, diamond: the mean",
        fontsize=9,
    )
    return figure


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares shares of validation data, seed by seed.

    Args:
        epochs: passes over the training part, at most.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    few, many = CONDITIONS
    off = "estimate off"
    # Means of up to fifty squares, added up in float32.
    split = {
        "The last rows are held back, rounded up to whole ones": (
            facts.agrees("losses off", 0.0, within=1e-5)
        ),
        "A class that comes last is never learned: iris, a third held back": (
            facts.agrees("accuracy on the last class", 0.0, within=0.0)
        ),
        "validation_split is refused for a generator": (
            facts.agrees("a generator is refused", 1.0, within=0.0)
        ),
        "Rows sorted by class cost over 10 points of accuracy": (
            trials.is_lower(
                "accuracy", "20 %, sorted by class", than="20 %", by=0.1
            )
        ),
        "Sorted by class, the estimate is off by over 50 points": (
            trials.is_above(off, 0.5, "20 %, sorted by class")
        ),
    }
    shares = {
        f"80 % and 20 % make a better network than halves: {condition}": (
            trials.is_higher("accuracy", "20 %", than="50 %", at=condition)
        )
        for condition in CONDITIONS
    } | {
        "95 % and 5 % make a better network than 80 % and 20 %": (
            trials.is_higher("accuracy", "5 %", than="20 %", at=few)
        ),
        "With 5 % of 200 digits the estimate is further off than with 20 %": (
            trials.is_higher(off, "5 %", than="20 %", at=few)
        ),
        "With 5 % of 1,000 digits the estimate is further off than with 20 %": (
            trials.is_higher(off, "5 %", than="20 %", at=many)
        ),
        "With halves the estimate is nearer than with 20 %": (
            trials.is_lower(off, "50 %", than="20 %")
        ),
    }
    argument = "Deep Learning Models, Validation_split arg"
    advice = "Deep Neural Nets Basics, 80% training and 20% validation"
    return Report(
        trials.table("accuracy", "estimate", "estimate off"),
        plot_estimates(trials),
        *(Claim(text, found, argument) for text, found in split.items()),
        *(Claim(text, found, advice) for text, found in shares.items()),
    )


# %%
# What to make of it
# ------------------
# What counts for the estimate is how many examples are held back, not their
# share: a hundred images tell an accuracy of 90 % within three points or so,
# one standard error, however many there are to train on. Shuffle before `fit`
# wherever rows are in an order. Rows in time are the exception: there the last
# ones are the right ones to hold back, for they are what is to be forecast. Two
# things to try: split by `sklearn.model_selection.train_test_split` with
# ``stratify=y``, which keeps the shares of classes; and to train anew on all,
# for as many epochs as the validation part has chosen.

if __name__ == "__main__":
    cook(main)
