"""
Dropout and recurrent dropout in an LSTM
========================================

An LSTM has two streams: up, from what it reads to what it says, and along,
from step to step. ``dropout`` thins the first where it enters,
``recurrent_dropout`` thins the second, and a ``Dropout`` layer behind the LSTM
thins what comes out. The notes call that vertical and horizontal, and ask what
the difference is in practice.

There is one more: a ``Dropout`` layer draws a new mask at every step, an LSTM
one mask for each sequence, which it keeps to the end. With such masks
:math:`m_x, m_h` of zeros and :math:`1 / (1 - p)`, each gate computes

.. math::

   z_t = (x_t \\odot m_x) W + (h_{t-1} \\odot m_h) U + b

That is how the paper reads dropout: whole rows of :math:`W` and :math:`U` are
struck out, as long as the sequence lasts. The four gates may share their masks
("tied") or have their own ("untied"); Keras does either, and does not say when.

:question: My LSTM overfits. Do I want dropout, recurrent_dropout, or a layer?
:level: intermediate
:notes: Deep Neural Nets Basics, Open questions;
    Deep Neural Nets Basics, Difference between LSTM dropout and
    recurrent_dropout;
    Deep Neural Nets Basics, Dropout layers in Keras and general
:papers: Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import time

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_docstrings, load_eeg
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

# One rate, in the middle of the 20 % to 50 % that the notes advise.
VARIANTS = {
    "none": {},
    "dropout": {"dropout": 0.3},
    # Drops no state at this rate, but gives each gate an input mask.
    "dropout, untied": {"dropout": 0.3, "recurrent_dropout": 1e-9},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "both": {"dropout": 0.3, "recurrent_dropout": 0.3},
    "separate layer": {"separate": 0.3},
    "all three": {"dropout": 0.3, "recurrent_dropout": 0.3, "separate": 0.3},
}
CONDITIONS = {"EEG": {"task": "EEG"}, "docstrings": {"task": "docstrings"}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "recurrent_dropout"],
    "conditions": ["EEG"],
}
FULL = {"epochs": 10, "seeds": 10}
STEPS, UNITS, BATCH = 16, 32, 50

# %%
# The networks
# ------------
# Of a docstring's first words the package is told that they are from, by the
# LSTM's last state; at every sample of an EEG on four channels the next one is
# forecast.


def build_model(task: str, separate: float = 0.0, **rates) -> keras.Model:
    """Classifier of texts, (batch, 16), or forecaster, (batch, 16, 4)."""
    # Before Dropout draws a seed, so that all variants start from one state.
    outputs = layers.Dense(4)
    if task == "docstrings":
        inputs = layers.Input((STEPS,), dtype="int32")
        parts = [inputs, layers.Embedding(2000, 32, mask_zero=True)]
        parts += [layers.LSTM(UNITS, **rates)]
    else:
        inputs = layers.Input((STEPS, 4))
        parts = [inputs, layers.LSTM(UNITS, return_sequences=True, **rates)]
    return keras.Sequential([*parts, layers.Dropout(separate), outputs])


# %%
# One trial
# ---------
# Put your own data in `load`. Both sets are small enough to overfit: 600
# docstrings, and seven seconds of one person's EEG, with a second to test on.
# The error is the share of wrong answers, or the root mean square of what the
# forecast is off at a window's last step, in standard deviations of a channel.


def load(task: str, seed: int) -> tuple:
    """Training and test part of a task's data, for one seed."""
    if task == "docstrings":
        return load_docstrings(600, fold=seed, length=STEPS, words=2000)
    return load_eeg(STEPS, fold=seed)


