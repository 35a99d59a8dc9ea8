"""
Learning curves: would more data help?
======================================

More data, a larger network, or another method? The learning curve tells: train
on 100 examples, on 200, on 400, and see what each doubling is worth. On many
tasks the error falls as a power of the number :math:`n` of examples,

.. math::

   E(n) \\approx a \\, n^{-b}, \\qquad \\frac{E(2 n)}{E(n)} \\approx 2^{-b}

so that each doubling takes away the same share of what is left, and on paper
with logarithms along both edges the curve is a straight line, which can be
drawn on to sizes that one does not have yet.

The notes give three rules. A network that is poor on its own training data does
not need more of them. One that is good there and poor on test data does. And a
few per cent more make no difference: think of doubling.

:question: Should I collect more data, and how much better would it get?
:level: beginner
:notes: Everything You Always Wanted to Know About Deep Learning,
    Do I need more data?; Everything You Always Wanted to Know About Deep
    Learning, How much data do I need?
:papers: Hestness et al. 2017, https://arxiv.org/abs/1712.00409;
    Viering and Loog 2021, https://arxiv.org/abs/2103.10948
:backends: tensorflow, jax, torch
:before: preparation/validation_split
"""

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from kerasrecipes.datasets import (
    FOLDS,
    load_digits,
    load_docstrings,
    make_gratings,
)
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {"128 units": {"units": 128}, "2 units": {"units": 2}}
CONDITIONS = {
    "digits": {"data": "digits"},
    "docstrings": {"data": "docstrings"},
    "gratings": {"data": "gratings"},
}
QUICK = {
    "steps": 20,
    "seeds": 1,
    "variants": ["128 units", "2 units"],
    "conditions": ["digits"],
}
FULL = {"steps": 600, "seeds": 10}

LARGEST = {"digits": 1600, "docstrings": 3200, "gratings": 4800}
BATCH, WORDS = 50, 1000
TITLE = "Everything You Always Wanted to Know About Deep Learning"
NEED = f"{TITLE}, Do I need more data?"
HOW_MUCH = f"{TITLE}, How much data do I need?"

# %%
# Three data sets
# ---------------
# Images of ten digits; docstrings of four packages, as which of a thousand
# words they have; and gratings, waves in noise that run in six directions, of
# which there are as many as one likes. A smaller training set is a part of the
# larger one.


def load(data: str, examples: int, seed: int) -> tuple:
    """`(x, y), (x_test, y_test)`, with x of shape (samples, features)."""
    if data == "digits":
        return load_digits(examples, fold=seed, flat=True)
    if data == "docstrings":
        encode = layers.CategoryEncoding(WORDS, output_mode="multi_hot")
        parts = load_docstrings(examples, fold=seed, words=WORDS)
        return tuple(
            (keras.ops.convert_to_numpy(encode(x)), y) for x, y in parts
        )
    most, classes = LARGEST[data], 6
    x, y = make_gratings([most // classes] * classes, seed=2 * seed)
    rows = np.random.RandomState(seed).permutation(most)[:examples]
    x_test, y_test = make_gratings([300] * classes, seed=2 * seed + 1)
    return (x[rows].reshape(-1, 64), y[rows]), (x_test.reshape(-1, 64), y_test)


# %%
# The network
# -----------


def build_model(features: int, classes: int, units: int) -> keras.Model:
    """Classifier of (batch, features) numbers."""
    return keras.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(units, activation="relu"),
            layers.Dense(classes),
        ]
    )


# %%
# The power law
# -------------
# A straight line through logarithms. Half a wrong answer more, since none at
# all has no logarithm.


def fit_power_law(sizes, errors) -> tuple[float, float]:
    """`a, b` of errors that fall like `a * n ** -b`."""
    slope, height = np.polyfit(np.log(sizes), np.log(errors), 1)
    return float(np.exp(height)), float(-slope)


# %%
# One trial
# ---------
# Put your own data into `load`. One network is trained on five sizes, each
# twice the one before, and on ten elevenths of the largest, so that there is a
# tenth to add. It begins anew each time, from the same weights, and takes the
# same number of steps. The law is fitted to four sizes and asked about the
# fifth.


