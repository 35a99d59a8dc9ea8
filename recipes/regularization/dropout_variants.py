"""
Kinds of dropout, each on the network it was made for
=====================================================

Dropout silences single units. That hides little where a pixel can be guessed
from its neighbours, or a number of a word's vector from the others, and harms
layers of SELU, which need units of mean 0 and variance 1. Other kinds were made
for such networks. They too multiply by a random factor :math:`m`,

.. math::

   P(m = 0) = p, \\qquad P\\Big(m = \\frac{1}{1 - p}\\Big) = 1 - p

and differ in what has a factor of its own:

- ``Dropout``: each unit. So in ``GaussianDropout``, whose factors are normal,
  with the same mean and variance.
- ``SpatialDropout``: each channel, in all of an image or of a text.
- ``DropBlock2D``: each square of pixels in a channel.
- Word dropout: each word, with its whole vector.
- ``DropConnectDense``: each weight. The notes say of dropout what is true here:
  "drawing each weight from a Bernoulli distribution".
- ``AlphaDropout``: each unit. Dropped ones get SELU's lowest value in place of
  0, then all are shifted and scaled back to mean 0 and variance 1.

:question: Keras has several kinds of dropout. Which one suits my network?
:level: intermediate
:notes: Deep Neural Nets Basics, Dropout layers in Keras and general;
    Deep Learning Models, Run prediction with dropout 100 times
:papers: Wan et al. 2013, https://proceedings.mlr.press/v28/wan13.html;
    Tompson et al. 2014, https://arxiv.org/abs/1411.4280;
    Iyyer et al. 2015, https://aclanthology.org/P15-1162/;
    Klambauer et al. 2017, https://arxiv.org/abs/1706.02515;
    Ghiasi et al. 2018, https://arxiv.org/abs/1810.12890
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits, load_docstrings
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import DropBlock2D, DropConnectDense

VARIANTS = {
    "MLP: none": {"network": "MLP"},
    "MLP: Dropout": {"network": "MLP", "kind": "unit"},
    "MLP: GaussianDropout": {"network": "MLP", "kind": "normal"},
    "MLP: DropConnect": {"network": "MLP", "kind": "weight"},
    "MLP: DropConnect, moments": {"network": "MLP", "kind": "moments"},
    "MLP: DropConnect, one mask": {"network": "MLP", "kind": "one mask"},
    "CNN: none": {"network": "CNN"},
    "CNN: Dropout": {"network": "CNN", "kind": "unit"},
    "CNN: SpatialDropout": {"network": "CNN", "kind": "channel"},
    "CNN: DropBlock": {"network": "CNN", "kind": "block"},
    "SELU: none": {"network": "SELU"},
    "SELU: Dropout": {"network": "SELU", "kind": "unit"},
    "SELU: AlphaDropout": {"network": "SELU", "kind": "alpha"},
    "text: none": {"network": "text"},
    "text: Dropout": {"network": "text", "kind": "unit"},
    "text: SpatialDropout": {"network": "text", "kind": "dimension"},
    "text: word dropout": {"network": "text", "kind": "word"},
}
# All kinds on a network have one rate, of the order that the papers use.
RATES = {"MLP": 0.5, "CNN": 0.25, "SELU": 0.1, "text": 0.3}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["MLP: none", "MLP: Dropout"]}
FULL = {"epochs": 10, "seeds": 10}

# %%
# The kinds
# ---------
# ``noise_shape`` makes word dropout of `Dropout`: its last axis of 1 gives a
# word's whole vector one factor. `DropConnectDense` replaces a dense layer. In
# its paper each example has a mask of its own, and predictions are means
# over masks, here by `moments`, rather than the output of the mean weights.

KINDS = {
    "unit": layers.Dropout,
    "normal": layers.GaussianDropout,
    "alpha": layers.AlphaDropout,
    "channel": layers.SpatialDropout2D,
    "block": partial(DropBlock2D, block_size=3),
    "dimension": layers.SpatialDropout1D,
    "word": partial(layers.Dropout, noise_shape=(None, None, 1)),
}
connect = partial(DropConnectDense, rate=RATES["MLP"])
DENSE_KINDS = {
    "weight": connect,
    "moments": partial(connect, inference="moments"),
    "one mask": partial(connect, mask_mode="per_batch"),
}

# %%
# The networks
# ------------
# Dropout stands where the papers have it: behind a hidden layer's activation,
# a convolution's as well, and on word vectors before their mean is taken.


def build_model(network: str, kind: str = "none") -> keras.Model:
    """Classifier with one kind of dropout, or with none."""
    dense = DENSE_KINDS.get(kind, layers.Dense)
    if network == "SELU":  # which asks for this start
        dense = partial(dense, kernel_initializer="lecun_normal")

    def drop():
        return [KINDS[kind](RATES[network])] if kind in KINDS else []

    if network == "text":
        words = layers.Embedding(2000, 64, mask_zero=True)
        parts = [layers.Input((32,), dtype="int32"), words, *drop()]
        parts += [layers.GlobalAveragePooling1D(), layers.Dense(64, "relu")]
    elif network == "CNN":
        how = {"padding": "same", "activation": "relu"}
        parts = [layers.Input((8, 8, 1)), layers.Conv2D(32, 3, **how), *drop()]
        parts += [layers.MaxPooling2D(), layers.Conv2D(64, 3, **how), *drop()]
    else:
        parts = [layers.Input((64,))]
        for name in ["selu"] * 8 if network == "SELU" else ["relu"] * 2:
            parts += [dense(100, activation=name), *drop()]
    classes = 4 if network == "text" else 10
    return keras.Sequential([*parts, layers.Flatten(), layers.Dense(classes)])


# %%
# One trial
# ---------
# Put your own data in `load`. A hundred digits, or a thousand docstrings of
# four packages, can be learned by heart; each epoch shows 2,000 examples all
# the same. Pixels get mean 0 and variance 1, as SELU needs them.


def load(network: str, seed: int) -> tuple:
    """Training and test part of a network's data, for one seed."""
    if network == "text":
        return load_docstrings(1000, fold=seed, length=32, words=2000)
    flat = network != "CNN"
    (x, y), (x_test, y_test) = load_digits(100, fold=seed, flat=flat)
    x, x_test = ((part - x.mean()) / x.std() for part in (x, x_test))
    return (x, y), (x_test, y_test)


