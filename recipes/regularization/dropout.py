"""
Dropout on visible and hidden units
===================================

A network with far more weights than examples can learn its training set by
heart. Dropout silences a random share :math:`p` of a layer's units at every
training step, so that no unit can lean on one particular neighbour; what is
learned is spread over many units. Visible units are the inputs.

A layer's outputs :math:`h` are multiplied, unit by unit, by a mask :math:`m`
that is zero with probability :math:`p` and else one, and then enlarged:

.. math::

   \\tilde h_i = \\frac{m_i h_i}{1 - p}, \\qquad P(m_i = 0) = p

Enlarging keeps the expected output of each unit, so that after training the
layer is simply left out: exact for what the next layer adds up, and no more
than near for what its activation makes of that. This is *inverted* dropout.
The paper's own form trains without the division and multiplies by
:math:`1 - p` afterwards. The notes' listing divides, and its p is the share
*kept*; Keras' ``rate`` is the share dropped: 0.2 keeps four units of five.

:question: My network memorises its training set. Will dropout help, and where?
:level: beginner
:notes: Deep Neural Nets Basics, Dropout layers in Keras and general;
    Everything You Always Wanted to Know About Deep Learning, Dropout
:papers: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import time

import keras
import numpy as np
from keras import layers

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "none": {},
    "hidden 0.05": {"hidden": 0.05},
    "hidden 0.2": {"hidden": 0.2},
    "hidden 0.5": {"hidden": 0.5},
    "hidden 0.8": {"hidden": 0.8},
    "visible 0.2": {"visible": 0.2},
    "visible 0.2, hidden 0.5": {"visible": 0.2, "hidden": 0.5},
}
CONDITIONS = {
    "100 digits": {"examples": 100},
    "1,000 digits": {"examples": 1000},
}
# The notes' rules of thumb for a network that has dropout already: more units,
# or a tenfold learning rate. The first is the baseline.
RULES = {
    "hidden 0.5": {"hidden": 0.5},
    "large": {"hidden": 0.5, "units": 1024},
    "fast": {"hidden": 0.5, "speed": 10},
    "fast, max-norm": {"hidden": 0.5, "speed": 10, "max_norm": 4.0},
}
SMALL = {"100 digits": {"examples": 100}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "hidden 0.5"],
    "conditions": ["100 digits"],
}
FULL = {"epochs": 20, "seeds": 10}

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %%
# The network
# -----------
# Two hidden layers of 256 units for images of 64 pixels: eight hundred weights
# for each example of the smaller set. `Dropout(0)` does nothing, and one
# function builds every variant. Max-norm keeps the weights into a unit short.


def build_model(
    visible: float = 0.0,
    hidden: float = 0.0,
    units: int = 256,
    max_norm: float | None = None,
) -> keras.Model:
    """Classifier of (batch, 64) digits with dropout on input and hidden."""
    limit = keras.constraints.MaxNorm(max_norm) if max_norm else None

    def dense():
        return layers.Dense(units, activation="relu", kernel_constraint=limit)

    return keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dropout(visible),
            dense(),
            layers.Dropout(hidden),
            dense(),
            layers.Dropout(hidden),
            layers.Dense(10),
        ]
    )


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 64), y integers.
# Each epoch shows 2,000 images, however few there are, so that a small
# training set is not also a short training. `speed` is the notes' rule of a
# tenfold learning rate with more momentum, decaying to zero.


def train(
    seed: int, epochs: int, examples: int, speed: float = 1.0, **network
) -> dict:
    """Trains one variant; returns accuracies, with and without all units."""
    (x, y), (x_test, y_test) = load_digits(examples, fold=seed, flat=True)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    repeats = 2000 // examples
    rate, momentum = 0.02 * speed, 0.9
    if speed > 1:
        steps = epochs * repeats * examples // 50
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
        momentum = 0.95
    model.compile(keras.optimizers.SGD(rate, momentum), loss=LOSS)
    x_all, y_all = np.tile(x, (repeats, 1)), np.tile(y, repeats)
    model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    accuracy = score(model, x_test, y_test)
    gap = score(model, x, y) - accuracy
    silence(model, share=0.5, seed=seed)
    return {
        "accuracy": accuracy,
        "gap": gap,
        "loss when silenced": accuracy - score(model, x_test, y_test),
    }


def score(model: keras.Model, x, y) -> float:
    """Share of images whose digit the model names."""
    return np.mean(model.predict(x, verbose=0).argmax(-1) == y)


def silence(model: keras.Model, share: float, seed: int) -> None:
    """Takes a share of the hidden units away for good, scaling the others.

    Zeroing a unit's outgoing weights silences it. A network that leans on
    single units feels that more than one whose units back each other up.
    """
    generator = np.random.default_rng(seed)
    for dense in [d for d in model.layers if isinstance(d, layers.Dense)][1:]:
        kernel, bias = dense.get_weights()  # (units, outputs), (outputs,)
        kept = generator.random((len(kernel), 1)) >= share
        dense.set_weights([kernel * kept / (1 - share), bias])


# %%
# What must hold exactly
# ----------------------
# Keras' layer is compared with one in NumPy, written from the formula. A
# million ones have a mean near 1 after it, with a standard deviation of
# sqrt(p / (1 - p) / 10^6), 0.0005 at p = 0.2: the tolerance is five of these.
# The rest is exact up to rounding: one division in float32,
# sums of forty products in float64.


def numpy_dropout(h, rate: float, generator):
    """Inverted dropout of an array, from the formula."""
    kept = generator.random(h.shape) >= rate
    return h * kept / (1 - rate)


def measure(seed: int) -> dict:
    """What a dropout layer does to a million ones, and to a whole network."""
    rate = 0.2
    ones = np.ones((1000, 1000), "float32")
    by_formula = numpy_dropout(ones, rate, np.random.default_rng(seed))
    layer = layers.Dropout(rate, seed=seed)
    by_keras = keras.ops.convert_to_numpy(layer(ones, training=True))
    at_rest = keras.ops.convert_to_numpy(layer(ones, training=False))

    # The same mask and weights, scaled while training or at test time.
    generator = np.random.default_rng(seed)
    h, weights = generator.normal(size=(5, 40)), generator.normal(size=(40, 3))
    kept = generator.random(40) >= rate
    scaled = weights / (1 - rate)  # the next weights carry the scale
    inverted = (h * kept / (1 - rate)) @ weights
    vanilla = (h * kept) @ scaled
    at_test = h @ (scaled * (1 - rate)) - h @ weights
    return {
        "mean, NumPy": by_formula.mean(),
        "mean, Keras": by_keras.mean(),
        "survivors off 1.25": np.abs(by_keras[by_keras > 0] - 1.25).max(),
        "change at inference": np.abs(at_rest - ones).max(),
        "vanilla against inverted": max(
            np.abs(inverted - vanilla).max(), np.abs(at_test).max()
        ),
    }


# %%
# The cost of a step
# ------------------
# The notes say that training will be faster. Dropout silences units, but the
# matrix products stay as large as they were, and masks must be drawn: so this
# is measured, by the time of an epoch once everything is compiled.


def time_step(seed: int, **network) -> dict:
    """Milliseconds of a training step of 50 digits."""
    (x, y), _ = load_digits(1000, fold=seed, flat=True)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    model.compile(keras.optimizers.SGD(0.02, 0.9), loss=LOSS)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        model.fit(x, y, batch_size=50, verbose=0)
        seconds.append(time.perf_counter() - start)
    return {"milliseconds a step": 1000 * min(seconds[1:]) / 20}


# %%
# The experiment
# --------------


def main(epochs: Count = 5, seeds: Count = 3) -> Report:
    """Compares the variants, seed by seed.

    Args:
        epochs: passes over 2,000 images, some of them the same.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    rules = run_trials(
        train, RULES, SMALL, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    steps = run_trials(
        time_step,
        {name: VARIANTS[name] for name in ("none", "hidden 0.5")},
        seeds=max(seeds // 3, 1),
        timing=True,
    )
    notes = "Deep Neural Nets Basics, Dropout layers in Keras and general"
    few, many = CONDITIONS
    both = "visible 0.2, hidden 0.5"
    claims = {
        "Inverted dropout keeps the mean, by the formula": (
            facts.agrees("mean, NumPy", 1.0, within=0.0025)
        ),
        "Keras' Dropout keeps the mean": (
            facts.agrees("mean, Keras", 1.0, within=0.0025)
        ),
        "Keras scales every survivor by 1 / (1 - p)": (
            facts.agrees("survivors off 1.25", 0.0, within=1e-6)
        ),
        "Dropout is only applied during training": (
            facts.agrees("change at inference", 0.0, within=0.0)
        ),
        "Inverted and original dropout are the same function": (
            facts.agrees("vanilla against inverted", 0.0, within=1e-12)
        ),
        "Always use it: better than none with 100 digits": (
            trials.is_higher("accuracy", "hidden 0.5", than="none", at=few)
        ),
        "Always use it: better than none with 1,000 digits": (
            trials.is_higher("accuracy", "hidden 0.5", than="none", at=many)
        ),
        "A rate of 20 % is a good starting point: better than none": (
            trials.is_higher("accuracy", "hidden 0.2", than="none")
        ),
        "A rate too low has no effect: 5 % is within a point of none": (
            trials.is_same("accuracy", "hidden 0.05", than="none", within=0.01)
        ),
        "A rate too high under-learns: 80 % is worse than 50 %": (
            trials.is_lower("accuracy", "hidden 0.8", than="hidden 0.5")
        ),
        "Dropout on visible and hidden units beats hidden alone": (
            trials.is_higher("accuracy", both, than="hidden 0.5")
        ),
        "Dropout makes the network less likely to overfit": (
            trials.is_lower("gap", "hidden 0.5", than="none")
        ),
        "Trained with dropout, a network bears the loss of units better": (
            trials.is_lower("loss when silenced", "hidden 0.5", than="none")
        ),
        "With dropout, a larger network is better": (
            rules.is_higher("accuracy", "large", than="hidden 0.5")
        ),
        "With dropout, a tenfold rate with decay and momentum is better": (
            rules.is_higher("accuracy", "fast", than="hidden 0.5")
        ),
        "Max-norm 4 improves on the tenfold rate": (
            rules.is_higher("accuracy", "fast, max-norm", than="fast")
        ),
        "Training is faster with dropout: a step takes less time": (
            steps.is_lower("milliseconds a step", "hidden 0.5", than="none")
        ),
    }
    return Report(
        trials.table("accuracy", "gap", "loss when silenced"),
        rules.table("accuracy", "gap"),
        steps.table("milliseconds a step"),
        plot_differences(trials, "accuracy", xlabel="accuracy"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look at the gap and at the accuracy separately: a smaller gap may only mean
# that the network knows its training set less well. Where memorising does
# little harm, dropout has little to mend. Two things to try: shuffle a fifth of
# the training labels, so that there is something wrong to memorise; and weight
# decay in place of `Dropout`, as strong as leads to the same gap.

if __name__ == "__main__":
    cook(main)
