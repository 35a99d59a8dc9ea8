"""
Recurrent batch normalization: an LSTM with statistics for each step
====================================================================

Batch normalization in a recurrent network meets a question that a layer of a
ConvNet does not have: is a unit at step 3 the same unit as at step 30? Its
values begin at zero and move as the state fills, so that the mean over all
steps fits none of them. Here each step has a mean and a variance of its own.

In an LSTM with gates :math:`i, f, g, o` three things are normalized: what comes
from the inputs, what comes from the state, and the cell where it is put out.

.. math::

   (i, f, g, o) = \\mathrm{BN}_t(x_t W; \\gamma_x)
   + \\mathrm{BN}_t(h_{t-1} U; \\gamma_h) + b

   c_t = \\sigma(f) c_{t-1} + \\sigma(i) \\tanh(g)

   h_t = \\sigma(o) \\tanh(\\mathrm{BN}_t(c_t; \\gamma_c) + \\beta_c)

The paper lets each :math:`\\gamma` start at 0.1: with 1 a tanh works where it
is flat, and gradients vanish on their way back. Sequences longer than those of
the training take the last step's statistics.

:question: Can I use batch normalization between the steps of an LSTM?
:level: advanced
:notes: Deep Neural Nets Basics, Recurrent Batch Normalization;
    Deep Neural Nets Basics, What is the diff between batch/layer/recurrent
    batch and back rnn normalization
:papers: Cooijmans et al. 2016, https://arxiv.org/abs/1603.09025
:backends: tensorflow, jax, torch
:before: normalization/batch_norm
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.analysis import epochs_to
from kerasrecipes.cells import BatchNormLSTM
from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "LSTM": {"gamma": None},
    "gamma 0.1": {"gamma": 0.1},
    "gamma 1": {"gamma": 1.0},
}
CONDITIONS = {"8 rows": {"steps": 8}, "32 pairs": {"steps": 32}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["LSTM", "gamma 0.1"],
    "conditions": ["8 rows"],
}
FULL = {"epochs": 10, "seeds": 10}
UNITS, STEPS = 32, 64
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %%
# The network
# -----------
# The layer's statistics come out of its loop over the steps, and are kept when
# that is over: on JAX nothing outside of a loop may change from within.


def make_lstm(gamma: float | None, max_steps: int) -> layers.Layer:
    """Keras' LSTM, or one with batch normalization."""
    if gamma is None:
        return layers.LSTM(UNITS)
    return BatchNormLSTM(UNITS, max_steps, gamma, momentum=0.9)


