"""
The forget bias: how long an LSTM remembers before it has learned to
====================================================================

The forget gate says how much of an LSTM's cell stays from one step to the next.
Without a reason to do otherwise it is half open, and what was read ten steps
ago has been halved ten times before the network has learned that it mattered.
With inputs and outputs left aside, a bias :math:`b` alone makes the gate

.. math::

   f = \\frac{1}{1 + e^{-b}}, \\qquad c_{t+k} = f^k c_t, \\qquad
   \\frac{1}{1 - f} = 1 + e^b

so that the cell remembers for about :math:`1 + e^b` steps: two with a bias of
0, less than four with 1, which is what Keras begins with. Chrono initialisation
starts from the other side: for lags of up to :math:`T` steps it draws biases
whose times are spread evenly up to :math:`T`, and closes the input gate by as
much.

.. math::

   b_f = \\log u, \\qquad b_i = -\\log u, \\qquad 1 \\le u \\le T - 1

The notes have it that ``unit_forget_bias`` adds 1 and forces all biases to
zeros. Keras does neither.

:question: What should the forget bias of an LSTM be at the start?
:level: intermediate
:notes: Deep Learning Models, Bias 1 in Keras - unit_forget_bias;
    Deep Learning Models, Benchmarking LSTM variants
:papers: Jozefowicz et al. 2015,
    https://proceedings.mlr.press/v37/jozefowicz15.html;
    Tallec and Ollivier 2018, https://arxiv.org/abs/1804.11188
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

VARIANTS = {
    "forget 0": {"start": "zeros"},
    "forget 1": {"start": "ones"},
    "chrono": {"start": "chrono"},
}
CONDITIONS = {
    "15 steps": {"steps": 15},
    "30 steps": {"steps": 30},
    "50 steps": {"steps": 50},
}
PITFALL = {
    "chrono": {"start": "chrono"},
    "chrono, overwritten": {"start": "overwritten"},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["forget 0", "chrono"],
    "conditions": ["15 steps"],
}
FULL = {"epochs": 4, "seeds": 10}

UNITS, STEPS, HALFWAY = 24, 50, 30

# %%
# The networks
# ------------
# Keras keeps the four biases of a unit in four blocks: input, forget, candidate
# and output gate. An initializer is given the shape of all of them, and returns
# them in this order. With `unit_forget_bias`, which is Keras' default, it is
# asked for the blocks beside the forget gate alone, without being told which.


class Chrono(keras.initializers.Initializer):
    """Biases of an LSTM whose cells forget in up to `longest` steps."""

    def __init__(self, longest: int):
        self.longest = longest

    def __call__(self, shape, dtype=None):
        units = shape[0] // 4
        times = keras.random.uniform((units,), 1.0, self.longest - 1, dtype)
        forget, zeros = ops.log(times), ops.zeros((2 * units,), dtype)
        return ops.concatenate([-forget, forget, zeros])


def make_layer(start: str, steps: int) -> layers.Layer:
    """An LSTM for lags of up to so many steps."""
    arguments = {"unit_forget_bias": start in ("ones", "overwritten")}
    if start in ("chrono", "overwritten"):
        arguments["bias_initializer"] = Chrono(steps)
    return layers.LSTM(UNITS, **arguments)


def build_model(start: str, steps: int) -> keras.Model:
    """Adds up the two marked numbers of sequences (batch, steps, 2)."""
    parts = [layers.Input((steps, 2)), make_layer(start, steps)]
    return keras.Sequential([*parts, layers.Dense(1)])


# %%
# One trial
# ---------
# Put your own sequences in the first line: x of shape (samples, steps, 2), y of
# shape (samples, 1). A number and a mark at each step, and the sum of the two
# marked numbers is asked for at the end: always saying 1 has an error of 1/6.


def train(seed: int, epochs: int, steps: int, start: str) -> dict:
    """Trains one network; returns its error on new sequences."""
    x, y = make_adding_problem(5000, steps, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(start, steps)
    model.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    history = model.fit(
        x[:4500], y[:4500], batch_size=64, epochs=epochs, verbose=0
    )
    said = ops.convert_to_numpy(model(x[4500:]))
    return {
        "error": np.mean((said - y[4500:]) ** 2),
        "curves": {"training error": history.history["loss"]},
    }


# %%
# What must hold exactly
# ----------------------
# Which of the biases are 1, with and without another initializer; and what a
# cell makes of its bias when there is nothing to read and it begins at 1. One
# minus the gate is the share that is lost at a step, so that one over that
# share is the time in which the cell forgets.


def biases(start=None, **arguments):
    """The four blocks of biases of a new LSTM, (4, units)."""
    layer = make_layer(start, STEPS) if start else layers.LSTM(5, **arguments)
    layer.build((None, STEPS, 2))
    return layer.get_weights()[2].reshape(4, -1).astype("float64")


def measure(seed: int) -> dict:
    """Biases by the block, and how fast cells forget that begin at 1."""
    keras.utils.set_random_seed(seed)
    fives = {"bias_initializer": keras.initializers.Constant(5.0)}
    set_to, kept = biases(**fives), biases(unit_forget_bias=False, **fives)
    chrono, overwritten = biases("chrono"), biases("overwritten")
    times = np.exp(chrono[1])
    curves, off = {}, []
    for name, variant in VARIANTS.items():
        layer = make_layer(variant["start"], STEPS)
        layer.build((None, STEPS, 2))
        *kernels, bias = layer.get_weights()
        # Without kernels, and a candidate of 0: only the bias is left.
        layer.set_weights([*map(np.zeros_like, kernels), bias])
        layer.return_state = True
        h, c = np.zeros((1, UNITS), "float32"), np.ones((1, UNITS), "float32")
        nothing = np.zeros((1, 10, 2), "float32")
        *_, c = layer(nothing, initial_state=[h, c])
        gate = 1 / (1 + np.exp(-bias[UNITS : 2 * UNITS].astype("float64")))
        off.append(ops.convert_to_numpy(c)[0] / gate**10 - 1)
        kept_after = gate ** np.arange(STEPS + 1)[:, None]
        curves[name] = kept_after.mean(axis=1)
    return {
        "default, off": np.abs(biases() - [[0], [1], [0], [0]]).max(),
        "forget block": set_to[1].mean(),
        "other blocks": set_to[[0, 2, 3]].mean(),
        "all blocks": kept.mean(),
        "cell, off": np.abs(off).max(),
        "times out of range": max(1 - times.min(), times.max() - STEPS + 1, 0),
        "input + forget": np.abs(chrono[0] + chrono[1]).max(),
        "overwritten forget block": overwritten[1].mean(),
        "curves": curves,
    }


# %%
# The experiment
# --------------


def plot_starts(facts, trials, shades) -> Figure:
    """What a new cell keeps, and the training error by epoch."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, *others = figure.subplots(1, 1 + len(trials.conditions))
    drawn = [(left, name, facts.curves(name)) for name in shades]
    for axis, condition in zip(others, trials.conditions, strict=True):
        for name in trials.variants:
            curves = trials.curves("training error", name, condition)
            drawn.append((axis, name, curves))
        axis.axhline(1 / 6, color="grey", linestyle=":", linewidth=0.8)
        axis.set(title=condition, xlabel="epoch", ylim=(0, 0.25))
    for axis, name, curves in drawn:
        first, style = (0, "-") if axis is left else (1, ".-")
        x, shade = np.arange(curves.shape[1]) + first, shades[name]
        axis.plot(x, curves.mean(0), style, color=shade, label=name)
        ends = curves.min(0), curves.max(0)
        axis.fill_between(x, *ends, color=shade, alpha=0.12, lw=0)
        axis.spines[["top", "right"]].set_visible(False)
    left.set(title="before training", xlabel=f"steps (chrono: T = {STEPS})")
    left.set_ylabel("share of a cell that its bias lets stay")
    others[0].set_ylabel("training error (dotted: always saying 1)")
    others[-1].legend(frameon=False, fontsize=8)
    figure.supxlabel("line: mean of the seeds, band: their range", fontsize=8)
    return figure


