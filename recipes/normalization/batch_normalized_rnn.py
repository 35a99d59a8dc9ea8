"""
Batch-normalized RNN: only between input and hidden state
=========================================================

An early form of batch normalization in recurrent networks leaves the way from
state to state alone: only what comes from the inputs is normalized. The paper
found that training goes faster with it, and that new data gains nothing.

.. math::

   (i, f, g, o) = \\mathrm{BN}(x_t W) + h_{t-1} U, \\qquad
   \\mathrm{BN}(z) = \\gamma \\odot
   \\frac{z - \\mu}{\\sqrt{\\sigma^2 + \\epsilon}} + \\beta

What is not recurrent can be done for all steps at once, before the loop: a
``Dense`` layer, Keras' own normalization, and an LSTM behind them.
*Frame-wise*, :math:`\\mu` and :math:`\\sigma` belong to one step and are taken
over the batch; *sequence-wise*, they are taken over batch and steps. Scale and
shift are shared by all steps in either case.

:question: Is it worth normalizing only what goes into my LSTM?
:level: intermediate
:notes: Deep Neural Nets Basics, Batch Normalized Recurrent Neural Networks;
    Deep Neural Nets Basics, What is the diff between batch/layer/recurrent
    batch and back rnn normalization
:papers: Laurent et al. 2015, https://arxiv.org/abs/1510.01378
:backends: tensorflow, jax, torch
:before: normalization/batch_norm
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.analysis import epochs_to
from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "LSTM": {"statistics": None},
    "sequence-wise": {"statistics": "sequence"},
    "frame-wise": {"statistics": "frame"},
}
CONDITIONS = {"8 rows": {"steps": 8}, "32 pairs": {"steps": 32}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["LSTM", "sequence-wise"],
    "conditions": ["8 rows"],
}
FULL = {"epochs": 15, "seeds": 10}
UNITS = 32
EPSILON = 0.001  # Keras' own

# %%
# The network
# -----------
# An LSTM multiplies its inputs by a kernel; here `Dense` has done that. So its
# kernel begins as the identity and stays diagonal: the diagonal is gamma, and
# the LSTM's bias is beta. Frame by frame, a step's projections are features of
# their own: 4 * 32 for each step, in one row.


class Diagonal(keras.constraints.Constraint):
    """Keeps a square kernel diagonal."""

    def __call__(self, w):
        return w * ops.eye(w.shape[0], dtype=w.dtype)


def read(steps: int, statistics: str | None) -> list[layers.Layer]:
    """An LSTM, with its inputs' projections normalized or not."""
    if statistics is None:
        return [layers.LSTM(UNITS)]
    norm = layers.BatchNormalization(
        momentum=0.9, epsilon=EPSILON, center=False, scale=False
    )
    normalize = [norm]
    if statistics == "frame":
        flat = layers.Reshape((steps * 4 * UNITS,))
        normalize = [flat, norm, layers.Reshape((steps, 4 * UNITS))]
    return [
        layers.Dense(4 * UNITS, use_bias=False),
        *normalize,
        layers.LSTM(
            UNITS,
            kernel_initializer="identity",
            kernel_constraint=Diagonal(),
        ),
    ]


