"""
Streaming normalization: learning from one sample at a time
===========================================================

Batch normalization asks what a value is among those of its batch. In a stream
that is learned sample by sample there is no such batch. Streaming
normalization asks what it is among all values *seen so far*, the latest ones
counting most, and asks the same in training and at inference.

For a channel, a batch with the mean :math:`m_t` and the variance :math:`v_t`
moves the running statistics by its weight :math:`w_t`, which the decay
:math:`\\kappa` sets,

.. math::

   w_t = \\frac{1 - \\kappa}{1 - \\kappa^t}, \\qquad
   \\mu_t = (1 - w_t) \\mu_{t-1} + w_t m_t, \\qquad
   y = \\gamma \\frac{x - \\mu_t}{\\sqrt{\\sigma^2_t + \\epsilon}} + \\beta

   \\sigma^2_t = (1 - w_t) \\sigma^2_{t-1} + w_t v_t
   + w_t (1 - w_t) (m_t - \\mu_{t-1})^2

Mind the last term: one vector has the variance 0, but it differs from those
before. The first batch has the weight 1, so nothing needs to be known before.

This is the paper's forward part, with one batch for each update of the weights.
Left out: *streaming gradients*, running averages of the statistics' gradients
(here a gradient passes through the share :math:`w_t` alone); statistics that
several batches or steps gather between two updates; orders other than 1 and 2.

:question: My data come one at a time. How do I normalize a network's layers?
:level: advanced
:notes: Deep Neural Nets Basics, Streaming Normalization;
    Deep Neural Nets Basics, What is the diff between batch/layer/recurrent
    batch and back rnn normalization
:papers: Liao et al. 2016, https://arxiv.org/abs/1610.06160;
    Ioffe 2017, https://arxiv.org/abs/1702.03275
:backends: tensorflow, jax, torch
:before: normalization/batch_norm, normalization/normalization_axes
"""

import functools

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import StreamingNormalization
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "none": {"kind": "none"},
    "batch": {"kind": "batch"},
    "renorm": {"kind": "renorm"},
    "layer": {"kind": "layer"},
    "streaming": {"kind": "streaming"},
    "streaming, order 1": {"kind": "streaming", "order": 1},
    "streaming, decay 0.7": {"kind": "streaming", "decay": 0.7},
}
CONDITIONS = {"ConvNet": {"network": "ConvNet"}, "RNN": {"network": "RNN"}}
QUICK = {
    "samples": 100,
    "seeds": 1,
    "variants": ["none", "streaming"],
    "conditions": ["ConvNet"],
}
FULL = {"samples": 1600, "seeds": 10}

# %%
# The networks
# ------------
# A ConvNet, and a plain recurrent network that reads a digit row by row. Its
# steps are written out: on JAX a cell of `keras.layers.RNN` cannot move
# statistics. All steps share them and each one moves them, so that a decay of
# 0.99 remembers a hundred images in the ConvNet, and a hundred steps in the
# RNN. *Renorm* is Keras' batch renormalization, which shifts and scales what
# batch norm gives towards running statistics.


def make_layer(kind: str, images: bool, **options) -> layers.Layer:
    """A normalization of images, or of vectors."""
    if kind == "streaming":
        return StreamingNormalization(**options)
    if kind == "layer":
        return layers.LayerNormalization(axis=(1, 2, 3) if images else -1)
    if kind == "none":
        return layers.Identity()
    return layers.BatchNormalization(renorm=kind == "renorm")


