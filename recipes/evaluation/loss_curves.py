"""
Reading the loss curves of a training
=====================================

A training leaves two curves: the loss on what is trained on, and on what is
held back. Most of what goes wrong shows in them. Both high, close together and
level: the network is too simple for the task, it *underfits*. The one falls on
and the other has turned: it *overfits*, it learns its examples and no longer
the task.

`diagnose` reads them by rules with fixed thresholds, and says "unclear" where
none fits. Two things are not in the curves, and are told: the loss of mere
guessing, and the loss of the best model there could be. Between them a loss
:math:`L` is a share of what there is to learn, whatever its unit:

.. math::

   s = \\frac{L - L_\\text{attainable}}{L_\\text{chance} - L_\\text{attainable}}

The notes read a training and a test error that are close as a network that is
too simple. They say as well that the training loss "will continue to increase"
while a network overfits; what they mean is that it goes on to decrease.

:question: My loss curves look odd. What do they say about my training?
:level: beginner
:notes: Deep Neural Nets Basics, How to read loss graphs;
    Deep Neural Nets Basics, Train / val accuracy in NN;
    Deep Neural Nets Basics, Loss; Deep Neural Nets Basics, Early stopping;
    Deep Neural Nets Basics, Batch size;
    Deep Learning Models, Mastery on under/over fitting LSTMs
:backends: tensorflow, jax, torch
:before: preparation/validation_split
"""

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from kerasrecipes.analysis import diagnose
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

# One network, and each time one thing is wrong with it; `case` is its name.
VARIANTS = {
    "enough data": {"case": "plateau"},
    "2 units": {"case": "underfitting", "units": 2},
    "200 examples": {"case": "overfitting", "examples": 200},
    "validated on training data": {
        "case": "leak",
        "examples": 100,
        "units": 64,
        "leaks": True,
    },
    "rate 0.00003": {"case": "too low learning rate", "rate": 0.00003},
    "SGD, rate 3": {
        "case": "too high learning rate",
        "rate": 3.0,
        "adaptive": False,
    },
    "SGD, rate 30": {"case": "divergence", "rate": 30.0, "adaptive": False},
    "64 units": {"case": "plateau", "units": 64},
}
RECURRENT = {
    "2 units": VARIANTS["2 units"],
    "200 examples": {**VARIANTS["200 examples"], "units": 32},
}
LSTM = {"LSTM": {"recurrent": True}}
QUICK = {"epochs": 12, "seeds": 1, "variants": ["enough data", "2 units"]}
FULL = {"epochs": 24, "seeds": 10}
CHANCE = np.log(2)  # two classes, as frequent
BOUND = 10.0  # where a loss that explodes is cut off, to be a score

# %%
# The network
# -----------
# Two hidden layers, or an LSTM that is shown one input after the other.


def build_model(units: int = 16, recurrent: bool = False) -> keras.Model:
    """The logit of class 1 for (batch, 6) numbers."""
    hidden = [
        layers.Dense(units, activation="relu"),
        layers.Dense(units, activation="relu"),
    ]
    if recurrent:
        hidden = [layers.Reshape((6, 1)), layers.LSTM(units)]
    return keras.Sequential([layers.Input((6,)), *hidden, layers.Dense(1)])


# %%
# A task whose best loss is known
# -------------------------------
# The classes are drawn from probabilities, so that even the best network is
# surprised: its loss is the entropy of these. A part of the task is a straight
# line, which any network can learn; the product takes hidden units.


def make_rows(examples: int, generator):
    """Rows of six numbers, their classes, and the mean entropy of those."""
    x = generator.normal(size=(examples, 6)).astype("float32")
    logit = 2 * (x[:, 0] + x[:, 1] + 2 * x[:, 2] * x[:, 3])
    p = 1 / (1 + np.exp(-logit))
    y = (generator.random(examples) < p).astype("float32")
    entropy = p * np.logaddexp(0, -logit) + (1 - p) * np.logaddexp(0, logit)
    return x, y, float(entropy.mean())


# %%
# One trial
# ---------
# Put your own data in place of the two lines that make rows; the entropy is
# then the loss of the best model that you know. With `leaks`, the rows to
# validate on are among those to train on, as they are where copies are made
# before a split. Each epoch has forty steps, whatever the number of examples.