def build_model(gamma: float | None, steps: int) -> keras.Model:
    """Classifier of digits that are read in so many steps."""
    inputs = layers.Input((steps, 64 // steps))
    return keras.Sequential([inputs, make_lstm(gamma, steps), layers.Dense(10)])


# %%
# One trial
# ---------
# A digit is read row by row, or as 32 pairs of pixels. Put your own sequences
# in the first lines: x of shape (samples, steps, features), y integers. Speed
# is the number of epochs until 70 % of the training digits are right, read off
# the line between two epochs. One mean and variance for all steps needs no
# training of its own, which takes those of the batch in any case: it is enough
# to average what was kept.


def train(seed: int, epochs: int, steps: int, gamma: float | None) -> dict:
    """Trains one variant; returns its speed and accuracies."""
    (x, y), (x_test, y_test) = load_digits(1000, fold=seed, flat=True)
    x, x_test = (part.reshape(len(part), steps, -1) for part in (x, x_test))
    keras.utils.set_random_seed(seed)
    model = build_model(gamma, steps)
    model.compile(keras.optimizers.Adam(0.03), LOSS, metrics=["accuracy"])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    history = model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    curve = history.history["accuracy"]

    def accuracy() -> float:
        said = ops.convert_to_numpy(model(x_test)).argmax(axis=-1)
        return np.mean(said == y_test)

    trained = accuracy()
    for kept in getattr(model.layers[0].cell, "moving_averages", []):
        shared = ops.mean(kept, axis=0, keepdims=True)
        kept.assign(ops.broadcast_to(shared, kept.shape))
    return {
        "epochs to 70 %": epochs_to(0.7, curve),
        "accuracy": trained,
        "cost of sharing": trained - accuracy(),
        "curves": {"training accuracy": curve},
    }


# %%
# The formula
# -----------
# The cell in NumPy, with the batch's statistics. Without scales it is a plain
# LSTM. Its third result says how steep the tanh of the candidates is on the
# average: 1 at zero, 0 where it is saturated.


def by_formula(x, kernel, recurrent, bias, *scales, epsilon=0.001):
    """Outputs and statistics of each step, and the mean slope of tanh(g)."""
    *gammas, beta = scales or (None, None, None, 0.0)
    h = c = np.zeros((len(x), UNITS))
    outputs, statistics, slopes = [], [], []
    for step in range(x.shape[1]):
        used = []

        def normalize(z, gamma, used=used):
            if gamma is None:
                return z
            used.append([z.mean(axis=0), z.var(axis=0)])
            return gamma * (z - used[-1][0]) / np.sqrt(used[-1][1] + epsilon)

        z = normalize(x[:, step] @ kernel, gammas[0])
        z = z + normalize(h @ recurrent, gammas[1]) + bias
        i, f, g, o = np.split(z, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(normalize(c, gammas[2]) + beta)
        outputs.append(h)
        statistics.append(np.hstack(used) if used else [])
        slopes.append(np.mean(1 - np.tanh(g) ** 2))
    return np.stack(outputs, 1), np.array(statistics), np.mean(slopes)


# %%
# What gamma does to the gradient
# -------------------------------
# Noise of variance 1 is read in 64 steps by networks that have learned
# nothing. A layer of zeros is added to it: after one step of SGD at a rate of 1
# they are the gradient, with the sign turned, of what was read at each step.


class Probe(layers.Layer):
    """Adds a weight of its own, at first zeros, to each of its inputs."""

    def build(self, input_shape):
        self.added = self.add_weight(input_shape, "zeros")

    def call(self, inputs):
        return inputs + self.added


def flow(seed: int, gamma: float | None) -> dict:
    """How much of the gradient gets back to the first steps."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(100, STEPS, 8)).astype("float32")
    keras.utils.set_random_seed(seed)
    probe, lstm = Probe(), make_lstm(gamma, STEPS)
    model = keras.Sequential([probe, lstm, layers.Dense(10)])
    model.build(x.shape)
    slope = by_formula(x, *lstm.get_weights()[:7])[2]
    # Without compiling: there is but one step.
    model.compile(keras.optimizers.SGD(1.0), LOSS, run_eagerly=True)
    model.train_on_batch(x, generator.integers(0, 10, 100))
    gradient = ops.convert_to_numpy(probe.added).astype("float64")
    norms = np.sqrt(np.sum(gradient**2, axis=(0, 2)))
    norms = np.maximum(norms / norms[-1], 1e-30)  # what float32 can tell
    return {
        "slope": slope,
        "gradient, log10": np.log10(norms[0]),
        "curves": {"gradient": norms},
    }


# %%
# What must hold exactly
# ----------------------
# The layer is compared with the formula over 20 steps, with momentum 0, so that
# it keeps one batch's statistics as they are. Then they are frozen at a mean of
# 0 and a variance of 1 less epsilon, and gamma is set to 1: an LSTM is left.

FACTS = {
    "formula": "In training the layer is the formula, over 20 steps",
    "statistics": "The layer keeps the mean and variance of each step",
    "equal": "No two steps in a row have the same statistics",
    "beyond": "Steps beyond the last kept one take its statistics",
    "padding": "Masked padding changes neither outputs nor statistics",
    "LSTM": "At mean 0, variance 1 - epsilon and gamma 1, Keras' LSTM is left",
    "RNN": "In keras.layers.RNN the cell does the same at inference",
}


def measure(seed: int) -> dict:
    """How far each of the facts is off."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(30, 20, 4)).astype("float32")
    x *= np.linspace(0.5, 2, 20, dtype="float32")[:, None]
    keras.utils.set_random_seed(seed)

    def make(*weights, steps=20):
        layer = BatchNormLSTM(UNITS, steps, momentum=0, return_sequences=True)
        layer.build(x.shape)
        if weights:
            layer.set_weights(weights)
        return layer

    def run(layer, inputs, **arguments):
        return ops.convert_to_numpy(layer(inputs, **arguments))

    layer = make()
    *learned, zeros, ones = layer.get_weights()
    outputs, statistics, _ = by_formula(x, *learned)
    trained = run(layer, x, training=True)
    kept = layer.get_weights()[7:]  # (steps, 9 * units), two of them

    # Sequences and steps of padding.
    real = np.pad(np.ones((30, 20), bool), ((0, 5), (0, 5)))
    filled = np.pad(x, ((0, 5), (0, 5), (0, 0)), constant_values=9)
    padded = make(*learned, zeros, ones)
    masked = run(padded, filled, mask=ops.array(real), training=True)
    masked, unmoved = masked[:30, :20], padded.get_weights()[7:]

    short = make(*learned, *(part[:15] for part in kept), steps=15)
    rows = np.minimum(np.arange(20), 14)
    repeated = make(*learned, *(part[rows] for part in kept))

    # Scales of 1, and beta_c stays 0.
    scales = [np.ones_like(scale) for scale in learned[3:6]]
    plain = make(*learned[:3], *scales, learned[6], zeros, ones - 0.001)
    lstm = layers.LSTM(UNITS, return_sequences=True)
    lstm.build(x.shape)
    lstm.set_weights(learned[:3])
    rnn = layers.RNN(plain.cell, return_sequences=True)
    errors = {
        "formula": [trained - outputs],
        "statistics": kept - np.swapaxes(statistics, 0, 1),
        # Steps in a row; a thousand times what rounding does.
        "equal": np.abs(np.diff(kept, axis=1)).max(axis=(0, 2)) < 1e-3,
        "beyond": [run(short, x) - run(repeated, x)],
        "padding": [masked - trained, *np.subtract(unmoved, kept)],
        "LSTM": [run(plain, x) - run(lstm, x)],
        "RNN": [run(plain, x) - run(rnn, x)],
    }
    return {n: max(np.abs(e).max() for e in errors[n]) for n in errors}


# %%
# The experiment
# --------------


def main(epochs: Count = 8, seeds: Count = 3) -> Report:
    """Compares an LSTM with two that are batch-normalized, seed by seed.

    Args:
        epochs: passes over 1,000 digits.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    flows = run_trials(flow, VARIANTS, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    recurrent = "Deep Neural Nets Basics, Recurrent Batch Normalization"
    diff = (
        "Deep Neural Nets Basics, What is the diff between batch/layer/"
        "recurrent batch and back rnn normalization"
    )
    plain, tenth, one = VARIANTS
    # Float32 rounds the seventh digit; a small variance makes more of it.
    exact = {
        text: facts.agrees(name, 0, within=1e-5) for name, text in FACTS.items()
    }
    claims = exact | {
        "Gamma 1 saturates: tanh is flatter than with gamma 0.1, by 0.2": (
            flows.is_lower("slope", one, than=tenth, by=0.2)
        ),
        "With gamma 1 a tenth of gamma 0.1's gradient gets to the start": (
            flows.is_lower("gradient, log10", one, than=tenth, by=1)
        ),
        "Gamma 0.1 is right more often than an LSTM on new digits": (
            trials.is_higher("accuracy", tenth, than=plain)
        ),
        "Gamma 1 is right less often than gamma 0.1 on new digits": (
            trials.is_lower("accuracy", one, than=tenth)
        ),
    }
    stores = {}
    speed, sharing = "epochs to 70 %", "cost of sharing"
    for at in CONDITIONS:
        claims[f"In epochs, gamma 0.1 is faster than an LSTM on {at}"] = (
            trials.is_lower(speed, tenth, than=plain, at=at)
        )
        claims[f"In epochs, gamma 1 is slower than gamma 0.1 on {at}"] = (
            trials.is_higher(speed, one, than=tenth, at=at)
        )
        stores[f"One mean and variance for all {at} costs 5 points"] = (
            trials.is_above(sharing, 0.05, tenth, at=at)
        )
    return Report(
        trials.table(speed, "accuracy", sharing),
        flows.table("slope", "gradient, log10"),
        plot_curves(
            flows,
            "gradient",
            xlabel=f"step that is read, of {STEPS}, before training",
            ylabel="gradient of the loss (last step: 1)",
            log=True,
        ),
        plot_curves(
            trials, "training accuracy", ylabel="share of digits told right"
        ),
        *(Claim(text, found, recurrent) for text, found in claims.items()),
        *(Claim(text, found, diff) for text, found in stores.items()),
    )


# %%
# What to make of it
# ------------------
# Compare the left ends of the gradient's curves: a scale sets how much gets
# there, and too much is no better than too little. Count in seconds as well as
# in epochs, for a normalized step does more. Batches must be large enough for a
# mean and a variance, and training sequences as long as those to come; layer
# normalization inside the cell asks for neither. Two things to try:
# ``gamma=0.01``; and a network trained on the upper four rows of the digits
# that then reads all eight, with ``max_steps=4``.

if __name__ == "__main__":
    cook(main)
