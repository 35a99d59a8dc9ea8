"""
How many weights an LSTM has, and what more units buy
=====================================================

``units`` is the size of an LSTM's state and of what it says at each step. It is
not the number of steps: every step uses the same weights. Each of the four
gates looks at :math:`n` features and at :math:`m` units, and has a bias for
each unit:

.. math::

   \\text{LSTM: } 4 \\, ((n + m) \\, m + m) \\qquad
   \\text{GRU: } 3 \\, ((n + m) \\, m + 2 m)

A GRU has three such parts, and in Keras each has two biases, unless one says
``reset_after=False``. With many units the count grows with their square. What
that costs in time and memory, and what it buys in accuracy, is measured on
digits that are read row by row.

:question: How many units should my LSTM have, and how many weights is that?
:level: beginner
:notes: Deep Learning Models, Calculate how many params are in an LSTM layer?;
    Deep Learning Models, Number of units in LSTM
:papers: Sak et al. 2014, https://arxiv.org/abs/1402.1128
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import itertools
import time

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_sequential_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "4 units": {"units": 4},
    "8 units": {"units": 8},
    "16 units": {"units": 16},
    "32 units": {"units": 32},
    "64 units": {"units": 64},
    "128 units": {"units": 128},
}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["4 units", "8 units"]}
FULL = {"seeds": 10}
UNITS = [variant["units"] for variant in VARIANTS.values()]
STEP = "milliseconds a step"

# %%
# A projection, which Keras has not
# ---------------------------------
# Most of the weights connect units with units. To have many units and fewer
# weights, an LSTM may say only a few mixtures of them, and read those in its
# next step. Keras' LSTM cannot do that; a cell of its own can.


class ProjectedLSTMCell(layers.Layer):
    """An LSTM cell that says fewer numbers than it keeps."""

    def __init__(self, units: int, projection: int):
        super().__init__()
        self.units = units
        self.output_size = projection
        self.state_size = [projection, units]
        self.gates = layers.Dense(4 * units)
        self.project = layers.Dense(projection, use_bias=False)

    def build(self, input_shape):
        self.gates.build((None, input_shape[-1] + self.output_size))
        self.project.build((None, self.units))

    def call(self, inputs, states):
        h, c = states
        seen = ops.concatenate([inputs, h], axis=-1)
        i, f, g, o = ops.split(self.gates(seen), 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = self.project(ops.sigmoid(o) * ops.tanh(c))
        return h, [h, c]


# %%
# Counting weights
# ----------------
# The formulas, for n features and m units. In a stack the second LSTM reads the
# m numbers of the first one. The projection is to half the units.

FACTS = {
    "SimpleRNN": "A SimpleRNN has (n + m)m + m weights",
    "LSTM": "An LSTM has 4((n + m)m + m) weights",
    "GRU": "A GRU has 3((n + m)m + 2m) weights",
    "GRU, one bias": "Without reset_after a GRU has 3((n + m)m + m) weights",
    "bidirectional": "Bidirectional doubles an LSTM's weights",
    "stacked": "Stacked, the second LSTM has 4((m + m)m + m) weights",
    "projected": "Projected to r, an LSTM has 4((n + r)m + m) + mr weights",
}


def by_formula(n: int, m: int) -> dict:
    """Weights of each kind of layer, by its formula."""
    lstm, r = 4 * ((n + m) * m + m), m // 2
    return {
        "SimpleRNN": (n + m) * m + m,
        "LSTM": lstm,
        "GRU": 3 * ((n + m) * m + 2 * m),
        "GRU, one bias": 3 * ((n + m) * m + m),
        "bidirectional": 2 * lstm,
        "stacked": lstm + 4 * ((m + m) * m + m),
        "projected": 4 * ((n + r) * m + m) + m * r,
    }


def by_keras(n: int, m: int, steps: int) -> dict:
    """Weights of each kind of layer, as Keras counts them."""
    stack = [layers.LSTM(m, return_sequences=True), layers.LSTM(m)]
    kinds = {
        "SimpleRNN": [layers.SimpleRNN(m)],
        "LSTM": [layers.LSTM(m)],
        "GRU": [layers.GRU(m)],
        "GRU, one bias": [layers.GRU(m, reset_after=False)],
        "bidirectional": [layers.Bidirectional(layers.LSTM(m))],
        "stacked": stack,
        "projected": [layers.RNN(ProjectedLSTMCell(m, m // 2))],
    }
    inputs = layers.Input((steps, n))
    return {
        kind: keras.Sequential([inputs, *found]).count_params()
        for kind, found in kinds.items()
    }


def measure(seed: int) -> dict:
    """Weights by Keras for n = 8, m = 16, and how far the formulas are off."""
    keras.utils.set_random_seed(seed)
    off = dict.fromkeys(FACTS, 0)
    for n, m in ((1, 2), (5, 50), (8, 16)):
        counted = by_keras(n, m, steps=8)
        for kind, weights in by_formula(n, m).items():
            off[kind] += abs(counted[kind] - weights)
    scores = counted | {f"{kind}, off": value for kind, value in off.items()}
    scores["longer"] = by_keras(8, 16, steps=800) != counted
    return scores


# %%
# One trial
# ---------
# Put your own sequences in the first line: x of shape (samples, steps,
# features), y integers. Adam keeps two numbers for each weight; what it takes
# to hold the training is counted from the variables, and what the backend
# keeps for the gradient of each step comes on top.


def build_model(units: int) -> keras.Model:
    """Classifier of (batch, 8, 8) digits, row by row, ready to train."""
    lstm = layers.LSTM(units)
    model = keras.Sequential([layers.Input((8, 8)), lstm, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    return model


def train(seed: int, epochs: int, units: int) -> dict:
    """Trains one network; returns accuracies and the size of what it holds."""
    (x, y), (x_test, y_test) = load_sequential_digits(
        500, order="rows", fold=seed
    )
    keras.utils.set_random_seed(seed)
    model = build_model(units)
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)

    def score(x, y):
        return np.mean(ops.convert_to_numpy(model(x)).argmax(axis=-1) == y)

    accuracy = score(x_test, y_test)
    variables = [*model.trainable_variables, *model.optimizer.variables]
    held = sum(np.prod(variable.shape) for variable in variables)
    return {
        "accuracy": accuracy,
        "gap": score(x, y) - accuracy,
        "held for each weight": held / model.count_params(),
        "KiB": 4 * held / 1024,  # four bytes for a float32
    }


def time_step(seed: int, units: int) -> dict:
    """Milliseconds of a training step of 50 digits."""
    (x, y), _ = load_sequential_digits(1000, order="rows", fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(units)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        model.fit(x, y, batch_size=50, verbose=0)
        seconds.append(time.perf_counter() - start)
    return {STEP: 1000 * min(seconds[1:]) / 20}


# %%
# The experiment
# --------------


def plot_units(trials, times) -> Figure:
    """What more units buy, and what they cost in time and memory."""
    figure = Figure(figsize=(9.5, 3.4), layout="constrained")
    for axis, (label, score, found) in zip(
        figure.subplots(1, 3),
        (
            ("accuracy on new digits", "accuracy", trials),
            ("training step of 50 digits [ms]", STEP, times),
            ("weights and Adam's numbers [KiB]", "KiB", trials),
        ),
        strict=True,
    ):
        by_units = {}
        for trial in found.trials:
            units = VARIANTS[trial["variant"] or trial["condition"]]["units"]
            by_units.setdefault(units, []).append(trial["scores"][score])
        values = by_units.values()
        low, high = [*map(min, values)], [*map(max, values)]
        axis.plot([*by_units], [*map(np.mean, values)], "o-", color="#0072B2")
        axis.fill_between([*by_units], low, high, color="#0072B2", alpha=0.15)
        axis.set(xlabel="units", ylabel=label, xscale="log", xlim=(3.5, 150))
        axis.minorticks_off()
        axis.set_xticks(UNITS, UNITS)
        axis.spines[["top", "right"]].set_visible(False)
    axis.set(yscale="log", ylim=(1, 2000))
    figure.axes[1].set_ylim(bottom=0)
    figure.supxlabel("line: mean, band: range of the seeds", fontsize=8)
    return figure


def main(epochs: Count = 30, seeds: Count = 3) -> Report:
    """Counts weights, and compares numbers of units.

    Args:
        epochs: passes over 500 digits.
        seeds: paired repetitions of every number of units.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    times = run_trials(
        time_step,
        conditions=VARIANTS,
        seeds=max(seeds // 3, 1),
        timing=True,
    )
    counts = {
        text: facts.agrees(f"{kind}, off", 0, within=0)
        for kind, text in FACTS.items()
    } | {
        "A hundred times the steps need no more weights": (
            facts.agrees("longer", 0, within=0)
        ),
        "With Adam, training holds three numbers for each weight": (
            # And two more in all: the number of steps and the learning rate.
            trials.agrees("held for each weight", 3, within=0.01)
        ),
    }
    units = {
        **{
            f"{more} tell more digits than {fewer}": (
                trials.is_higher("accuracy", more, than=fewer)
            )
            for fewer, more in itertools.pairwise([*VARIANTS][:4])
        },
        "128 units are within a point of 64, with four times the weights": (
            trials.is_same(
                "accuracy", "128 units", than="64 units", within=0.01
            )
        ),
        "More units overfit: the gap is wider with 128 than with 16": (
            trials.is_higher("gap", "128 units", than="16 units")
        ),
        "Time grows more slowly than weights: less than units squared": (
            times.trend(STEP, over="units", slope=2, falls=True, log=True)
        ),
    }
    first = (
        "Deep Learning Models, Calculate how many params are in an LSTM layer?"
    )
    second = "Deep Learning Models, Number of units in LSTM"
    return Report(
        facts.table(*FACTS),
        trials.table("accuracy", "gap", "KiB"),
        times.table(STEP),
        plot_units(trials, times),
        *(Claim(text, found, first) for text, found in counts.items()),
        *(Claim(text, found, second) for text, found in units.items()),
    )


# %%
# What to make of it
# ------------------
# Double the units until the accuracy on data that the network was not trained
# on stops rising. Weights are a poor measure of time: with few units, most of a
# step is not spent in multiplying, and the steps of a sequence, one after the
# other, cost more than what happens in each. Where memory is short, count three
# numbers for a weight in training and one afterwards, and the states that are
# kept for the gradient: so many for each unit, each step and each sequence of a
# batch. Two things to try: a GRU with as many weights as the LSTM of 32 units
# (the formula says how many units it has); and the projected cell in `RNN`.

if __name__ == "__main__":
    cook(main)