def train(seed: int, epochs: int, task: str, **rates) -> dict:
    """Trains one variant; returns its error on unseen data, and the gap."""
    (x, y), (x_test, y_test) = load(task, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(task, **rates)
    loss = keras.losses.MeanSquaredError()
    if task == "docstrings":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    said = ops.convert_to_numpy(model(np.concatenate([x, x_test])))
    error = score(task, said[len(x) :], y_test)
    return {"error": error, "gap": error - score(task, said[: len(x)], y)}


def score(task: str, said, y) -> float:
    """Share of wrong answers, or the RMSE at the last step."""
    if task == "docstrings":
        return np.mean(said.argmax(-1) != y)
    return np.sqrt(np.mean(np.square(said[:, -1] - y[:, -1])))


# %%
# Reading the masks
# -----------------
# An LSTM whose gates are linear shows its masks. Let all gates be 1, but the
# forget gate 0, so that nothing is remembered; then give one gate, and no
# other, a kernel of ones on the diagonal. Where ones are read, a unit says 1
# plus its mask; where its own last output comes back, 1 plus mask times that.

GATES = "ifco"  # input, forget, candidate, output: Keras' order


def read_masks(way: str, gate: str = "c", steps: int = STEPS, **arguments):
    """Masks of one gate on one way, (64 sequences, steps - 1, units).

    Give the forget gate 2 steps: with its kernel it begins to remember.
    """
    kernels = np.zeros((2, UNITS, 4, UNITS))
    kernels[["input", "state"].index(way), :, GATES.index(gate)] = np.eye(UNITS)
    names = ("activation", "recurrent_activation")
    linear = dict.fromkeys(names, "linear")
    lstm = layers.LSTM(UNITS, return_sequences=True, **linear, **arguments)
    ones = np.ones((64, steps, UNITS), "float32")
    lstm.build(ones.shape)
    biases = np.repeat([1, 0, 1, 1], UNITS)
    lstm.set_weights([*kernels.reshape(2, UNITS, 4 * UNITS), biases])
    said = ops.convert_to_numpy(lstm(ones, training=True))
    return (said[:, 1:] - 1) / (said[:, :-1] if way == "state" else 1)


def by_formula(x, weights, input_masks, state_masks):
    """Last state of an LSTM in NumPy, with masks by gate."""
    kernels, recurrents, biases = (np.split(w, 4, axis=-1) for w in weights)
    h = c = np.zeros((len(x), UNITS))
    for step in range(x.shape[1]):
        i, f, new, o = (
            (x[:, step] * input_masks[gate]) @ kernels[gate]
            + (h * state_masks[gate]) @ recurrents[gate]
            + biases[gate]
            for gate in range(4)
        )
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(new)
        h = o * np.tanh(c)
    return h


# %%
# What must hold exactly
# ----------------------
# At a rate of one half, a mask that is drawn anew at 40 steps stays the same
# with a probability of 2 to the power of -39. Layers with the same `seed` draw
# the same masks, so that those of a common LSTM are known when the formula is
# put to the test.


MASKS = ["dropout: input", "recurrent_dropout: state", "Dropout layer: output"]
# Score, value, and a tolerance for float32: the rounding of a quotient, and
# ten steps with sums of 64 products of about one.
EXACT = [
    ("share of dropout's masks that change on the way", 0, 0),
    ("share of recurrent_dropout's masks that change on the way", 0, 0),
    ("share of a separate layer's masks that change on the way", 1, 0),
    ("share of sequences with a mask of their own", 1, 0),
    ("effect of dropout on the way from state to state", 0, 0),
    ("effect of recurrent_dropout on what is read", 0, 0),
    ("number of masks for four gates, with dropout", 1, 0),
    ("number of masks for four gates, with both", 4, 0),
    ("factor of what is kept at a rate of a half", 2, 1e-6),
    ("distance from the paper's formula with these masks", 0, 1e-5),
    ("distance from an LSTM without masks at inference", 0, 1e-5),
]


def share_changing(masks) -> float:
    """Share of the units, in each sequence, that are not always the same."""
    kept = masks > 0
    return np.mean(kept.any(axis=1) & ~kept.all(axis=1))


def measure(seed: int) -> dict:
    """What the three kinds of dropout let through, step by step."""
    inside = {"dropout": 0.5, "seed": seed}
    along = {"recurrent_dropout": 0.5, "seed": seed}
    inputs, states = read_masks("input", **inside), read_masks("state", **along)
    layer = layers.Dropout(0.5, seed=seed)
    ones = np.ones((64, 40, UNITS), "float32")
    outputs = ops.convert_to_numpy(layer(ones, training=True))
    kept = np.append(inputs[inputs > 0], states[states > 0])

    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(64, 10, UNITS)).astype("float32")
    counts, trained, rested = [], [], []
    for rates in (inside, {**inside, **along}):
        masks = [
            [read_masks(way, gate, 2, **rates)[:, 0] for gate in GATES]
            for way in ("input", "state")
        ]
        counts.append(len(np.unique(masks[0], axis=0)))
        lstm = layers.LSTM(UNITS, **rates)
        for errors, training in ((trained, True), (rested, False)):
            said = ops.convert_to_numpy(lstm(x, training=training))
            used = masks if training else np.ones((2, 4, 1, 1))
            errors.append(said - by_formula(x, lstm.get_weights(), *used))
    parts = inputs, states, outputs
    values = [
        *map(share_changing, parts),
        len(np.unique(inputs[:, 0], axis=0)) / len(inputs),
        np.abs(read_masks("state", **inside) - 1).max(),
        np.abs(read_masks("input", **along) - 1).max(),
        counts[0],
        counts[-1],
        kept[np.abs(kept - 2).argmax()],
        np.abs(trained).max(),
        np.abs(rested).max(),
    ]
    scores = {score: v for (score, *_), v in zip(EXACT, values, strict=True)}
    curves = [np.sign(part[0, : STEPS - 1, :STEPS].T).ravel() for part in parts]
    return {**scores, "curves": dict(zip(MASKS, curves, strict=True))}