def build_model(network: str, kind: str, **options) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) digits, normalized or not."""
    inputs = keras.Input((8, 8, 1))
    if network == "ConvNet":
        x = inputs
        for channels in (16, 32, 32):
            x = layers.Conv2D(channels, 3, padding="same")(x)
            x = ops.relu(make_layer(kind, True, **options)(x))
            x = layers.MaxPooling2D()(x)
        return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    norm = make_layer(kind, False, **options)
    rows = layers.Dense(32)(layers.Reshape((8, 8))(inputs))
    recurrent = layers.Dense(32, use_bias=False)
    state = ops.tanh(norm(rows[:, 0]))
    for step in range(1, 8):
        state = ops.tanh(norm(rows[:, step] + recurrent(state)))
    return keras.Model(inputs, layers.Dense(10)(state))


# %%
# One trial
# ---------
# A stream of images in batches of one, each seen once. Put your own in the
# first line: x of shape (samples, height, width, channels), y integers. Every
# loss in training, taken over the last fifth of the stream, is that of an image
# which the network has not learned yet. The images that it is tested on are
# new to it too, but they meet the layers at inference: the *gap* between the
# two losses is what the layers do differently. `steps_per_execution` takes ten
# steps in one call, which saves time; PyTorch refuses it.

STEPS = 1 if keras.backend.backend() == "torch" else 10


def train(seed: int, samples: int, network: str, **norm) -> dict:
    """Trains on a stream; returns accuracy, and losses in and after it."""
    (x, y), (x_test, y_test) = load_digits(samples, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(network, **norm)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, samples)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, steps_per_execution=STEPS)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    most = 4 * samples // 5
    for part in (slice(most), slice(most, None)):
        history = model.fit(x[part], y[part], 1, shuffle=False, verbose=0)
    logits = ops.convert_to_numpy(model(x_test))
    ends = [history.history["loss"][0], float(loss(y_test, logits))]
    ends = np.nan_to_num(ends, nan=1e3, posinf=1e3).clip(0, 1e3)
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "loss in training": ends[0],
        "loss at inference": ends[1],
        "gap": ends[1] - ends[0],
    }


# %%
# What must hold exactly
# ----------------------
# The layer's statistics against NumPy's over everything seen, then what one
# sample is to each layer. Values are near 1 and float32 rounds their seventh
# digit; a division by the root of epsilon makes thirty times as much of it.

FACTS = {
    "statistics": "Streaming norm has weighted statistics of all it has seen",
    "order 1": "Streaming norm of order 1 divides by mean absolute deviations",
    "same": "Streaming norm does the same in inference as in training",
    "first": "Streaming norm makes beta of the first vector",
    "bounded": "Streaming norm puts a vector at most 1 / sqrt(w) from beta",
    "share": "Streaming norm with batch_share=1 is batch norm",
    "vector": "Batch norm makes beta of any single vector",
    "image": "Batch norm of a single image is instance norm",
    "renorm": "Renorm of a single vector passes no gradient on",
    "streaming": "Streaming norm of a single vector passes one on",
}


def weighted(x, decay: float):
    """Mean and variance of (times, batch, channels), the last counting most."""
    weights = decay ** np.arange(len(x))[::-1]
    mean = np.average(x.mean(1), 0, weights)
    return mean, np.average(np.square(x - mean).mean(1), 0, weights)


def run(layer, x, training=True):
    """What a layer makes of an array, as an array."""
    return ops.convert_to_numpy(layer(x.astype("float32"), training=training))


def learn_below(norm, x) -> float:
    """How much a step on one vector changes the kernel below a layer."""
    model = keras.Sequential([layers.Input((6,)), layers.Dense(5), norm])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    for vector in x[:20]:
        run(model, vector[:1])  # so that there are running statistics
    before = model.layers[0].get_weights()[0]
    model.train_on_batch(x[20, :1], np.ones((1, 5)))
    return np.abs(model.layers[0].get_weights()[0] - before).max()


def measure(seed: int) -> dict:
    """How far each of the facts is off."""
    generator = np.random.default_rng(seed)
    x = generator.normal(generator.normal(size=(40, 1, 6)), 2, (40, 3, 6))
    layer, first = StreamingNormalization(decay=0.9), StreamingNormalization()
    single = StreamingNormalization(decay=0.9)
    absolute = StreamingNormalization(decay=0.9, order=1)
    spread, beyond = 0.0, []
    for time, batch in enumerate(x, 1):
        weight = 0.1 / (1 - 0.9**time)
        mean, variance = weighted(x[:time], 0.9)
        spread += weight * (np.abs(batch - mean).mean(0) - spread)
        y, z = run(layer, batch), run(absolute, batch)
        alone = run(single, batch[:1])
        beyond.append(max(np.abs(alone).max() - weight**-0.5, 0.0))
    image, batch = generator.normal(1, 2, (1, 5, 4, 6)), x[0]
    instance = layers.GroupNormalization(groups=-1)
    whole = StreamingNormalization(batch_share=1.0)
    run(whole, x[1])
    usual = layers.BatchNormalization
    errors = {
        "statistics": y - (x[-1] - mean) / np.sqrt(variance + 0.001),
        "order 1": z - (x[-1] - mean) / (spread + 0.001),
        "same": y - run(layer, x[-1], training=False),
        "first": run(first, batch[:1]),
        "bounded": np.array(beyond),
        "share": run(whole, batch) - run(usual(), batch),
        "vector": run(usual(), batch[:1]),
        "image": run(usual(), image) - run(instance, image),
        "renorm": learn_below(usual(renorm=True), x),
        "streaming": 1.0 - (learn_below(StreamingNormalization(), x) > 1e-3),
    }
    return {name: np.abs(error).max() for name, error in errors.items()}


# %%
# The experiment
# --------------


def main(samples: Count = 1000, seeds: Count = 3) -> Report:
    """Compares normalizations in two networks that learn from a stream.

    Args:
        samples: length of the stream.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, samples=samples
    )
    higher = functools.partial(trials.is_higher, "accuracy")
    lower = functools.partial(trials.is_lower, "accuracy")
    conv, rnn = CONDITIONS
    streaming, one, short = list(VARIANTS)[4:]
    claims = {
        text: facts.agrees(name, 0.0, within=2e-5)
        for name, text in FACTS.items()
    } | {
        "Batch norm of single images fails: 5 points below none": (
            lower("batch", than="none", at=conv, by=0.05)
        ),
        "Batch norm of single vectors fails: accuracy below 15 %": (
            trials.is_below("accuracy", 0.15, "batch", at=rnn)
        ),
        "Batch norm in inference is another function: a loss higher by 1": (
            trials.is_higher("gap", "batch", than=streaming, at=conv, by=1.0)
        ),
    }
    for at, place in ((conv, "a ConvNet"), (rnn, "an RNN")):
        better = functools.partial(higher, streaming, at=at)
        claims |= {
            f"Streaming norm works well in {place}: better than none": (
                better(than="none")
            ),
            f"Streaming norm is 5 points above batch norm in {place}": (
                better(than="batch", by=0.05)
            ),
            f"Streaming norm is better than renorm in {place}": (
                better(than="renorm")
            ),
            f"Streaming norm is better than layer norm in {place}": (
                better(than="layer")
            ),
            f"Streaming norm of order 1 loses less than a point in {place}": (
                higher(one, than=streaming, at=at, by=-0.01)
            ),
            f"Streaming norm with a decay of 0.7 loses a point in {place}": (
                lower(short, than=streaming, at=at, by=0.01)
            ),
        }
    notes = "Deep Neural Nets Basics, Streaming Normalization"
    return Report(
        trials.table("accuracy", "loss in training", "loss at inference"),
        plot_differences(trials, "accuracy", xlabel="accuracy"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Ask first whether the batches must be so small: gradients of several samples
# may be added up, and batch norm is not meant for one. If they must, ask what
# a layer does with one sample in training, and whether inference does the
# same. Layer, instance and group norm treat each sample by itself, which is
# the simple way out; streaming norm keeps what sets a sample apart from
# others, and pays with statistics that lag behind the weights. With so few
# values to a batch its memory must be long: see what a decay of 0.7 does to
# vectors. Two things to try: a decay of 0.999 in the RNN; and batches of 16
# with ``batch_share=0.3``, the paper's mixture of own and running statistics.

if __name__ == "__main__":
    cook(main)