def main(epochs: Count = 2, seeds: Count = 3) -> Report:
    """Compares biases to start from, seed by seed.

    Args:
        epochs: passes over 4,500 sequences.
        seeds: paired repetitions of every variant, each with new sequences.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    pitfall = run_trials(
        train, PITFALL, seeds=seeds, epochs=epochs, steps=HALFWAY
    )
    zero, one, chrono = VARIANTS
    short, middle, long = CONDITIONS
    exact = {
        "By default the forget biases are 1, and all others 0": (
            facts.agrees("default, off", 0, within=0)
        ),
        "unit_forget_bias sets: of an initializer's 5 it makes 1, not 6": (
            facts.agrees("forget block", 1, within=0)
        ),
        "unit_forget_bias forces no zeros: all other biases stay 5": (
            facts.agrees("other blocks", 5, within=0)
        ),
        "Without unit_forget_bias the initializer sets all four blocks": (
            facts.agrees("all blocks", 5, within=0)
        ),
        "A bias alone lets a cell keep its gate to the power of the steps": (
            # Ten roundings in float32.
            facts.agrees("cell, off", 0, within=1e-5)
        ),
        "Chrono's times lie between 1 and T - 1": (
            facts.agrees("times out of range", 0, within=1e-4)
        ),
        "Chrono closes the input gate by as much as it opens the forget gate": (
            facts.agrees("input + forget", 0, within=0)
        ),
        "With unit_forget_bias left on, chrono's forget biases are all 1": (
            facts.agrees("overwritten forget block", 1, within=0)
        ),
    }
    claims = {
        "A bias of 0 fails at 30 steps: its error is above 0.1": (
            trials.is_above("error", 0.1, zero, at=middle)
        ),
        "With a bias of 1 the error at 30 steps is below 0.1": (
            trials.is_below("error", 0.1, one, at=middle)
        ),
        "A bias of 1 has a lower error than 0 at 30 steps": (
            trials.is_lower("error", one, than=zero, at=middle)
        ),
        "A bias of 1 has a lower error than 0 at 15 steps": (
            trials.is_lower("error", one, than=zero, at=short)
        ),
        "A bias of 1 fails at 50 steps: its error is above 0.1": (
            trials.is_above("error", 0.1, one, at=long)
        ),
        "With chrono the error at 50 steps is below 0.1": (
            trials.is_below("error", 0.1, chrono, at=long)
        ),
        "Chrono has a lower error than a bias of 1 at 50 steps": (
            trials.is_lower("error", chrono, than=one, at=long)
        ),
        "At 15 steps chrono costs less than 0.01 against a bias of 1": (
            trials.is_lower("error", chrono, than=one, at=short, by=-0.01)
        ),
        "At 30 steps unit_forget_bias, left on, adds 0.05 to chrono's error": (
            pitfall.is_higher(
                "error", "chrono, overwritten", than=chrono, by=0.05
            )
        ),
    }
    keras_bias = "Deep Learning Models, Bias 1 in Keras - unit_forget_bias"
    works = "Deep Learning Models, Benchmarking LSTM variants"
    return Report(
        trials.table("error"),
        pitfall.table("error"),
        plot_starts(facts, trials, colours(VARIANTS)),
        *(Claim(text, found, keras_bias) for text, found in exact.items()),
        *(Claim(text, found, works) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# A bias is where learning starts and no more: given time, an LSTM opens its
# gates by itself. How much time is the question, and it grows with the lag.
# Keep Keras' 1 for short lags. Where you know that something matters for
# hundreds of steps, say so in the biases, with ``unit_forget_bias=False``, and
# look at them with ``layer.get_weights()[2]``: an initializer that means the
# forget gate is overruled without a word. With ``use_bias=False`` there is no
# forget bias at all, and the gate starts half open. Two things to try: 5 and
# 1,000 in place of ``steps`` in ``Chrono(steps)``, to see how well the lag must
# be known; and one constant for all forget gates, to see what the spread of
# times is for.

if __name__ == "__main__":
    cook(main)
