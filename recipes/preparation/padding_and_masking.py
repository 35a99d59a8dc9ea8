"""
Padding and masking sequences of different lengths
==================================================

The sequences of a batch are one array, so they must be equally long: short ones
are filled up with zeros (padding), and long ones are cut (truncation). A
recurrent layer would take the zeros for data. A mask :math:`m_t`, 1 for a real
step and 0 for a padded one, tells it to keep its state instead:

.. math::

   h_t = m_t \\, f(x_t, h_{t-1}) + (1 - m_t) \\, h_{t-1}

``Embedding(mask_zero=True)`` and ``Masking`` make that mask, and Keras hands it
from layer to layer, up to the loss, where padded steps have no weight:

.. math::

   L = \\frac{\\sum_t m_t \\, \\ell(y_t, \\hat y_t)}{\\sum_t m_t}

Which layers hand it on, and which lose it, is the topic of ``lost_masks``.

:question: My sequences have different lengths. Do the zeros between do harm?
:level: beginner
:notes: Deep Learning Models, Masking for RNNs;
    Deep Learning Models, Sequence.pad_sequences
:papers: Hochreiter and Schmidhuber 1997,
    https://doi.org/10.1162/neco.1997.9.8.1735
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import make_signed_sums
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "mask": {"masked": True},
    "no mask, zeros behind": {"masked": False},
    "no mask, zeros in front": {"masked": False, "padding": "pre"},
}
CONDITIONS = {
    "12 steps": {"steps": 12},
    "24 steps": {"steps": 24},
    "48 steps": {"steps": 48},
}
# Six steps are fewer than most sequences have.
CUT = {
    "mask": {"steps": 12},
    "beginning cut": {"steps": 6},
    "end cut": {"steps": 6, "truncating": "post"},
}
TAGGERS = {"mask": {"masked": True}, "no mask": {"masked": False}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["mask", "no mask, zeros behind"],
    "conditions": ["12 steps"],
}
FULL = {"epochs": 8, "seeds": 10}

TRAINING, TEST = 500, 1000
RECURRENT = {"LSTM": layers.LSTM, "GRU": layers.GRU}
MASKING = "Deep Learning Models, Masking for RNNs"
PADDING = "Deep Learning Models, Sequence.pad_sequences"

# %%
# The network
# -----------
# Sums of 3 to 12 numbers from -5 to 5 are written as words: 1 stands for -5 and
# 11 for 5, for 0 is taken by the padding. Is the sum above zero? Chance is one
# half. The variants differ by the argument ``mask_zero`` alone.


def build_model(masked: bool, each_step: bool = False) -> keras.Model:
    """Compiled: says of (batch, steps) words if their sum is positive."""
    model = keras.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(12, 8, mask_zero=masked),  # (batch, steps, 8)
            layers.LSTM(16, return_sequences=each_step),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy("accuracy", threshold=0)],
    )
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    return model


# %%
# One trial
# ---------
# Put your own sequences in the first lines: a list of arrays of integers from
# 1, and a label for each. Both ways of padding are options of Keras'
# ``pad_sequences``, whose defaults, zeros in front and the beginning cut, are
# seldom what one would guess.


def train(
    seed: int,
    epochs: int,
    steps: int,
    masked: bool,
    padding: str = "post",
    truncating: str = "pre",
) -> dict:
    """Trains on 500 sums, padded or cut to so many steps; tests on 1,000."""
    words, signs = make_signed_sums(TRAINING + TEST, seed=seed)
    x = keras.utils.pad_sequences(
        words, steps, padding=padding, truncating=truncating
    )
    y = np.array([sign[-1:] for sign in signs], "float32")
    keras.utils.set_random_seed(seed)
    model = build_model(masked)
    model.fit(x[:TRAINING], y[:TRAINING], 50, epochs, verbose=0)
    loss, accuracy = model.evaluate(x[TRAINING:], y[TRAINING:], verbose=0)
    return {"accuracy": accuracy, "loss": loss, "padded": np.mean(x == 0)}


# %%
# A label for each step
# ---------------------
# Where each step has a label, so has each padded step: a zero, which is easily
# learned. What ``evaluate`` says is then better than what the network does on
# the steps that count.


def train_tagger(seed: int, epochs: int, steps: int, masked: bool) -> dict:
    """Learns the sign of the running sum; what is said of it, what is true."""
    words, signs = make_signed_sums(TRAINING + TEST, seed=seed)
    x = keras.utils.pad_sequences(words, steps, padding="post")
    y = keras.utils.pad_sequences(signs, steps, "float32", padding="post")
    y = y[:, :, None]
    keras.utils.set_random_seed(seed)
    model = build_model(masked, each_step=True)
    model.fit(x[:TRAINING], y[:TRAINING], 50, epochs, verbose=0)
    x, y = x[TRAINING:], y[TRAINING:]
    said = model.evaluate(x, y, verbose=0, return_dict=True)
    logits = ops.convert_to_numpy(model(x))
    losses = np.logaddexp(0, logits) - y * logits
    right = (logits > 0) == y
    real = x > 0
    loss, accuracy = np.mean(losses[real]), np.mean(right[real])
    return {
        "accuracy": accuracy,
        "overstated": said["accuracy"] - accuracy,
        "loss": loss,
        "loss reported": said["loss"],
        "reported part of the loss": said["loss"] / loss,
    }


# %%
# What must hold exactly
# ----------------------
# Each recurrent layer reads sequences of 1 to 7 steps twice: one by one as
# they are, and padded in one batch with a mask.


def padding_error(layer: layers.Layer, sequences: list, padding: str) -> float:
    """The most that padding changes what a layer says of a sequence."""
    x = keras.utils.pad_sequences(sequences, 9, "float32", padding=padding)
    mask = np.any(x != 0, axis=-1)  # (batch, steps)
    padded = ops.convert_to_numpy(layer(x, mask=mask))
    alone = [ops.convert_to_numpy(layer(one[None]))[0] for one in sequences]
    if layer.return_sequences:
        padded = [row[real] for row, real in zip(padded, mask, strict=True)]
    return max(
        np.max(np.abs(one - other))
        for one, other in zip(alone, padded, strict=True)
    )


def measure(seed: int) -> dict:
    """Recurrent layers on padded sequences, and the loss with a mask."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    sequences = [
        generator.normal(size=(length, 4)).astype("float32")
        for length in (1, 4, 7)
    ]
    scores = {}
    for name, kind in RECURRENT.items():
        errors = []
        for each_step in (False, True):
            layer = kind(5, return_sequences=each_step)
            both = layers.Bidirectional(kind(5, return_sequences=each_step))
            for padding in ("pre", "post"):
                errors += [padding_error(layer, sequences, padding)]
                errors += [padding_error(both, sequences, padding)]
        scores[name] = max(errors)

    cut = keras.utils.pad_sequences([[1, 2, 3, 4, 5]], 3)
    filled = keras.utils.pad_sequences([[1, 2]], 3)
    scores["the beginning is cut"] = float(cut.tolist() == [[3, 4, 5]])
    scores["zeros are in front"] = float(filled.tolist() == [[0, 1, 2]])

    # `Masking` takes a real step of zeros for padding.
    lstm = layers.LSTM(5)
    x = sequences[-1][None].copy()
    x[:, 3] = 0
    skipped = lstm(layers.Masking()(x)) - lstm(np.delete(x, 3, axis=1))
    skipped = ops.convert_to_numpy(skipped)
    scores["a zero step is skipped"] = np.max(np.abs(skipped))

    words, signs = make_signed_sums(20, seed=seed)
    x = keras.utils.pad_sequences(words, 24, padding="post")
    y = keras.utils.pad_sequences(signs, 24, "float32", padding="post")
    real = (x > 0).astype("float32")
    for name, masked, weights in (
        ("loss with a mask", True, None),
        ("loss without one", False, None),
        ("loss with weights", False, real),
    ):
        model = build_model(masked, each_step=True)
        logits = ops.convert_to_numpy(model(x))[:, :, 0]
        losses = np.logaddexp(0, logits) - y * logits
        said, _ = model.evaluate(
            x, y[:, :, None], sample_weight=weights, verbose=0
        )
        counted = losses if name == "loss without one" else losses * real
        steps = np.sum(real) if masked else real.size
        scores[name] = abs(said - np.sum(counted) / steps)
    return scores