def build_model(steps: int, statistics: str | None) -> keras.Model:
    """Classifier of digits that are read in so many steps."""
    inputs = layers.Input((steps, 64 // steps))
    parts = read(steps, statistics)
    return keras.Sequential([inputs, *parts, layers.Dense(10)])


# %%
# One trial
# ---------
# A digit is read row by row, or as 32 pairs of pixels. Put your own sequences
# in the first lines: x of shape (samples, steps, features), y integers. Speed
# is the number of epochs until 70 % of the training digits are right, read off
# the line between two epochs.


def train(seed: int, epochs: int, steps: int, statistics: str | None) -> dict:
    """Trains one variant; returns how fast, and how good on new digits."""
    train_part, test_part = load_digits(1000, fold=seed, flat=True)
    (x, y), (x_test, y_test) = (
        (x.reshape(len(x), steps, -1), y) for x, y in (train_part, test_part)
    )
    keras.utils.set_random_seed(seed)
    model = build_model(steps, statistics)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss, metrics=["accuracy"])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    curves = model.fit(
        x,
        y,
        batch_size=50,
        epochs=epochs,
        validation_data=(x_test, y_test),
        verbose=0,
    ).history
    accuracy = curves["val_accuracy"][-1]
    return {
        "epochs to 70 %": epochs_to(0.7, curves["accuracy"]),
        "training loss": curves["loss"][-1],
        "accuracy": accuracy,
        "gap": curves["accuracy"][-1] - accuracy,
        "curves": {
            "training loss": curves["loss"],
            "test loss": curves["val_loss"],
        },
    }


# %%
# What must hold exactly
# ----------------------
# NumPy normalizes the projections, over batch and steps or over the batch, and
# the same LSTM reads them. In inference the averages are numbers like others,
# and fold into the kernel and bias of a plain LSTM. Padding is no data: behind
# a mask Keras leaves it out of the statistics.

FACTS = {
    "sequence": "Sequence-wise is an LSTM fed with normalized projections",
    "frame": "Frame-wise is an LSTM fed with normalized projections",
    "kept": "Keras keeps the mean and variance over batch and steps",
    "folded": "Sequence-wise folds into a plain LSTM at inference",
    "diagonal": "The kernel behind the normalization stays diagonal",
    "masked": "Behind a mask, padding takes no part in the statistics",
}


def measure(seed: int) -> dict:
    """How far each of the facts is off, and what happens without care."""
    generator = np.random.default_rng(seed)
    x = generator.normal(1.0, 1.0, (30, 8, 8)).astype("float32")
    x *= np.linspace(0.5, 2, 8, dtype="float32")[:, None]
    y = generator.normal(size=(30, UNITS))
    keras.utils.set_random_seed(seed)
    scores = {}

    def run(model, inputs, **arguments):
        return ops.convert_to_numpy(model(inputs, **arguments))

    def off(found, right):
        return np.abs(np.asarray(found) - right).max()

    for statistics, axes in (("frame", 0), ("sequence", (0, 1))):
        model = keras.Sequential(read(8, statistics))
        model.build(x.shape)
        dense, lstm = model.layers[0], model.layers[-1]
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(x, y)  # so that gamma and beta are not 1 and 0
        before = model.layers[1].get_weights()
        z = x @ dense.get_weights()[0]
        mean, variance = z.mean(axes), z.var(axes)
        normal = (z - mean) / np.sqrt(variance + EPSILON)
        outputs = run(model, x, training=True)
        scores[statistics] = off(outputs, run(lstm, normal.astype("float32")))
        if statistics == "frame":
            try:
                scores["refuses another length"] = 0.0
                model.compute_output_shape((30, 6, 8))
            except ValueError:
                scores["refuses another length"] = 1.0

    # The last model is the sequence-wise one.
    kept = model.layers[1].get_weights()
    right = [0.9 * before[0] + 0.1 * mean, 0.9 * before[1] + 0.1 * variance]
    kernel, recurrent, bias = lstm.get_weights()
    scale = np.diag(kernel) / np.sqrt(kept[1] + EPSILON)
    plain = layers.LSTM(UNITS)
    plain.build(x.shape)
    weights = dense.get_weights()[0] * scale, recurrent, bias - kept[0] * scale
    plain.set_weights(weights)

    # Four steps of padding, and layers that keep one batch's statistics.
    padded = np.pad(z, ((0, 0), (0, 4), (0, 0)))
    real = np.arange(12) < np.full((30, 1), 8)
    means = {}
    for name, mask in (("masked", ops.array(real)), ("bare", None)):
        norm = layers.BatchNormalization(momentum=0.0)
        norm(padded, training=True, mask=mask)
        means[name] = ops.convert_to_numpy(norm.moving_mean)
    lost = 1 - np.abs(means["bare"]).sum() / np.abs(mean).sum()
    return {
        **scores,
        "kept": max(map(off, kept, right)),
        "folded": off(run(model, x), run(plain, x)),
        "diagonal": off(kernel, np.diag(np.diag(kernel))),
        "masked": off(means["masked"], mean),
        "lost without a mask": lost,
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 8, seeds: Count = 3) -> Report:
    """Compares an LSTM with two that normalize its inputs, seed by seed.

    Args:
        epochs: passes over 1,000 digits.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    laurent = (
        "Deep Neural Nets Basics, Batch Normalized Recurrent Neural Networks"
    )
    speed = "epochs to 70 %"
    # Float32 rounds the seventh digit, in sums of eight products.
    claims = {
        text: facts.agrees(name, 0, within=1e-5) for name, text in FACTS.items()
    } | {
        "Unmasked, four steps of padding for eight cost a third of the mean": (
            facts.agrees("lost without a mask", 1 / 3, within=1e-4)
        ),
        "Frame-wise, sequences of another length are refused": (
            facts.agrees("refuses another length", 1, within=0)
        ),
    }
    for kind in ("sequence-wise", "frame-wise"):
        for at in CONDITIONS:
            claims[f"In epochs, {kind} trains faster than an LSTM on {at}"] = (
                trials.is_lower(speed, kind, than="LSTM", at=at)
            )
            claims[
                f"New digits gain nothing by {kind} on {at}, within 2 points"
            ] = trials.is_same(
                "accuracy", kind, than="LSTM", within=0.02, at=at
            )
        claims[f"The training loss ends lower with {kind} statistics"] = (
            trials.is_lower("training loss", kind, than="LSTM")
        )
        claims[f"With {kind} statistics the gap to new digits is wider"] = (
            trials.is_higher("gap", kind, than="LSTM")
        )
    return Report(
        trials.table(speed, "training loss", "accuracy", "gap"),
        facts.table("lost without a mask"),
        plot_curves(
            trials,
            "training loss",
            "test loss",
            ylabel="cross-entropy (dashed: new digits)",
            log=True,
        ),
        *(Claim(text, found, laurent) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look at the solid curves for the speed, and at the dashed ones for what it is
# worth. Sequence-wise is the plainer of the two: layers of Keras that read any
# length, and nothing is left of them once they are folded. What runs from state
# to state can be normalized as well, by statistics for each step: that is
# recurrent batch normalization, a recipe of its own. Two things to try: inputs
# on very different scales (``x * np.logspace(-2, 2, 8)`` for rows), where
# normalizing should help most; and standardized inputs in place of it, to see
# how much of the difference that alone makes.

if __name__ == "__main__":
    cook(main)