# %%
# The cost of a step
# ------------------
# With `recurrent_dropout` Keras cannot use cuDNN's LSTM. That is about graphics
# cards: on a processor there is no such kernel to lose. But with four masks on
# two ways, two matrix products a step become eight small ones, and PyTorch no
# longer multiplies the inputs of all steps at once.

PLAIN, ALONG = f"ms a step, {keras.config.backend()}", "with recurrent_dropout"


def time_steps(seed: int) -> dict:
    """Milliseconds of a training step on the EEG, without and with it."""
    (x, y), _ = load("EEG", seed)
    models = [build_model("EEG", recurrent_dropout=rate) for rate in (0, 0.3)]
    for model in models:
        model.compile("adam", "mse")
    seconds = np.zeros((4, 2))  # in turn, so that chances are equal
    for turn, number in np.ndindex(*seconds.shape):
        start = time.perf_counter()
        models[number].fit(x, y, batch_size=BATCH, verbose=0)
        seconds[turn, number] = time.perf_counter() - start
    # The first turn compiles.
    steps = 1000 * seconds[1:].min(axis=0) / np.ceil(len(x) / BATCH)
    return {PLAIN: steps[0], ALONG: steps[1], "ratio": steps[1] / steps[0]}


# %%
# The experiment
# --------------