# %%
# The experiment
# --------------


def plot_padding(trials, taggers) -> Figure:
    """Accuracy by padded length, and the loss as reported and as it is."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    lengths = [condition["steps"] for condition in trials.conditions.values()]
    shades = ("#000000", "#0072B2", "#D55E00")
    for variant, shade in zip(trials.variants, shades, strict=False):
        found = np.array(
            [
                [*trials.scores("accuracy", variant, at=condition).values()]
                for condition in trials.conditions
            ]
        )  # (conditions, seeds)
        left.plot(lengths, found, "o", color=shade, ms=4, alpha=0.5)
        left.plot(lengths, found.mean(axis=1), color=shade, label=variant)
    left.axhline(0.5, color="#8C8C8C", linestyle=":", label="chance")
    left.set_xticks(lengths)
    left.set_xlabel("steps after padding, 3 to 12 of them real")
    left.set_ylabel("share of right answers")
    left.set_title("one label for a sequence", fontsize=10)
    for shift, score, shade in (
        (-0.05, "loss reported", "#D55E00"),
        (0.05, "loss", "#0072B2"),
    ):
        found = [[*taggers.scores(score, v).values()] for v in taggers.variants]
        places = np.arange(len(found)) + shift
        right.plot(places, found, "o", color=shade, ms=4, alpha=0.5)
        label = score if "reported" in score else "loss on real steps"
        right.plot(places, np.mean(found, 1), "D", color=shade, label=label)
    right.set_xticks(range(len(taggers.variants)), taggers.variants)
    right.set_xlim(-0.5, len(taggers.variants) - 0.5)
    right.set_ylim(bottom=0)
    right.set_ylabel("cross-entropy, nats a step")
    right.set_title("a label for each step", fontsize=10)
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("dot: a seed, line or diamond: their mean", fontsize=8)
    return figure


def main(epochs: Count = 8, seeds: Count = 3) -> Report:
    """Compares padding with a mask and without, seed by seed.

    Args:
        epochs: passes over the 500 training sequences.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    cut = run_trials(train, CUT, seeds=seeds, epochs=epochs, masked=True)
    taggers = run_trials(
        train_tagger, TAGGERS, seeds=seeds, epochs=epochs, steps=24
    )
    mask, behind, front = VARIANTS
    *_, last = CONDITIONS
    # Sums of a few numbers in float32, added up in another order.
    close = 1e-6
    masking = {
        f"{kind} with a mask says of a padded sequence what it says of the "
        "sequence alone": facts.agrees(kind, 0.0, within=close)
        for kind in RECURRENT
    } | {
        "The loss with a mask is the mean over the real steps": (
            facts.agrees("loss with a mask", 0.0, within=close)
        ),
        "The loss without a mask is the mean over all steps": (
            facts.agrees("loss without one", 0.0, within=close)
        ),
        "Weights of zero in place of a mask divide the loss by all steps": (
            facts.agrees("loss with weights", 0.0, within=close)
        ),
        "Masking takes a real step of zeros for padding": (
            facts.agrees("a zero step is skipped", 0.0, within=close)
        ),
        "Zeros behind cost more accuracy the more there are": (
            trials.trend(
                "accuracy", behind, than=mask, over="steps", falls=True
            )
        ),
        "Zeros in front cost more accuracy the more there are": (
            trials.trend("accuracy", front, than=mask, over="steps", falls=True)
        ),
        "Without a mask, zeros behind cost over 10 points at 48 steps": (
            trials.is_lower("accuracy", behind, than=mask, at=last, by=0.1)
        ),
        "Without a mask, zeros in front do less harm than behind at 48 steps": (
            trials.is_higher("accuracy", front, than=behind, at=last)
        ),
        "Without a mask the reported loss is less than half of the real one": (
            taggers.is_below("reported part of the loss", 0.5, "no mask")
        ),
        "Without a mask the reported accuracy is over 5 points too high": (
            taggers.is_above("overstated", 0.05, "no mask")
        ),
        "With a mask the accuracy reported is that on real steps": (
            # A mean of float32 numbers.
            taggers.agrees("overstated", 0.0, "mask", within=1e-5)
        ),
    }
    padding = {
        "pad_sequences puts the zeros in front": (
            facts.agrees("zeros are in front", 1.0, within=0.0)
        ),
        "pad_sequences cuts the beginning": (
            facts.agrees("the beginning is cut", 1.0, within=0.0)
        ),
        "Sums cut to six steps cost over 5 points of accuracy": (
            cut.is_lower("accuracy", "beginning cut", than="mask", by=0.05)
        ),
        "For sums, which end is cut makes less than 2 points of difference": (
            cut.is_same(
                "accuracy", "end cut", than="beginning cut", within=0.02
            )
        ),
    }
    return Report(
        trials.table("accuracy", "loss", "padded"),
        taggers.table("loss", "loss reported", "accuracy", "overstated"),
        plot_padding(trials, taggers),
        *(Claim(text, found, MASKING) for text, found in masking.items()),
        *(Claim(text, found, PADDING) for text, found in padding.items()),
    )


# %%
# What to make of it
# ------------------
# Ask for a mask where sequences begin, by ``mask_zero`` or ``Masking``. Tell
# ``pad_sequences`` what you want by ``padding="post"`` or ``"pre"``, for its
# defaults are easily forgotten. Where a mask cannot be had, zeros belong in
# front of what is read to the end. Two things to try: sort sequences by length
# into batches of their own, which saves the padding itself; and a
# ``mask_value`` that no real step has, where all features can be zero at once.

if __name__ == "__main__":
    cook(main)
