"""
Starting a recurrent network: does it matter if there is normalization?
=======================================================================

A weight that meets its own work at every step could well be the one whose
start matters most. The notes have two lines on that. In a comparison of LSTM,
GRU and MGU, a GRU with Xavier's start and batch normalization was best; and one
should not worry about initialization, but use normalization, and a GRU for
large networks.

Xavier Glorot's start gives the weights of :math:`n` inputs and :math:`m`
outputs, and He's those behind a ReLU, a variance of

.. math::

   \\mathrm{Var}(W) = \\frac{2}{n + m} \\qquad \\text{and} \\qquad
   \\mathrm{Var}(W) = \\frac{2}{n}

Batch normalization divides by the size of what comes from the inputs,

.. math::

   \\mathrm{BN}(x_t W) = \\gamma \\odot
   \\frac{x_t W - \\mu}{\\sqrt{\\sigma^2 + \\epsilon}} + \\beta, \\qquad
   \\sigma^2 = \\mathrm{Var}(x_t W)

so that ten times the kernel is the same network: of the kernel's start nothing
is left but directions. What comes from the state, :math:`h_{t-1} U`, keeps the
size that it starts with.

:question: Need I care how the weights of my GRU or LSTM start?
:level: intermediate
:notes: Deep Learning Models, A comparison of LSTM/GRU/MGU with batch
    normalization and various initializations;
    Deep Learning Models, Benchmarking RNN networks for text
:papers: Glorot and Bengio 2010,
    https://proceedings.mlr.press/v9/glorot10a.html;
    Laurent et al. 2015, https://arxiv.org/abs/1510.01378;
    Zhou et al. 2016, https://arxiv.org/abs/1603.09420
:backends: tensorflow, jax, torch
:before: recurrent/gru, normalization/batch_normalized_rnn
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.cells import MGUCell
from kerasrecipes.datasets import FOLDS, load_sequential_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "LSTM": {"cell": layers.LSTMCell, "norm": False},
    "GRU": {"cell": layers.GRUCell, "norm": False},
    "MGU": {"cell": MGUCell, "norm": False},
    "LSTM, batch norm": {"cell": layers.LSTMCell, "norm": True},
    "GRU, batch norm": {"cell": layers.GRUCell, "norm": True},
    "MGU, batch norm": {"cell": MGUCell, "norm": True},
}
# Of the inputs' kernel and of the state's. The first is Keras' own; a number
# is the standard deviation of a plain normal distribution.
STARTS = {
    "Xavier": ("glorot_uniform", "orthogonal"),
    "He": ("he_normal", "he_normal"),
    "normal 0.01": (0.01, 0.01),
    "normal 1": (1.0, 1.0),
}
BIG = {n: VARIANTS[n] for n in ("LSTM, batch norm", "GRU, batch norm")}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["LSTM", "GRU, batch norm"]}
FULL = {"epochs": 5, "seeds": 10}
BLOCKS = {layers.LSTMCell: 4, layers.GRUCell: 3, MGUCell: 2}
EPSILON = 0.001  # Keras' own

# %%
# The network
# -----------
# A digit is read row by row, in eight steps. With normalization `Dense` does
# the cell's multiplication for all steps at once, and batch normalization takes
# its mean and variance over batch and steps; the cell's own kernel is then an
# identity that is not trained. That fits every cell.


def make_initializer(start: str | float):
    """An initializer by its name or by its standard deviation."""
    if isinstance(start, str):
        return keras.initializers.get(start)
    return keras.initializers.RandomNormal(stddev=start)


def build_model(
    cell, norm: bool, units: int = 32, start: str = "Xavier", epsilon=EPSILON
) -> keras.Model:
    """Classifier of digits by rows, (batch, 8, 8)."""
    kernel, recurrent = map(make_initializer, STARTS[start])
    normalize = []
    if norm:
        width = BLOCKS[cell] * units  # all gates side by side
        normalize = [
            layers.Dense(width, use_bias=False, kernel_initializer=kernel),
            layers.BatchNormalization(momentum=0.9, epsilon=epsilon),
        ]
        kernel = "identity"
    used = {"kernel_initializer": kernel, "recurrent_initializer": recurrent}
    rnn = layers.RNN(cell(units, **used))
    inputs = layers.Input((8, 8))
    model = keras.Sequential([inputs, *normalize, rnn, layers.Dense(10)])
    rnn.cell.kernel.trainable = not norm
    return model


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 8, 8), y integers.
# The starts take turns in one network, which is compiled once, each with a new
# optimizer and the same batches.


def train(
    seed: int, epochs: int, cell, norm: bool, units=32, starts=tuple(STARTS)
) -> dict:
    """Trains one network from each start; returns accuracies by start."""
    (x, y), (x_test, y_test) = load_sequential_digits(
        1000, order="rows", fold=seed
    )
    model = build_model(cell, norm, units)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    state = model.optimizer.variables
    unused = [ops.convert_to_numpy(variable) for variable in state]
    found = {}
    for start in starts:
        keras.utils.set_random_seed(seed)
        begun = build_model(cell, norm, units, start)
        model.set_weights(begun.get_weights())
        for variable, value in zip(state, unused, strict=True):
            variable.assign(value)
        # Not shuffled again: the digits come in a random order of their own.
        model.fit(x, y, batch_size=100, epochs=epochs, shuffle=False, verbose=0)
        said = ops.convert_to_numpy(model(x_test)).argmax(axis=-1)
        found[start] = np.mean(said == y_test)
    values = list(found.values())
    first = {f"Xavier less {n}": values[0] - found[n] for n in starts[1:]}
    spread = max(values) - min(values)
    return {**found, **first, "mean": np.mean(values), "spread": spread}


# %%
# What must hold exactly
# ----------------------
# Keras has all gates in one kernel, and its initializers see that as one layer:
# of 128 units, an LSTM's Xavier counts 512 outputs, an MGU's 256. An orthogonal
# start, too, belongs to all gates together: each gate gets its share of the
# state's norm. A pitfall: Keras' epsilon is a thousandth, which is much for a
# small start whose variance is less.


def measure(seed: int) -> dict:
    """How far rules and starts are apart, and what epsilon does."""
    keras.utils.set_random_seed(seed)
    (x, _), _ = load_sequential_digits(400, order="rows", fold=seed)
    generator = np.random.default_rng(seed)
    units, features = 128, 64
    state = generator.normal(size=(50, units))
    scores = dict.fromkeys(["variance", "norm", "blocks", "tenfold"], 0.0)
    for cell, blocks in BLOCKS.items():
        built = cell(units)
        built.build((None, features))
        kernel, recurrent, *_ = built.get_weights()
        rule = 2 / (features + blocks * units)
        sizes = np.linalg.norm(state @ recurrent, axis=-1)
        sizes = sizes / np.linalg.norm(state, axis=-1)
        # The same network with ten times the kernel.
        model = build_model(cell, True, epsilon=1e-12)
        before = ops.convert_to_numpy(model(x, training=True))
        projection, *others = model.get_weights()
        model.set_weights([10 * projection, *others])
        after = ops.convert_to_numpy(model(x, training=True))
        off = {
            "variance": kernel.var() / rule - 1,
            "norm": np.abs(sizes - 1).max(),
            "blocks": recurrent.shape[1] - blocks * units,
            "tenfold": np.abs(after - before).max() / np.abs(before).max(),
        }
        scores = {n: max(scores[n], abs(off[n])) for n in scores}
    for epsilon in (EPSILON, 1e-7):
        model = build_model(layers.GRUCell, True, 32, "normal 0.01", epsilon)
        project, normalize, *_ = model.layers
        normal = ops.convert_to_numpy(normalize(project(x), training=True))
        scores[f"size, epsilon {epsilon:g}"] = normal.std()
    return scores


# %%
# The experiment
# --------------


def plot_starts(trials, shades) -> Figure:
    """Accuracy by start, without and with normalization."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, norm in zip(axes, ("", ", batch norm"), strict=True):
        for place, (cell, shade) in enumerate(shades.items()):
            found = [trials.scores(start, cell + norm) for start in STARTS]
            values = np.array([[*by_seed.values()] for by_seed in found])
            if not values.size:
                continue
            # Beside each other, so that none hides another.
            x = np.arange(len(STARTS)) + 0.12 * (place - 1)
            axis.plot(x, values.mean(1), "o-", color=shade, label=cell)
            ends = values.min(1), values.max(1)
            axis.vlines(x, *ends, color=shade, alpha=0.4, lw=3)
        axis.set_title(norm[2:] or "no normalization", fontsize=10)
        axis.set_xticks(range(len(STARTS)), STARTS)
        axis.set_xlabel("start of the weights")
        axis.spines[["top", "right"]].set_visible(False)
        if axis.lines:
            axis.legend(frameon=False, fontsize=8, loc="lower left")
    axes[0].set_ylabel("share of new digits that are told right")
    figure.supxlabel("dot: mean of the seeds, bar: their range", fontsize=8)
    return figure


