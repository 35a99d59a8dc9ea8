"""
GRU: two gates, and what they say during a long wait
====================================================

A gated recurrent unit has no second state beside what it says. An update gate
:math:`z` decides how much of the past is passed on as it is, and a reset gate
:math:`r` how much of it the candidate for the rest gets to see. The notes say
that both can be trained to keep information from long ago, and to remove what
is irrelevant.

.. math::

   z_t = \\sigma(x_t W_z + h_{t-1} U_z + b_z), \\qquad
   r_t = \\sigma(x_t W_r + h_{t-1} U_r + b_r)

   n_t = \\tanh(x_t W_n + b_n + r_t \\odot (h_{t-1} U_n + c_n))

   h_t = z_t \\odot h_{t-1} + (1 - z_t) \\odot n_t

That is Keras' default, ``reset_after=True``, which cuDNN has as well. Each gate
has a second bias there, though only the candidate's makes a difference. The
paper resets *before* the product with :math:`U_n`, and has one bias. Many texts
have :math:`z` and :math:`1 - z` the other way round: there the update gate says
how much is new.

:question: What do a GRU's gates do, and does it remember as long as an LSTM?
:level: intermediate
:notes: Deep Learning Models, GRU;
    Deep Learning Models, Benchmarking LSTM variants
:papers: Cho et al. 2014, https://arxiv.org/abs/1406.1078;
    Chung et al. 2014, https://arxiv.org/abs/1412.3555
:backends: tensorflow, jax, torch
:before: recurrent/simple_rnn
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import make_adding_problem
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

# Units that lead to about as many parameters.
VARIANTS = {
    "SimpleRNN": {"cell": "SimpleRNN", "units": 41},
    "GRU": {"cell": "GRU", "units": 23},
    "LSTM": {"cell": "LSTM", "units": 20},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "sequences": 100,
    "variants": ["SimpleRNN", "GRU"],
}
FULL = {"epochs": 12, "seeds": 10}

LAGS = (10, 25, 50)  # of what is trained on
LONGER = (*LAGS, 100, 200)
BEFORE = 10  # steps at least that come before a lag begins
MARKS = [10, 55]  # where gates are watched
UNITS = 23

# %%
# A number to be kept
# -------------------
# A number and a mark at each step: the sum of the two marked numbers is asked
# for at the end, so that the first of them must be copied from step to step.
# Of the last steps, as many as the lag, one in the first half is marked and one
# in the second; numbers before them only distract. Training knows the lags up
# to 50, so that what is learned where it is easy may carry over.


def make_lag(sequences: int, lag: int, seed: int):
    """Sequences of one lag, (sequences, steps, 2), and sums."""
    known = 2 * (len(LONGER) * seed + LONGER.index(lag))  # no other lag's
    steps = BEFORE + max(LAGS[-1] - lag, 0)
    before, _ = make_adding_problem(sequences, steps, known)
    after, y = make_adding_problem(sequences, lag, known + 1)
    before[:, :, 1] = 0  # marks
    return np.concatenate([before, after], axis=1), y


def build_model(cell: str, units: int) -> keras.Model:
    """Adds up the two marked numbers of sequences (batch, steps, 2)."""
    recurrent = getattr(layers, cell)(units)
    inputs = layers.Input((None, 2))
    return keras.Sequential([inputs, recurrent, layers.Dense(1)])


# %%
# Step by step in NumPy
# ---------------------
# Keras keeps the weights in the order update, reset, candidate. With
# `reset_after` there are two rows of biases.


def read(x, weights, h, reset_after: bool = True):
    """Update gate, reset gate and state by step, (steps, 3, batch, units)."""
    kernel, recurrent, bias = weights
    b, c = bias if reset_after else (bias, np.zeros_like(bias))
    u_z, u_r, u_n = np.split(recurrent, 3, axis=-1)
    c_z, c_r, c_n = np.split(c, 3)
    found = []
    for x_t in np.swapaxes(x, 0, 1):
        z, r, n = np.split(x_t @ kernel + b, 3, axis=-1)
        z = 1 / (1 + np.exp(-(z + h @ u_z + c_z)))
        r = 1 / (1 + np.exp(-(r + h @ u_r + c_r)))
        past = r * (h @ u_n + c_n) if reset_after else (r * h) @ u_n
        h = z * h + (1 - z) * np.tanh(n + past)
        found.append([z, r, h])
    return np.array(found)


# %%
# One trial
# ---------
# Put your own sequences in the first line: x of shape (samples, steps, 2), y of
# shape (samples, 1). Always saying 1 has an error of 1/6. A trained GRU is then
# watched while it keeps a number: what its update gates are at the first mark
# and in the wait for the second, in all units and in the one whose gate the
# mark moves most.


def train(seed: int, epochs: int, sequences: int, cell: str, units: int):
    """Trains one network; returns its error by lag, and a GRU's gates."""
    parts = [make_lag(sequences, lag, seed) for lag in LAGS]
    x, y = map(np.concatenate, zip(*parts, strict=True))
    keras.utils.set_random_seed(seed)
    model = build_model(cell, units)
    # It falls to zero, so that no error is that of a moment.
    steps = epochs * int(np.ceil(len(x) / 64))
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    errors = []
    for lag in LONGER:
        x, y = make_lag(400, lag, 10_000 + seed)
        errors.append(np.mean((model.predict_on_batch(x) - y) ** 2))
    names = [f"lag {lag}" for lag in LONGER]
    scores = dict(zip(names, errors, strict=True))
    scores |= {"error": np.mean(errors), "growth": errors[-1] - errors[0]}
    curves = {"error": errors}
    if cell == "GRU":
        x = x[:200, : MARKS[1] + 15].copy()
        x[:, :, 1] = 0
        x[:, MARKS, 1] = 1
        weights = model.layers[0].get_weights()
        gates = read(x, weights, np.zeros((200, units))).mean(axis=2)
        z, r, _ = gates.swapaxes(0, 1)  # each (steps, units)
        mark, wait = z[MARKS[0]], z[MARKS[0] + 1 : MARKS[1]].mean(axis=0)
        moved = z[:, np.argmax(wait - mark)]
        scores["z waiting"] = wait.mean()
        scores["z waiting, most"] = wait.max()
        scores["z waiting less z at the mark"] = np.mean(wait - mark)
        curves |= {"z": z.mean(1), "r": r.mean(1), "z of one unit": moved}
    return {**scores, "curves": curves}