def train(seed: int, steps: int, data: str, units: int) -> dict:
    """Errors by the number of training examples, and their power law."""
    sizes = [LARGEST[data] // 2**k for k in (4, 3, 2, 1, 0)]
    keras.utils.set_random_seed(seed)
    model = None
    errors, training_errors = [], []
    for size in [*sizes, LARGEST[data] * 10 // 11]:
        (x, y), (x_test, y_test) = load(data, size, seed)
        if model is None:
            model = build_model(x.shape[1], int(y.max()) + 1, units)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(0.003), loss)
            model.optimizer.build(model.trainable_variables)
            variables = model.variables + model.optimizer.variables
            start = [keras.ops.convert_to_numpy(one) for one in variables]
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        order = np.random.RandomState(seed).permutation(size)
        rows = np.resize(order, steps * BATCH)
        model.fit(x[rows], y[rows], BATCH, shuffle=False, verbose=0)
        for found, inputs, labels in (
            (training_errors, x, y),
            (errors, x_test, y_test),
        ):
            said = keras.ops.convert_to_numpy(model(inputs)).argmax(-1)
            found.append(np.mean(said != labels))
    *errors, without_a_tenth = (one + 0.5 / len(y_test) for one in errors)
    factor, power = fit_power_law(sizes, errors)
    a, b = fit_power_law(sizes[:-1], errors[:-1])
    return {
        "error": errors[-1],
        "training error": training_errors[4],
        "gain of doubling": errors[-2] - errors[-1],
        "gain of a tenth": without_a_tenth - errors[-1],
        "power": power,
        "factor": factor,
        "foretold off": abs(a * sizes[-1] ** -b - errors[-1]),
        "curves": {"error": errors, "size": sizes},
    }


# %%
# What must hold exactly
# ----------------------


def measure(seed: int) -> dict:
    """A law that is known, and whether smaller sets lie in larger ones."""
    keras.utils.set_random_seed(seed)
    sizes = np.array([100, 200, 400, 800])
    _, power = fit_power_law(sizes, 3 * sizes**-0.4)
    lost = 0
    for data in ("digits", "gratings"):
        ((few, _), _), ((many, _), _) = (load(data, n, seed) for n in (60, 120))
        larger = {row.tobytes() for row in many}
        lost += sum(row.tobytes() not in larger for row in few)
    return {"power off": abs(power - 0.4), "lost": lost}


# %%
# The experiment
# --------------


def plot_laws(trials) -> Figure:
    """Errors by size, and the seeds' power laws drawn on to fourfold data."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    axes = figure.subplots(1, len(trials.conditions), squeeze=False)[0]
    variant, *_ = trials.variants
    for axis, condition in zip(axes, trials.conditions, strict=True):
        sizes = trials.curves("size", variant, condition)[0]
        errors = trials.curves("error", variant, condition)
        factors, powers = (
            np.array([*trials.scores(name, variant, condition).values()])
            for name in ("factor", "power")
        )
        axis.loglog(sizes, 100 * errors.T, "o", color="#0072B2", alpha=0.3)
        more = np.geomspace(sizes[0], 4 * sizes[-1], 50)
        laws = 100 * factors[:, None] * more ** -powers[:, None]
        middle = np.exp(np.log(laws).mean(axis=0))
        axis.loglog(more, middle, color="#D55E00")
        axis.fill_between(
            more, laws.min(0), laws.max(0), color="#D55E00", alpha=0.15
        )
        axis.axvline(sizes[-1], color="#8C8C8C", linestyle=":")
        axis.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        axis.minorticks_off()
        ticks = [1, 2, 5, 10, 20, 50]
        axis.set_yticks(ticks, ticks)
        axis.set_title(f"{condition}: power {powers.mean():.2f}", fontsize=10)
        axis.set_xlabel("training examples")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("test error, per cent")
    figure.supxlabel(
        "dot: a seed, line and band: mean and range of the seeds' power laws, "
        "drawn on beyond the dotted line",
        fontsize=9,
    )
    return figure


def main(steps: Count = 600, seeds: Count = 3) -> Report:
    """Measures what more data are worth, on three data sets.

    Args:
        steps: training steps of 50 examples, at each size.
        seeds: repetitions.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, steps=steps
    )
    large, two = VARIANTS
    claims = [
        Claim(
            "The fit finds the power of a known law",
            # A few operations in float64.
            facts.agrees("power off", 0.0, within=1e-9),
            HOW_MUCH,
        ),
        Claim(
            "A smaller training set is a part of a larger one",
            facts.agrees("lost", 0.0, within=0.0),
            HOW_MUCH,
        ),
    ]
    for data in CONDITIONS:
        at = {"variant": large, "at": data}
        claims += [
            Claim(
                f"Doubling the training set lowers the error: {data}",
                trials.is_above("gain of doubling", 0.0, **at),
                HOW_MUCH,
            ),
            Claim(
                f"A tenth more lowers the error by less than a point: {data}",
                trials.is_below("gain of a tenth", 0.01, **at),
                HOW_MUCH,
            ),
            Claim(
                f"The error falls as a power of the number of examples: {data}",
                trials.is_above("power", 0.0, **at),
                HOW_MUCH,
            ),
            Claim(
                f"Four sizes foretell the error of the fifth within 2 points: "
                f"{data}",
                trials.is_below("foretold off", 0.02, **at),
                HOW_MUCH,
            ),
        ]
    claims += [
        Claim(
            "Two hidden units are poor on their own training digits: over 10 % "
            "wrong",
            trials.is_above("training error", 0.1, two, at="digits"),
            NEED,
        ),
        Claim(
            "Poor in training on digits, two hidden units gain less than 2 "
            "points by doubling",
            trials.is_below("gain of doubling", 0.02, two, at="digits"),
            NEED,
        ),
        Claim(
            "Good in training and poor in test, on docstrings, doubling gains "
            "over 2 points",
            trials.is_above("gain of doubling", 0.02, large, at="docstrings"),
            NEED,
        ),
        Claim(
            "Digits take fewer than 5,000 examples a class for an error of 5 %",
            trials.is_below("error", 0.05, large, at="digits"),
            HOW_MUCH,
        ),
    ]
    return Report(
        trials.table("error", "training error", "gain of doubling", "power"),
        trials.table("gain of a tenth", "foretold off"),
        plot_laws(trials),
        *claims,
    )


# %%
# What to make of it
# ------------------
# Train on a half and on a quarter of what you have before you pay for more: two
# runs tell what a doubling was worth, and the next one will be worth about the
# same share of what is left. Look at the training error first, for where it is
# high, the network is too small and data are not what is missing. Two things to
# try: a model of yours on an eighth, a quarter and a half of the data; and
# wrong labels in the training set, which bend the line.

if __name__ == "__main__":
    cook(main)