def plot_answers(facts, trials) -> Figure:
    """The three kinds of masks, and what they do to the error."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[4, 5])
    axes = top.subplots(1, 3, sharey=True)
    ends, ticks = [1.5, STEPS + 0.5, 0.5, STEPS + 0.5], range(4, STEPS + 1, 4)
    axes[0].set(ylabel="unit (black: dropped)", yticks=ticks)
    for title, axis in zip(MASKS, axes, strict=True):
        for mask in facts.curves(title)[:1].reshape(-1, STEPS, STEPS - 1):
            axis.imshow(mask, "gray", aspect="auto", extent=ends, vmin=0)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="step", xticks=ticks)
    axes = bottom.subplots(1, 2, sharey=True)
    units = "RMSE in standard deviations", "share of wrong answers"
    names = list(VARIANTS)[1:]
    for task, unit, axis in zip(CONDITIONS, units, axes, strict=True):
        for row, name in enumerate(names):
            points = trials.differences("error", name, "none", task)
            places = row + np.linspace(-0.2, 0.2, len(points))
            axis.plot(points, places, "o", color="C0", ms=3, alpha=0.4)
            found = trials.is_lower("error", name, than="none", at=task)
            line = np.array([found.low, found.effect, found.high], float)
            axis.plot(line, [row] * 3, "-D", color="C0", markevery=[1])
        axis.axvline(0, color="grey", linewidth=0.8, linestyle=":")
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.locator_params("x", nbins=5)
        axis.set_title(f"{task}: {unit}", fontsize=10)
    bottom.supxlabel(
        "error on unseen data: difference to none, left is better\n"
        "dot: a seed, diamond and line: mean and 95 % interval",
        fontsize=9,
    )
    return figure


def main(epochs: Count = 3, seeds: Count = 3) -> Report:
    """Compares the variants, seed by seed.

    Args:
        epochs: passes over 600 docstrings, or some 700 windows of EEG.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    steps = run_trials(time_steps, seeds=max(seeds // 3, 1), timing=True)
    streams = "Difference between LSTM dropout and recurrent_dropout"
    claims = {
        f"The {score} is {value}": (
            facts.agrees(score, value, within=within),
            streams,
        )
        for score, value, within in EXACT
    }
    # Which should have the lower error, and than which.
    layer, along, untied = (
        "separate layer",
        "recurrent_dropout",
        "dropout, untied",
    )
    pairs = {
        "A layer helps an LSTM that has both already": ("all three", "both"),
        "Dropout inside is better than a separate layer": ("dropout", layer),
        "recurrent_dropout is better than dropout": (along, "dropout"),
        "dropout is better with masks for each gate": (untied, "dropout"),
        "Always use it: dropout is better than none": ("dropout", "none"),
        "Always use it: recurrent_dropout is better than none": (along, "none"),
        "Always use it: a separate layer is better than none": (layer, "none"),
    }
    advice = "Dropout layers in Keras and general"
    for task in CONDITIONS:
        for text, (name, than) in pairs.items():
            found = trials.is_lower("error", name, than=than, at=task)
            heading = advice if "Always" in text else "Open questions"
            claims[f"{text}: {task}"] = found, heading
        found = trials.is_lower("gap", "both", than="none", at=task)
        claims[f"Both make the network overfit less: {task}"] = found, advice
    for text, found in {
        "On four channels dropout costs more than 0.02 of RMSE": (
            trials.is_higher("error", "dropout", than="none", at="EEG", by=0.02)
        ),
        "recurrent_dropout makes a step longer": steps.is_above("ratio", 1.0),
    }.items():
        claims[text] = found, streams
    return Report(
        trials.table("error", "gap"),
        steps.table(PLAIN, ALONG, "ratio"),
        plot_answers(facts, trials),
        *(
            Claim(text, found, f"Deep Neural Nets Basics, {heading}")
            for text, (found, heading) in claims.items()
        ),
    )


# %%
# What to make of it
# ------------------
# Inputs that can spare a few of their kind, such as the dimensions of a word's
# vector, are what `dropout` is made for. The EEG's four channels are the trap:
# with one mask for all gates a channel is gone for the whole window. With a
# mask for each gate hardly any is gone from all four; but Keras draws those
# only along with `recurrent_dropout`, which thus does more than its name says.
# Two things to try: a Dense layer of 32 units on the channels, before the
# LSTM, so that what is dropped can be spared; and a second LSTM behind the
# separate layer, whose memory then has a different hole at every step.

if __name__ == "__main__":
    cook(main)
