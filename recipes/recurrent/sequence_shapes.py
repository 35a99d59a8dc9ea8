"""
The shapes of sequences: one to many, many to one, many to many
===============================================================

A recurrent layer reads a tensor of shape (batch, steps, features): so many
sequences, each so long, with so many numbers at each step. At step :math:`t` it
turns what it reads and its state into a new state,

.. math::

   h_t = f(x_t, h_{t-1})

and who wants a network has to say at which steps it reads, and at which it
answers. The notes list one to many (a caption for an image), many to one (a
class for a sequence), many to many (a label for each step), and half of the
steps to read and the other half, delayed, to answer. Each is built here for the
smallest task that needs it, and put beside a network without a state.

:question: What shapes go into an LSTM, and what comes out?
:level: beginner
:notes: Deep Learning Models, Recurrent Neural Net (RNN);
    Deep Learning Models, Keras Input shape
:papers: Hochreiter and Schmidhuber 1997,
    https://doi.org/10.1162/neco.1997.9.8.1735
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import (
    FOLDS,
    load_digits,
    load_sequential_digits,
    make_copy_memory,
)
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {"no state": {"state": False}, "LSTM": {"state": True}}
CONDITIONS = {
    "1 to 1": {"wiring": "1 to 1"},
    "1 to N": {"wiring": "1 to N"},
    "N to 1": {"wiring": "N to 1"},
    "N to N": {"wiring": "N to N"},
    "N/2 to N/2": {"wiring": "N/2 to N/2"},
}
QUICK = {"epochs": 1, "seeds": 1, "conditions": ["1 to 1", "1 to N"]}
FULL = {"seeds": 10}

# %%
# Five wirings
# ------------
# Shapes of one example, from the input to the last layer; with a batch, each
# has the number of examples before it. One number alone is the length of a
# vector, without steps.

SHAPES = {
    # A digit's 64 pixels as one step; ten classes.
    "1 to 1": [(64,), (1, 64), (32,), (10,)],
    # The same for each of five letters; 15 kinds of letters and the blank.
    "1 to N": [(64,), (5, 64), (5, 32), (5, 16)],
    # A digit as eight rows of eight pixels.
    "N to 1": [(8, 8), (32,), (10,)],
    # Zeros and ones: has the number of ones so far been odd?
    "N to N": [(8, 1), (8, 32), (8, 2)],
    # Four symbols of four kinds, the sign to go, four steps to repeat them in.
    "N/2 to N/2": [(9, 6), (9, 32), (4, 32), (4, 4)],
}


def make_layers(wiring: str, state: bool = True) -> list:
    """The layers of a network, from the input to the last one."""
    first, *_, (*steps, kinds) = SHAPES[wiring]
    stack = [layers.Input(first)]
    if len(first) == 1:  # a vector: as a sequence of one step, or of five
        stack += [layers.RepeatVector(5 if steps else 1)]
    if state:
        stack += [layers.LSTM(32, return_sequences=len(steps) > 0)]
    else:  # each step by itself, and for one answer the last one
        stack += [layers.Dense(32, activation="tanh")]
        if wiring == "N to 1":
            stack += [layers.Cropping1D((7, 0))]
        if not steps:
            stack += [layers.Flatten()]
    if wiring == "N/2 to N/2":
        stack += [layers.Cropping1D((5, 0))]
    return [*stack, layers.Dense(kinds)]


# %%
# The same network in three styles
# --------------------------------
# A list of layers, a function of tensors, or a class: the choice changes what
# can be written, not what is computed.


def build_model(wiring: str, state: bool = True) -> keras.Model:
    """A network as a list of layers."""
    return keras.Sequential(make_layers(wiring, state))


def build_functional(wiring: str) -> keras.Model:
    """The same as a function of tensors, for inputs that branch and meet."""
    _, *hidden = make_layers(wiring)
    inputs = outputs = keras.Input(SHAPES[wiring][0])
    for layer in hidden:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


class Subclassed(keras.Model):
    """The same as a class, for what is decided while the network runs."""

    def __init__(self, wiring: str):
        super().__init__()
        _, *self.hidden = make_layers(wiring)

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return x


# %%
# One trial
# ---------
# Put your own data in `load`: x of shape (samples, steps, features), or
# (samples, features) where one thing is read; y integers of shape (samples,
# steps), or (samples,) where one thing is said.

WORDS = "zero one two three four five six seven eight nine"
LETTERS = sorted(set(WORDS))  # the blank comes first


def load(wiring: str, seed: int):
    """Inputs and targets of a task, to train on and to test on."""
    if wiring == "N to 1":
        return load_sequential_digits(order="rows", fold=seed)
    if wiring.startswith("1"):
        parts = load_digits(fold=seed, flat=True)
        if wiring == "1 to 1":
            return parts
        words = [word.ljust(5) for word in WORDS.split()]
        codes = np.array([[LETTERS.index(a) for a in word] for word in words])
        return [(x, codes[y]) for x, y in parts]
    if wiring == "N to N":
        bits = np.random.RandomState(seed).randint(0, 2, (2500, 8))
        x, y = bits[:, :, None].astype("float32"), bits.cumsum(axis=1) % 2
    else:
        codes, y = make_copy_memory(2500, gap=1, length=4, symbols=4, seed=seed)
        x, y = np.eye(6, dtype="float32")[codes], y[:, -4:] - 1
    return (x[:2000], y[:2000]), (x[2000:], y[2000:])


def train(seed: int, epochs: int, wiring: str, state: bool) -> dict:
    """Trains one network; returns the share of its answers that are right."""
    (x, y), (x_test, y_test) = load(wiring, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(wiring, state)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    said = ops.convert_to_numpy(model(x_test)).argmax(axis=-1)
    accuracy = np.mean(said == y_test)
    return {"accuracy": accuracy, "solved": accuracy > 0.99}


# %%
# What must hold exactly
# ----------------------
# The tensors of a batch of six, one layer after the other; the three styles
# with the same weights; and what an LSTM says to a table of (samples, steps),
# which lacks the axis for its one feature: `x[:, :, None]` is what it wants.


def measure(seed: int, wiring: str) -> dict:
    """Looks for wrong shapes, and compares the three styles."""
    keras.utils.set_random_seed(seed)
    shape = (6, *SHAPES[wiring][0])
    x = np.random.default_rng(seed).normal(size=shape).astype("float32")
    tensors = [x]
    for layer in make_layers(wiring)[1:]:
        tensors.append(layer(tensors[-1]))
    right = [(6, *shape) for shape in SHAPES[wiring]]
    styles = build_model(wiring), build_functional(wiring), Subclassed(wiring)
    weights, outputs = styles[0].get_weights(), []
    for model in styles:
        model(x)  # a class has no weights before it is called
        model.set_weights(weights)
        outputs.append(ops.convert_to_numpy(model(x)))
    try:
        layers.LSTM(32)(x.reshape(6, -1))
        refused = False
    except ValueError:  # expected ndim=3, found ndim=2
        refused = True
    return {
        "shapes right": [tuple(t.shape) for t in tensors] == right,
        "styles apart": np.ptp(outputs, axis=0).max(),
        "table refused": refused,
    }


# %%
# The experiment
# --------------


def plot_wirings(trials) -> Figure:
    """What is read and said at which step, and how well that works."""
    count = len(trials.conditions)
    figure = Figure(figsize=(2.3 * count + 0.5, 4.8), layout="constrained")
    tops, axes = figure.subplots(2, count, sharey="row", squeeze=False)
    blue = "#0072B2"
    for wiring, top, axis in zip(trials.conditions, tops, axes, strict=True):
        first, *_, last = SHAPES[wiring]
        steps = np.arange(max(s[0] for s in SHAPES[wiring] if len(s) == 2))
        reads = steps if len(first) == 2 else 0 * steps
        says = steps[-last[0] :] if len(last) == 2 else steps[-1:]
        for bottom, pairs in ((0, [reads, steps]), (1, [says, says])):
            rows = np.add(bottom, [0 * pairs[0], 0 * pairs[0] + 1])
            top.plot(pairs, rows, color="lightgrey", zorder=0)
        top.plot(steps, 0 * steps + 1, "s-", color=blue, ms=5)
        top.plot(reads, 0 * reads, "ks", says, 0 * says + 2, "ks", ms=5)
        chain = (" × ".join(map(str, shape)) for shape in SHAPES[wiring])
        top.set_xlabel("  →  ".join(chain), fontsize=7)
        top.set(title=wiring, xticks=[], xlim=(-0.5, 8.5))
        for place, name in enumerate(trials.variants):
            found = [*trials.scores("accuracy", name, wiring).values()]
            spread = place + np.linspace(-0.15, 0.15, len(found))
            axis.plot(spread, found, "o", color=blue, ms=4, alpha=0.5)
            if found:
                axis.plot([place], [np.mean(found)], "D", color=blue)
        axis.set_xticks(range(len(trials.variants)), trials.variants)
        axis.set(xlim=(-0.5, 1.5), ylim=(0, 1.05))
    tops[0].set_yticks(range(3), ("reads", "state", "says"))
    axes[0].set_ylabel("accuracy on new examples")
    figure.supxlabel(
        "above: steps from left to right, and the shapes from layer to layer; "
        "below: dot: a seed, diamond: the mean",
        fontsize=8,
    )
    return figure


def main(epochs: Count = 15, seeds: Count = 3) -> Report:
    """Compares the five wirings, with a state and without.

    Args:
        epochs: passes over 2,000 examples or so.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, None, CONDITIONS, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    single, *several = CONDITIONS
    echo = several[-1]
    none, lstm = VARIANTS
    claims = {
        "Every tensor has the shape that is written in SHAPES": (
            facts.agrees("shapes right", 1, within=0)
        ),
        "Sequential, functional and subclassed are the same function": (
            # The same operations in the same order; a backend may fuse some.
            facts.agrees("styles apart", 0.0, within=1e-6)
        ),
        "An LSTM refuses sequences without an axis for features": (
            facts.agrees("table refused", 1, within=0)
        ),
        "The delayed echo is solved: accuracy above 0.99 in most seeds": (
            trials.share("solved", lstm, at_least=0.5, at=echo)
        ),
        "1 to 1 needs no state: with it or without, within 3 points": (
            trials.is_same("accuracy", lstm, than=none, within=0.03, at=single)
        ),
        **{
            f"{name} needs a state: it is worth over 20 points": (
                trials.is_higher("accuracy", lstm, than=none, by=0.2, at=name)
            )
            for name in several
        },
    }
    shapes = "Deep Learning Models, Keras Input shape"
    wirings = "Deep Learning Models, Recurrent Neural Net (RNN)"
    return Report(
        trials.table("accuracy"),
        plot_wirings(trials),
        *(
            Claim(text, found, shapes if found.exact else wirings)
            for text, found in claims.items()
        ),
    )


# %%
# What to make of it
# ------------------
# Ask two questions of a task: what comes in at each step, and at which steps an
# answer is due. For one answer at the end, take an LSTM as it is; for one at
# each step, `return_sequences=True`; for one thing in and a sequence out,
# `RepeatVector` before it. An answer that needs all of the question has to
# wait: add steps at the end in which there is nothing to read. `Input` is told
# the shape of one example; the batch stays open, and so may the steps, as
# `None`. Two things to try: an `Input` of (None, 1) for N to N, and sequences
# ten times as long as in training; and an echo that begins a step too early.

if __name__ == "__main__":
    cook(main)
