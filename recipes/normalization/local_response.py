"""
Local response normalization, and whether it does anything
==========================================================

AlexNet let neighbouring channels compete: each response is divided by a power
of the summed squares around it, so that a large one damps those beside it.
Batch normalization has replaced it since; the notes conclude that it "would not
hurt", and know of no reason to use it.

For channel :math:`i` of one pixel, with a window :math:`W_i` of :math:`n`
channels around it,

.. math::

   b_i = a_i \\Big/ \\Big(k + \\alpha \\sum_{j \\in W_i} a_j^2\\Big)^\\beta

The notes' listing divides :math:`\\alpha` by :math:`n` first, as Caffe and
PyTorch do and the paper and TensorFlow do not: ``alpha_mode`` says which. The
window may also run over the pixels around, within one channel. The notes put
the layer before the activation; AlexNet has it behind ReLU.

:question: Old ConvNets have LRN layers. What do they do, and do I need them?
:level: intermediate
:notes: Deep learning, wiki notes, Local Response Normalization
:papers: Krizhevsky et al. 2012, https://doi.org/10.1145/3065386
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import LocalResponseNormalization
from kerasrecipes.plotting import plot_differences

ALEXNET = {"size": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75}
# Weights of the squares at which the layer bends responses of this size.
STRONG = {"size": 5, "k": 1.0, "alpha": 0.1, "beta": 0.75}
VARIANTS = {
    "none": {},
    "batch norm": {"batch_norm": True},
    "LRN": {"response": ALEXNET},
    "LRN, strong": {"response": STRONG},
    "LRN, strong, before ReLU": {"response": STRONG, "before": True},
    "LRN, strong, no pooling": {"response": STRONG, "pool": False},
    "LRN, strong, in channel": {
        "response": {**STRONG, "region": "within_channel"}
    },
}
CONDITIONS = {
    "200 digits": {"examples": 200},
    "1,000 digits": {"examples": 1000},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "LRN, strong"],
    "conditions": ["200 digits"],
}
FULL = {"epochs": 15, "seeds": 10}

# %%
# The network
# -----------
# Two convolutions as small as the images. A normalisation stands behind each
# activation, or before it where `before` says so; pooling follows, or the
# convolution itself takes every second pixel where it is left out.


def build_model(
    response: dict | None = None,
    batch_norm: bool = False,
    before: bool = False,
    pool: bool = True,
) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) digits, with a normalisation or none."""

    def block(filters):
        normalization = []
        if batch_norm:
            normalization = [layers.BatchNormalization()]
        elif response:
            normalization = [LocalResponseNormalization(**response)]
        activation = [layers.Activation("relu")]
        return [
            layers.Conv2D(filters, 3, padding="same", strides=1 if pool else 2),
            *(normalization + activation if before else activation),
            *([] if before else normalization),
            *([layers.MaxPooling2D()] if pool else []),
        ]

    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            *block(32),  # (batch, 4, 4, 32)
            *block(64),  # (batch, 2, 2, 64)
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


# %%
# One trial
# ---------
# Put your own images in the first line: x of shape (samples, height, width,
# channels), y integers. An epoch shows 2,000 images in either condition.