def train(
    seed: int,
    epochs: int,
    case: str,
    examples: int = 8000,
    rate: float = 0.01,
    adaptive: bool = True,
    leaks: bool = False,
    **network,
) -> dict:
    """Trains one network; returns what its curves say, and what is in them."""
    generator = np.random.default_rng(seed)
    x, y, _ = make_rows(examples, generator)
    x_val, y_val, attainable = make_rows(examples if leaks else 4000, generator)
    if leaks:
        x, y = np.concatenate([x, x_val]), np.concatenate([y, y_val])
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    adam, sgd = keras.optimizers.Adam(rate), keras.optimizers.SGD(rate, 0.9)
    model.compile(
        adam if adaptive else sgd,
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)],
    )
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    history = model.fit(
        x,
        y,
        batch_size=len(x) // 40,
        epochs=epochs,
        validation_data=(x_val, y_val),
        validation_batch_size=len(x_val),
        verbose=0,
    ).history
    loss, val_loss = (
        np.clip(np.nan_to_num(history[name], nan=BOUND), 0, BOUND)
        for name in ("loss", "val_loss")
    )
    gap = np.subtract(history["accuracy"], history["val_accuracy"])
    _, middle, late = np.array_split(np.arange(epochs), 3)
    return {
        "named": diagnose(history, CHANCE, attainable) == case,
        "underfitting if best is 0": (
            diagnose(history, CHANCE) == "underfitting"
        ),
        "loss": loss[late].mean(),
        "val loss": val_loss[late].mean(),
        "gap": val_loss[late].mean() - loss[late].mean(),
        "accuracy gap": gap[late].mean(),
        "early gain": val_loss[0] - val_loss[middle].mean(),
        "late gain": val_loss[middle].mean() - val_loss[late].mean(),
        "late rise": loss[late].mean() - loss[middle].mean(),
        "curves": {
            "training": loss,
            "validation": val_loss,
            "attainable": [attainable],
        },
    }


# %%
# What must hold exactly
# ----------------------
# The same cases as curves from formulas, in shares; then curves that say too
# little, and noise. Of noise at random a draw in some ten thousand looks like
# a case; of the 500 drawn here, one may.


def draw_curves():
    """Pairs of curves for each case, and pairs that no rule is sure of."""
    e = np.arange(24)
    falls, late = np.exp(-e / 4), e >= 12
    cases = {
        "plateau": (falls, falls + 0.02),
        "underfitting": (0.5 + falls / 2, 0.52 + falls / 2),
        "overfitting": (falls, 0.3 + 0.7 * falls + 0.02 * e),
        "leak": (falls - 0.4 * (1 - falls), falls - 0.5 * (1 - falls)),
        "too low learning rate": (1 - 0.01 * e, 1.01 - 0.01 * e),
        "too high learning rate": (0.3 + 0.7 * late, 0.4 + 0.7 * late),
        "divergence": (1.5**e, 1.6**e),
    }
    unclear = [
        (falls[:11], falls[:11]),  # too few epochs
        (np.where(e == 20, np.nan, falls), falls),
        (0.22 + 0.78 * falls, 0.24 + 0.78 * falls),  # halfway
        (np.ones(24), np.ones(24)),  # nothing moves
    ]
    return cases, unclear


def name_curves(loss, val_loss, chance=None) -> str:
    """What `diagnose` calls two curves."""
    return diagnose({"loss": loss, "val_loss": val_loss}, chance)


def measure(seed: int) -> dict:
    """How many curves from formulas, and from noise, get which name."""
    keras.utils.set_random_seed(seed)
    cases, unclear = draw_curves()
    noise = np.random.default_rng(seed).random((500, 2, 24))
    said = [name_curves(*pair) for pair in noise]
    return {
        "cases": sum(name_curves(*cases[c], chance=1.0) == c for c in cases),
        "unclear": sum(
            name_curves(*pair, chance=1.0) == "unclear" for pair in unclear
        ),
        "noise named": 1 - said.count("unclear") / len(said),
    }


# %%
# The experiment
# --------------