# %%
# What must hold exactly
# ----------------------
# Keras' two forms against the loop, with random weights, over twenty steps from
# a random state. A bias of 50 holds a gate at 1, one of -50 at 0: then what a
# gate is said to do can be seen by itself.


def make_gru(seed: int, reset_after: bool = True, **held):
    """A GRU with random weights, and gates that are held at 0 or 1."""
    layer = layers.GRU(UNITS, reset_after=reset_after)
    layer.build((None, 20, 2))
    generator = np.random.default_rng(seed)
    shapes = [weight.shape for weight in layer.weights]
    kernel, recurrent, bias = (generator.normal(0, 0.25, s) for s in shapes)
    blocks = np.atleast_2d(bias)[0].reshape(3, UNITS)  # seen in bias, too
    for gate, value in held.items():
        blocks["zr".index(gate)] = 100 * value - 50
    layer.set_weights([kernel, recurrent, bias])
    return layer


def measure(seed: int) -> dict:
    """How far both forms are off their formulas, and what their gates do."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(8, 20, 2)).astype("float32")
    start, other = generator.normal(size=(2, 8, UNITS)).astype("float32")

    def say(layer, h=start):
        return ops.convert_to_numpy(layer(x, initial_state=h))

    def change(layer, *weights):
        """What other weights change, as a share of what was said."""
        said = say(layer)
        layer.set_weights(weights)
        return np.linalg.norm(say(layer) - said) / np.linalg.norm(said)

    off, past = [], []
    for form in (True, False):
        layer, blind = make_gru(seed, form), make_gru(seed, form, z=0, r=0)
        last = read(x, layer.get_weights(), start, form)[-1, 2]
        off.append(np.abs(say(layer) - last).max())
        past.append(np.abs(say(blind) - say(blind, other)).max())
        size = 3 * (UNITS * (UNITS + 2) + UNITS * (1 + form))
        off.append(layer.count_params() - size)
    after, before = make_gru(seed), make_gru(seed, reset_after=False)
    kernel, recurrent, (b, c) = after.get_weights()
    moved = np.where(np.arange(3 * UNITS) < 2 * UNITS, c, 0)
    try:
        before.set_weights(after.get_weights())
        refused = 0
    except ValueError:
        refused = 1
    before.set_weights([kernel, recurrent, b + c])
    wrong = np.linalg.norm(say(before) - say(after))
    counts = [build_model(**one).count_params() for one in VARIANTS.values()]
    return {
        "reset after, off": off[0],
        "reset before, off": off[2],
        "parameters, off": max(off[1::2]),
        "parameters, spread": max(counts) / min(counts) - 1,
        "z = 1, off": np.abs(say(make_gru(seed, z=1)) - start).max(),
        "r = 0, past seen": max(past),
        "in the other form, off": wrong / np.linalg.norm(say(after)),
        "weights refused": refused,
        "biases moved, change": change(
            after, kernel, recurrent, np.array([b + moved, c - moved])
        ),
    }


# %%
# The experiment
# --------------


def plot_lags(trials, shades) -> Figure:
    """Error by lag, and a GRU's gates from one mark to the next."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    drawn = [
        (left, name, trials.curves("error", name), shades[name])
        for name in trials.variants
    ]
    for curve, label, shade in (
        ("z", "update gates", "#0072B2"),
        (
            "z of one unit",
            "that of the unit that the mark moves most",
            "#56B4E9",
        ),
        ("r", "reset gates", "#E69F00"),
    ):
        drawn.append((right, label, trials.curves(curve, "GRU"), shade))
    for axis, label, curves, shade in drawn:
        steps = np.arange(curves.shape[1]) - MARKS[0]
        x, style = (LONGER, "o-") if axis is left else (steps, "-")
        axis.plot(x, curves.mean(0), style, color=shade, label=label)
        ends = curves.min(0), curves.max(0)
        axis.fill_between(x, *ends, color=shade, alpha=0.12, lw=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    dotted = {"color": "grey", "linestyle": ":", "linewidth": 0.8}
    left.axhline(1 / 6, **dotted)
    left.axvspan(LAGS[0], LAGS[-1], color="grey", alpha=0.1, lw=0)
    left.set(xlabel="lag in steps (grey: trained on)")
    left.loglog()
    left.set_ylabel("mean squared error (dotted: always saying 1)")
    left.set_xticks(LONGER, LONGER)
    left.minorticks_off()
    for mark in MARKS:
        right.axvline(mark - MARKS[0], **dotted)
    right.set(xlabel="steps after the first mark (dotted: marks)", ylim=(0, 1))
    right.set_ylabel("gate of a trained GRU, mean of the units")
    figure.supxlabel("line: mean of the seeds, band: their range", fontsize=8)
    return figure


def main(
    epochs: Count = 10, seeds: Count = 3, sequences: Count = 1000
) -> Report:
    """Compares a GRU with a plain layer and an LSTM, seed by seed.

    Args:
        epochs: passes over the training sequences.
        seeds: paired repetitions of every variant, each with new sequences.
        sequences: how many there are of each lag.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, epochs=epochs, sequences=sequences
    )
    gru = "Deep Learning Models, GRU"
    benchmark = "Deep Learning Models, Benchmarking LSTM variants"
    # Float32 through twenty steps.
    close = {"within": 1e-6}
    exact = {
        "With reset_after Keras' GRU is its formula": (
            facts.agrees("reset after, off", 0, **close)
        ),
        "Without reset_after Keras' GRU is the paper's formula": (
            facts.agrees("reset before, off", 0, **close)
        ),
        "An update gate of 1 passes the past on as it is": (
            facts.agrees("z = 1, off", 0, within=0)
        ),
        "Gates of 0 remove the past, in both forms": (
            facts.agrees("r = 0, past seen", 0, **close)
        ),
        "Of the second biases only the candidate's makes a difference": (
            facts.agrees("biases moved, change", 0, **close)
        ),
        "A GRU has 3 (n m + m m + m) parameters, 3 m more with reset_after": (
            facts.agrees("parameters, off", 0, within=0)
        ),
        "The three networks have equal parameters within 3 %": (
            facts.agrees("parameters, spread", 0, within=0.03)
        ),
        "Keras refuses the weights of one form in the other": (
            facts.agrees("weights refused", 1, within=0)
        ),
        "Weights of one form, made to fit the other, are off by a tenth": (
            facts.is_above("in the other form, off", 0.1)
        ),
    }
    claims = {
        **{
            f"A GRU has a lower error than SimpleRNN at lag {lag}": (
                trials.is_lower(f"lag {lag}", "GRU", than="SimpleRNN")
            )
            for lag in (10, 50, 200)
        },
        "At lag 200 a GRU has a tenth of the error of always saying 1": (
            trials.is_below("lag 200", 1 / 60, "GRU")
        ),
        "A GRU's error grows by less than 0.02 from lag 10 to lag 200": (
            trials.is_below("growth", 0.02, "GRU")
        ),
        "In the wait update gates pass on over 90 % at a step": (
            trials.is_above("z waiting", 0.9, "GRU")
        ),
        "In the wait some unit's update gate passes on over 90 % at a step": (
            trials.is_above("z waiting, most", 0.9, "GRU")
        ),
        "At the mark update gates pass on less than in the wait": (
            trials.is_above("z waiting less z at the mark", 0.0, "GRU")
        ),
    }
    rivals = {
        f"GRU and LSTM are competitive: within 0.01 at lag {lag}": (
            trials.is_same(f"lag {lag}", "GRU", than="LSTM", within=0.01)
        )
        for lag in (50, 200)
    }
    return Report(
        trials.table("error", *(f"lag {lag}" for lag in LONGER)),
        plot_lags(trials, colours(VARIANTS)),
        *(Claim(text, found, gru) for text, found in exact.items()),
        *(Claim(text, found, gru) for text, found in claims.items()),
        *(Claim(text, found, benchmark) for text, found in rivals.items()),
    )


# %%
# What to make of it
# ------------------
# Look at gates before you believe what is said of them. Units that keep are in
# one network with units that count or forget, so that a mean says little: what
# shows is the moment in which they give way. Test a memory beyond the lags of
# its training, too. A GRU's state is an average, between -1 and 1 whatever is
# read; an LSTM's cell adds up, and may drift as far as a sequence is long.
# Weights of the two forms of a GRU do not go together: Keras refuses them for
# their biases, and whoever adds those up has another network. Two things to
# try: a bias of 1 for the update gates, by ``layer.set_weights`` before
# training; and ``LAGS = (10, 25, 50, 100)``.

if __name__ == "__main__":
    cook(main)