def train(seed: int, epochs: int, examples: int, **network) -> dict:
    """Trains one variant; returns its accuracies and its loss by epoch."""
    (x, y), (x_test, y_test) = load_digits(examples, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    model.compile(
        keras.optimizers.Adam(2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    repeats = 2000 // examples
    x_all, y_all = np.tile(x, (repeats, 1, 1, 1)), np.tile(y, repeats)
    history = model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    logits = model.predict(x_test, verbose=0)
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "training loss": history.history["loss"][-1],
        "curves": {"loss": history.history["loss"]},
    }


# %%
# What must hold exactly
# ----------------------
# The formula as a loop, and four statements that follow from it: what the
# notes' listing computes, which channels take part, how much a response is
# damped among equals and alone, and that channels which share a window keep
# their proportions: the layer makes no contrast between those.


def by_formula(a, size: int, k: float, alpha: float, beta: float):
    """LRN across the channels of (height, width, channels), one by one."""
    b = np.empty_like(a, dtype="float64")
    for row, column, i in np.ndindex(*a.shape):
        window = a[row, column, max(0, i - size // 2) : i + (size + 1) // 2]
        scale = k + alpha * np.sum(np.square(window, dtype="float64"))
        b[row, column, i] = a[row, column, i] / scale**beta
    return b


def measure(seed: int) -> dict:
    """How far the layer is from what the formula says."""

    def respond(a, **arguments):
        layer = LocalResponseNormalization(**{**STRONG, **arguments})
        return ops.convert_to_numpy(layer(np.asarray(a, "float32")[None]))[0]

    a = np.random.default_rng(seed).normal(size=(5, 7, 12), scale=3)
    a = a.astype("float32")
    listing = respond(a, alpha=0.5, alpha_mode="mean")
    far = a.copy()
    far[..., 9] = 100.0  # channel 9 is outside of channel 3's window
    alone, equals = np.zeros((1, 1, 11)), np.full((1, 1, 11), 10.0)
    alone[..., 5] = 10.0
    damping = respond(alone)[0, 0, 5] / respond(equals)[0, 0, 5]
    shared = respond([[[1.0, 2.0, 10.0, 1.0]]], size=9)[0, 0]
    return {
        "off the formula": np.abs(respond(a) - by_formula(a, **STRONG)).max(),
        "mean against sum": np.abs(listing - respond(a, alpha=0.1)).max(),
        "reach of a far channel": np.abs(respond(a) - respond(far))[
            ..., 3
        ].max(),
        "alone against equals": damping,
        "largest over second": shared[2] / shared[1],
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 7, seeds: Count = 3) -> Report:
    """Compares the variants, seed by seed.

    Args:
        epochs: passes over 2,000 images, some of them the same.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    notes = "Deep learning, wiki notes, Local Response Normalization"
    # Ten equals weigh 1 + 0.1 * 5 * 100 = 51, one alone 1 + 0.1 * 100 = 11.
    damping = (51 / 11) ** 0.75
    strong = "LRN, strong"
    claims = {
        "The layer computes the formula": (
            # Rounding of responses up to about ten in float32.
            facts.agrees("off the formula", 0.0, within=2e-6)
        ),
        "The notes' alpha / n is the paper's alpha": (
            facts.agrees("mean against sum", 0.0, within=2e-6)
        ),
        "Across channels means n neighbours, not all channels": (
            facts.agrees("reach of a far channel", 0.0, within=0.0)
        ),
        "A response is damped more among equals than alone": (
            facts.agrees("alone against equals", damping, within=1e-5)
        ),
        "Within one window no contrast is made: 10 to 2 stays 5 to 1": (
            facts.agrees("largest over second", 5.0, within=1e-5)
        ),
        "With AlexNet's values LRN and pooling do not hurt by a point": (
            trials.is_higher("accuracy", "LRN", than="none", by=-0.01)
        ),
        "Where LRN does something it does not hurt by a point either": (
            trials.is_higher("accuracy", strong, than="none", by=-0.01)
        ),
        "Within a channel LRN does not hurt by a point": (
            trials.is_higher(
                "accuracy", f"{strong}, in channel", than="none", by=-0.01
            )
        ),
        "No reason to use LRN: it is within a point of none": (
            trials.is_same("accuracy", strong, than="none", within=0.01)
        ),
        "Before the activation, as in the notes, LRN is as good as behind": (
            trials.is_same(
                "accuracy", f"{strong}, before ReLU", than=strong, within=0.01
            )
        ),
        "LRN does better along with pooling than without": (
            trials.is_higher("accuracy", strong, than=f"{strong}, no pooling")
        ),
        "Batch normalization is better": (
            trials.is_higher("accuracy", "batch norm", than=strong)
        ),
    }
    return Report(
        trials.table("accuracy", "training loss"),
        plot_differences(trials, "accuracy", xlabel="accuracy"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# With AlexNet's values the sum of squares must reach ten thousand before the
# layer bends anything: responses of a well-scaled network never get there, and
# the layer divides by a constant that the next weights undo. Give it a weight
# that bites, and look whether anything is gained. Two things to try: images of
# very different brightness (`x * np.random.uniform(0.1, 10, (len(x), 1, 1,
# 1))`), where dividing by the neighbourhood should help; and a window over all
# channels, which is nearly RMS normalization of each pixel.

if __name__ == "__main__":
    cook(main)