def main(epochs: Count = 3, seeds: Count = 3) -> Report:
    """Compares cells, starts and normalization, seed by seed.

    Args:
        epochs: passes over 1,000 digits, from each start.
        seeds: paired repetitions of every network.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    big = run_trials(
        train,
        BIG,
        seeds=seeds,
        folds=FOLDS,
        epochs=epochs,
        units=96,
        starts=["Xavier"],
    )
    best = "GRU, batch norm"
    cells = ("LSTM", "GRU", "MGU")
    exact = {
        # A variance of 16,384 weights or more that are evenly spread is off by
        # 0.7 % as a rule: five times that.
        "Xavier's variance is 2 / (inputs + outputs), all gates together": (
            facts.agrees("variance", 0, within=0.035)
        ),
        # Float32, from here on.
        "An orthogonal start keeps the state's norm, over all gates": (
            facts.agrees("norm", 0, within=1e-5)
        ),
        "An LSTM has four blocks of weights, a GRU three and an MGU two": (
            facts.agrees("blocks", 0, within=0)
        ),
        "Behind the normalization ten times the kernel is the same network": (
            facts.agrees("tenfold", 0, within=1e-4)
        ),
        "With an epsilon of 1e-7 a start of 0.01 is normalized to 1": (
            facts.agrees("size, epsilon 1e-07", 1, within=0.01)
        ),
        "With Keras' epsilon a start of 0.01 is left at less than 0.5": (
            facts.is_below("size, epsilon 0.001", 0.5)
        ),
    }
    comparison = {
        f"With Xavier and batch norm a GRU is better than an {cell}": (
            trials.is_higher("Xavier", best, than=f"{cell}, batch norm")
        )
        for cell in ("LSTM", "MGU")
    } | {
        f"For a GRU with batch norm Xavier is better than {start}": (
            trials.is_above(f"Xavier less {start}", 0.0, best)
        )
        for start in [*STARTS][1:]
    }
    comparison["For a GRU with Xavier batch norm is better than none"] = (
        trials.is_higher("Xavier", best, than="GRU")
    )
    advice = {
        "With batch norm no two starts of a GRU are 3 points apart": (
            trials.is_below("spread", 0.03, best)
        ),
        "GRU for big networks: of 96 units it is better than an LSTM": (
            big.is_higher("Xavier", best, than="LSTM, batch norm")
        ),
    }
    for cell in cells:
        norm = f"{cell}, batch norm"
        text = f"Do not worry: with batch norm starts differ less, {cell}"
        advice[text] = trials.is_lower("spread", norm, than=cell)
        text = f"Use normalization: over all starts it helps, {cell}"
        advice[text] = trials.is_higher("mean", norm, than=cell)
    compared = (
        "Deep Learning Models, A comparison of LSTM/GRU/MGU with batch "
        "normalization and various initializations"
    )
    texts = "Deep Learning Models, Benchmarking RNN networks for text"
    return Report(
        trials.table(*STARTS, "mean", "spread"),
        big.table("Xavier"),
        plot_starts(trials, colours(cells)),
        *(
            Claim(text, found, compared)
            for text, found in (exact | comparison).items()
        ),
        *(Claim(text, found, texts) for text, found in advice.items()),
    )


# %%
# What to make of it
# ------------------
# Look at how level a line is in the right panel, and at where it is not. The
# normalization takes the size of the inputs' kernel away. It does not touch the
# state's kernel: a start that is bad there stays bad, and is worth a worry.
# These networks are trained for a few epochs, so that part of what looks like a
# bad start is a slow one. Two things to try: ``epsilon=1e-7`` for the
# normalized networks, with the small start; and ``("he_normal", 1.0)`` and
# ``(1.0, "he_normal")`` among the starts, to see which of the two kernels does
# the harm.

if __name__ == "__main__":
    cook(main)