def plot_cases(*runs) -> Figure:
    """Both curves of every network, and how often they were read right."""
    shown = [
        (trials, name, variant["case"], ", ".join([*trials.conditions, name]))
        for trials in runs
        for name, variant in trials.variants.items()
    ]
    rows = -(-len(shown) // 5)
    figure = Figure(figsize=(12, 0.8 + 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, 5, sharey=True, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, one in zip(axes.flat, shown, strict=False):
        trials, name, case, title = one
        for curve, shade in (
            ("training", "#0072B2"),
            ("validation", "#D55E00"),
        ):
            values = trials.curves(curve, name)
            x = np.arange(1, values.shape[1] + 1)
            axis.semilogy(x, values.T, color=shade, alpha=0.25, linewidth=0.8)
            axis.semilogy(x, np.median(values, 0), color=shade, label=curve)
        best = trials.curves("attainable", name).mean()
        axis.axhline(best, color="#009E73", linestyle="--", label="attainable")
        axis.axhline(CHANCE, color="#8C8C8C", linestyle=":", label="guessing")
        right = [*trials.scores("named", name).values()]
        axis.set_title(
            f"{title.strip(', ')}\n{case}: {sum(right):.0f} of {len(right)}",
            fontsize=9,
        )
        axis.set_ylim(0.02, 1.1 * BOUND)
        axis.set_xlabel("epoch")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("log loss [nat]")
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.supxlabel(
        "thin line: a seed, thick line: their median; below the name: what the "
        "curves should be read as, and in how many seeds they were",
        fontsize=9,
    )
    return figure


def main(epochs: Count = 18, seeds: Count = 3) -> Report:
    """Makes one thing go wrong at a time, and reads the curves.

    Args:
        epochs: passes over the training rows.
        seeds: repetitions of every variant, each with new rows.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, epochs=epochs)
    recurrent = run_trials(train, RECURRENT, LSTM, seeds=seeds, epochs=epochs)
    enough, few = "enough data", "200 examples"
    exact = {
        "Curves from formulas are named: seven of seven cases": (
            facts.agrees("cases", 7, within=0)
        ),
        "Four pairs of curves that say too little are unclear": (
            facts.agrees("unclear", 4, within=0)
        ),
        # One draw in some ten thousand: two of 500 would be a rare accident.
        "Random noise is unclear": (
            facts.agrees("noise named", 0, within=0.002)
        ),
    }
    read = {
        f"{kind}{name}: read as {variant['case']} in over half of the runs": (
            run.share("named", name, at_least=0.5)
        )
        for run, kind in ((trials, ""), (recurrent, "LSTM, "))
        for name, variant in run.variants.items()
        if name != "64 units"
    } | {
        "Told nothing of noise, diagnose takes enough data for underfitting": (
            trials.share("underfitting if best is 0", enough, at_least=0.5)
        ),
        "While a network overfits, its training loss continues to increase": (
            trials.is_above("late rise", 0, few)
        ),
        "LSTMs overfit as other networks do: with 200 examples, a gap": (
            recurrent.is_above("gap", 0.05, "200 examples")
        ),
    }
    simple = {
        "With 8,000 examples both losses are closer than 0.05": (
            trials.is_below("gap", 0.05, enough)
        ),
        "Losses too close mean too simple a model: more units help 2 units": (
            trials.is_lower("val loss", enough, than="2 units", by=0.05)
        ),
        "Losses too close mean too simple a model: more units help 16 units": (
            trials.is_lower("val loss", "64 units", than=enough)
        ),
        "Where the validation loss levels off, overfitting starts: a rise": (
            trials.is_below("late gain", -0.01, enough)
        ),
    }
    epochs_help = {
        "More epochs improve a network at first": (
            trials.is_above("early gain", 0, enough)
        ),
        "More epochs improve a network up to a point: later by under 0.01": (
            trials.is_below("late gain", 0.01, enough)
        ),
        "Past that point, more epochs harm a network with 200 examples": (
            trials.is_below("late gain", 0, few)
        ),
    }
    gap = {
        "The gap in accuracy shows overfitting: wide with 200 examples": (
            trials.is_higher("accuracy gap", few, than=enough, by=0.05)
        )
    }
    basics = "Deep Neural Nets Basics, "
    headings = {
        "How to read loss graphs": exact | read,
        "Loss": simple,
        "Train / val accuracy in NN": gap,
        "Batch size": epochs_help,
    }
    return Report(
        trials.table("named", "loss", "val loss", "accuracy gap"),
        recurrent.table("named", "loss", "val loss", "accuracy gap"),
        plot_cases(trials, recurrent),
        *(
            Claim(text, found, basics + heading)
            for heading, claims in headings.items()
            for text, found in claims.items()
        ),
    )


# %%
# What to make of it
# ------------------
# Draw both curves, and a line for guessing and one for the best that you know:
# a person, a published result, a larger network. Without the second line, two
# curves that are level and close say that learning is over, and not why: too
# few units and nothing left to learn look the same. More units, tried once,
# tell them apart. A leak looks like a good network, too; what gives it away is
# only that it is too good. Two things to try: a dropout layer, which lifts the
# training loss above the other for no bad reason; and rates between these,
# where the curves jump but still learn, and no rule is sure.

if __name__ == "__main__":
    cook(main)