def train(seed: int, epochs: int, network: str, **kind) -> dict:
    """Trains one variant; returns its accuracy and loss on unseen data."""
    (x, y), (x_test, y_test) = load(network, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(network, **kind)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    x_all, y_all = (np.concatenate([a] * (2000 // len(a))) for a in (x, y))
    model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    logits = ops.convert_to_numpy(model(x_test))
    accuracy = np.mean(logits.argmax(-1) == y_test)
    return {"accuracy": accuracy, "test loss": float(loss(y_test, logits))}


# %%
# What must hold exactly
# ----------------------
# Ones go in, and masks of channels and words come out; one is broken if a part
# of it is dropped. Unit vectors go into a dense layer: its kernel comes out. Of
# a SELU unit, whose input is normal here, `Dropout` keeps all on average, and
# `AlphaDropout` sqrt((1 - p) / (1 + 1.758^2 p)): -1.758 is SELU's lowest value.


def broken(masks, *axes) -> float:
    """Share of groups along these axes that are dropped in part."""
    kept = masks > 0
    return np.mean(kept.any(axes) & ~kept.all(axes))


def measure(seed: int) -> dict:
    """What the kinds do to images, words, the next kernel and SELU units."""

    def masked(layer, x):
        return ops.convert_to_numpy(layer(x, training=True))

    images = np.ones((100, 8, 8, 64), "float32")
    pixels = masked(layers.Dropout(0.25, seed=seed), images)
    maps = masked(layers.SpatialDropout2D(0.25, seed=seed), images)
    words = masked(KINDS["word"](0.25, seed=seed), images.reshape(200, 32, 64))
    vectors = np.tile(np.eye(64, dtype="float32"), (50, 1, 1))
    ones = {"use_bias": False, "kernel_initializer": "ones"}
    dropped = masked(layers.Dropout(0.5, seed=seed), vectors)
    rows = masked(layers.Dense(64, **ones), dropped)
    weights = masked(DropConnectDense(64, 0.5, seed=seed, **ones), vectors)
    normal = np.random.default_rng(seed).normal(size=(1000, 1000))
    units = ops.convert_to_numpy(ops.selu(normal))
    alpha = masked(layers.AlphaDropout(0.5, seed=seed), units)
    plain = masked(layers.Dropout(0.5, seed=seed), units)
    return {
        "share of channels that Dropout breaks": broken(pixels, 1, 2),
        "share of channels that SpatialDropout breaks": broken(maps, 1, 2),
        "share of words that word dropout breaks": broken(words, 2),
        "share of kernel rows that Dropout breaks": broken(rows, 2),
        "share of kernel rows that DropConnect breaks": broken(weights, 2),
        "mean of SELU units after AlphaDropout": alpha.mean(),
        "variance of SELU units after AlphaDropout": alpha.var(),
        "variance of SELU units after Dropout": plain.var(),
        "mean share of a unit that AlphaDropout keeps": np.mean(alpha * units),
    }


# %%
# The experiment
# --------------


def plot_kinds(trials) -> Figure:
    """Accuracy of every kind less that of plain dropout, by network."""
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).flat
    for (network, rate), axis in zip(RATES.items(), panels, strict=True):
        base = f"{network}: Dropout"
        names = [v for v in VARIANTS if v.startswith(network) and v != base]
        for row, name in enumerate(names):
            points = 100 * np.array(trials.differences("accuracy", name, base))
            places = row + np.linspace(-0.2, 0.2, len(points))
            axis.plot(points, places, "o", color="C0", ms=3, alpha=0.4)
            found = trials.is_higher("accuracy", name, than=base)
            ends = np.array([found.low, found.effect, found.high], float)
            axis.plot(100 * ends, [row] * 3, "-D", color="C0", markevery=[1])
        axis.axvline(0, color="grey", linewidth=0.8, linestyle=":")
        axis.set_yticks(range(len(names)), [v.split(": ")[1] for v in names])
        axis.invert_yaxis()
        level = trials.is_above("accuracy", 0, base).effect or np.nan
        axis.set_title(f"{network}, rate {rate} (Dropout: {level:.1%})")
    figure.supxlabel(
        "accuracy on unseen examples: percentage points above that of Dropout\n"
        "dot: a seed, diamond and line: mean and 95 % interval",
        fontsize=9,
    )
    return figure


def main(epochs: Count = 4, seeds: Count = 3) -> Report:
    """Compares the kinds of dropout on each network, seed by seed.

    Args:
        epochs: passes over 2,000 examples, some of them the same.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    # Tolerances for a million units: five standard deviations, or more.
    exact = [
        ("share of channels that Dropout breaks", 1, 0),
        ("share of channels that SpatialDropout breaks", 0, 0),
        ("share of words that word dropout breaks", 0, 0),
        ("share of kernel rows that Dropout breaks", 0, 0),
        ("share of kernel rows that DropConnect breaks", 1, 0),
        ("mean of SELU units after AlphaDropout", 0, 0.005),
        ("variance of SELU units after AlphaDropout", 1, 0.01),
        ("variance of SELU units after Dropout", 2, 0.03),
        ("mean share of a unit that AlphaDropout keeps", 0.443, 0.01),
    ]
    claims = {
        f"The {score} is {value}": facts.agrees(score, value, within=within)
        for score, value, within in exact
    }
    rivals = []
    for name in VARIANTS:
        network, kind = name.split(": ")
        if kind != "none":
            other = "none" if kind == "Dropout" else "Dropout"
            rivals.append((name, f"{network}: {other}"))
    each = "MLP: DropConnect"
    rivals += [(f"{each}, moments", each), (each, f"{each}, one mask")]
    for better, other in rivals:
        claims[f"{better} is better than {other}"] = trials.is_higher(
            "accuracy", better, than=other
        )
    drawn = "Deep Learning Models, Run prediction with dropout 100 times"
    notes = "Deep Neural Nets Basics, Dropout layers in Keras and general"
    judged = [
        Claim(text, found, drawn if "kernel rows" in text else notes)
        for text, found in claims.items()
    ]
    table = trials.table("accuracy", "test loss")
    return Report(table, plot_kinds(trials), *judged)


# %%
# What to make of it
# ------------------
# A kind that was made for your layers costs one line to try. `AlphaDropout`
# keeps mean and variance of all units together, but shrinks what one unit says;
# without it, signals grow from layer to layer beyond those of the training:
# compare the test losses. Two things to try: multiply each of its units by the
# share that was kept when you predict; and take each kind at its own best rate.

if __name__ == "__main__":
    cook(main)
