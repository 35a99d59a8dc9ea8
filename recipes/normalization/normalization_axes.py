"""
Batch, layer, instance, group, RMS: which axes are averaged
===========================================================

Normalization layers share one formula. They differ in the set :math:`S` of
values whose mean and variance they take, and so in what a result depends on:
other samples, other pixels, other channels.

.. math::

   y = \\gamma \\frac{x - \\mu_S}{\\sqrt{\\sigma^2_S + \\epsilon}} + \\beta,
   \\qquad \\text{RMS:} \\quad
   y = \\gamma \\frac{x}{\\sqrt{\\operatorname{mean}_S x^2 + \\epsilon}}

Keras has them all, with defaults that surprise: ``LayerNormalization()`` and
``RMSNormalization()`` average over the channels of *one pixel*; ``epsilon`` is
1e-3 where PyTorch has 1e-5, but 1e-6 in ``RMSNormalization``; and
``GroupNormalization()`` wants 32 groups, which 16 channels do not have.

:question: Batch, layer, instance, group or RMS normalization: which and when?
:level: intermediate
:notes: Deep Neural Nets Basics, What is the diff between batch/layer/recurrent
    batch and back rnn normalization;
    Deep Neural Nets Basics, Layer normalization;
    Deep Neural Nets Basics, Batch/layer/instance/group norm
:papers: Ba et al. 2016, https://arxiv.org/abs/1607.06450;
    Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022;
    Wu and He 2018, https://arxiv.org/abs/1803.08494;
    Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467
:backends: tensorflow, jax, torch
:before: normalization/batch_norm
"""

import functools

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "none": {"kind": "none"},
    "batch": {"kind": "batch"},
    "layer": {"kind": "layer"},
    "instance": {"kind": "instance"},
    "group": {"kind": "group"},
    "RMS, a pixel": {"kind": "RMS, a pixel"},
}
RECURRENT = {kind: VARIANTS[kind] for kind in ("none", "batch", "layer")}
# The rates are the plain networks' best of three, tried for each size. Large
# batches take few steps: they get more passes, and batch norm a short memory.
CONDITIONS = {
    "batches of 2": {"batch": 2, "rate": 3e-3, "passes": 1, "memory": 0.99},
    "batches of 64": {"batch": 64, "rate": 0.01, "passes": 4, "memory": 0.9},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "layer"],
    "conditions": ["batches of 2"],
}
FULL = {"epochs": 2, "seeds": 10}

# %%
# The normalizations
# ------------------
# All of them on images of shape (batch, height, width, channels), and the axes
# that they average over. Instance norm is Keras' group norm with groups of one.

AXES = {
    "batch": (0, 1, 2),
    "layer": (1, 2, 3),
    "layer, a pixel": (3,),
    "instance": (1, 2),
    "group": (1, 2),  # and the channels of a group
    "RMS, a pixel": (3,),
}
GROUP = 4  # channels


def make_layer(kind, channels=16, memory=0.99) -> layers.Layer:
    """Keras' layer for images with so many channels."""
    return {
        "none": layers.Identity(),
        "batch": layers.BatchNormalization(momentum=memory),
        "layer": layers.LayerNormalization(axis=(1, 2, 3)),
        "layer, a pixel": layers.LayerNormalization(),
        "instance": layers.GroupNormalization(groups=-1),
        "group": layers.GroupNormalization(channels // GROUP),
        "RMS, a pixel": layers.RMSNormalization(),
    }[kind]


# %%
# What an output depends on
# -------------------------
# The picture is measured: each input of a small tensor is changed in turn, and
# the layer says whether one output changes. `expected` is what `AXES` says.

SHAPE, PLACE = (3, 2, 2, 8), (1, 0, 1, 2)


def run(layer, x):
    """What a layer makes of an array in training, as an array."""
    return ops.convert_to_numpy(layer(x.astype("float32"), training=True))


def dependence(layer, x):
    """Whether the output at PLACE changes with each of the inputs."""
    before, depends = run(layer, x)[PLACE], np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        changed = x.copy()
        changed[place] += 1
        depends[place] = run(layer, changed)[PLACE] != before
    return depends


def expected(kind: str):
    """The same from the axes: what is not averaged over must be equal."""
    places = np.indices(SHAPE)
    places[3] //= GROUP if kind == "group" else 1
    kept = [axis for axis in range(4) if axis not in AXES[kind]]
    return np.all([places[a] == places[a][PLACE] for a in kept], axis=0)


def plot_axes(depends: dict[str, np.ndarray]) -> Figure:
    """For each normalization, the inputs that one output depends on."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    grid = figure.subplots(len(depends), 3)
    for row, (kind, flat) in zip(grid, depends.items(), strict=True):
        for sample, (axis, seen) in enumerate(
            zip(row, flat.reshape(3, 4, 8), strict=True)  # 4 pixels, 8 channels
        ):
            shades = {"cmap": "Blues", "vmin": 0, "vmax": 1.4}
            axis.pcolormesh(seen, edgecolor="silver", linewidth=0.5, **shades)
            axis.set(xticks=[], yticks=[], ylim=(4, 0))
            if sample == PLACE[0]:
                axis.plot(PLACE[3] + 0.5, 2 * PLACE[1] + PLACE[2] + 0.5, "ko")
        row[0].set_ylabel(kind, rotation=0, ha="right", va="center")
    for sample, axis in enumerate(grid[0]):
        axis.set_title(f"sample {sample + 1} of the batch", fontsize=10)
    figure.supxlabel(
        "columns: 8 channels, rows: 2 x 2 pixels\n"
        "dot: one output, blue: all inputs that were found to change it",
        fontsize=9,
    )
    return figure


# %%
# The networks
# ------------
# A ConvNet, and a plain recurrent network that reads a digit row by row. It is
# written out, for the normalization stands inside it: before the tanh. All
# steps share it; statistics for each step are another recipe's topic.


def build_model(network: str, kind: str, memory: float) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) digits."""
    inputs = keras.Input((8, 8, 1))
    if network == "ConvNet":
        x = inputs
        for channels in (16, 32, 32):
            x = layers.Conv2D(channels, 3, padding="same")(x)
            x = ops.relu(make_layer(kind, channels, memory)(x))
            x = layers.MaxPooling2D()(x)
        return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    # A state is a vector of 32: Keras' layer norm averages over all of it.
    norm = make_layer(kind.replace("layer", "layer, a pixel"), 32, memory)
    rows = layers.Dense(32)(layers.Reshape((8, 8))(inputs))
    recurrent = layers.Dense(32, use_bias=False)
    state = ops.tanh(norm(rows[:, 0]))
    for step in range(1, 8):
        state = ops.tanh(norm(rows[:, step] + recurrent(state)))
    return keras.Model(inputs, layers.Dense(10)(state))


# %%
# One trial
# ---------
# Put your own images in the first line: x of shape (samples, height, width,
# channels), y integers.


def train(seed, epochs, kind, batch, rate, passes, memory, network="ConvNet"):
    """Trains one network on 500 digits; returns accuracy and loss."""
    (x, y), (x_test, y_test) = load_digits(500, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(network, kind, memory)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    history = model.fit(x, y, batch, epochs * passes, verbose=0)
    logits = ops.convert_to_numpy(model(x_test))
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "training loss": history.history["loss"][-1],
    }


# %%
# What must hold exactly
# ----------------------
# Each layer against NumPy and its relatives, and what goes wrong: an epsilon as
# large as the variance, too many groups, vectors with nothing to average over.

FACTS = {
    "formula": "Each layer is the formula over its axes",
    "picture": "An output depends on its axes' values and on no others",
    "one group": "One group is layer norm of all but the batch",
    "parameters": "For 20 pixels layer norm has 20 times one group's weights",
    "instance": "groups=-1 is instance norm",
    "RMS": "Where the mean is 0, RMS norm is layer norm at one epsilon",
    "group alone": "A sample's group norm does not depend on its batch",
    "others alone": "A sample's layer, instance or RMS norm does not either",
    "vectors": "Instance norm of vectors leaves nothing of them",
    "later steps": "Keras' layer norm of a sequence does not read ahead",
    "variance": "At a variance of 0.001, epsilon takes half of it away",
    "32 groups": "GroupNormalization() refuses 16 channels",
}


def by_formula(x, kind: str):
    """A normalization of (batch, height, width, 16) in NumPy."""
    group = GROUP if kind == "group" else 1
    parts = x.reshape(*x.shape[:3], -1, group)  # the last: within a group
    axes, epsilon = (*AXES[kind], 4), 1e-3
    if kind == "RMS, a pixel":
        return x / np.sqrt(np.mean(x**2, 3, keepdims=True) + 1e-6)
    spread = np.sqrt(parts.var(axes, keepdims=True) + epsilon)
    return ((parts - parts.mean(axes, keepdims=True)) / spread).reshape(x.shape)


def measure(seed: int) -> dict:
    """How far each fact is off, and what depends on what it should not."""
    generator = np.random.default_rng(seed)
    x = generator.normal(0.5, 2, (6, 5, 4, 16))
    shown = generator.normal(size=SHAPE)
    norms = {kind: make_layer(kind) for kind in AXES}
    y = {kind: run(norm, x) for kind, norm in norms.items()}
    off = {kind: np.abs(y[kind] - by_formula(x, kind)).max() for kind in AXES}
    alone = {
        kind: np.abs(run(norm, x[:1]) - y[kind][:1]).max()
        for kind, norm in norms.items()
    }
    batch, group = alone.pop("batch"), alone.pop("group")
    one, vectors = layers.GroupNormalization(1), layers.GroupNormalization(-1)
    steps = x[:, :, 0]  # (batch, steps, features)
    later = steps + 3 * np.eye(5)[4, :, None]  # another last step
    ahead = [
        np.abs(run(norm, later) - run(norm, steps))[:, 0].max()
        for norm in (layers.GroupNormalization(4), layers.LayerNormalization())
    ]
    centred = x - x.mean(3, keepdims=True)
    rms, layer = layers.RMSNormalization, layers.LayerNormalization
    alike = [run(kind(epsilon=1e-3), centred) for kind in (rms, layer)]
    small = (x - x.mean()) / x.std((1, 2, 3), keepdims=True) * 0.001**0.5
    try:
        refused = bool(layers.GroupNormalization().build(x.shape))
    except ValueError:
        refused = True
    seen = {kind: dependence(make_layer(kind, 8), shown) for kind in AXES}
    whole = run(one, x)
    return {
        "formula": max(off.values()),
        "picture": sum(np.sum(seen[k] != expected(k)) for k in AXES),
        "one group": np.abs(whole - y["layer"]).max(),
        "parameters": norms["layer"].count_params() / one.count_params() - 20,
        "instance": off["instance"],
        "RMS": np.abs(alike[0] - alike[1]).max(),
        "group alone": group,
        "others alone": max(alone.values()),
        "vectors": np.abs(run(vectors, x[:, 0, 0])).max(),
        "later steps": ahead[1],
        "variance": np.abs(run(one, small).var((1, 2, 3)) - 0.5).max(),
        "32 groups": 1.0 - refused,
        "batch alone": batch,
        "group reads ahead": ahead[0],
        "curves": {kind: seen[kind].ravel().tolist() for kind in AXES},
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 2, seeds: Count = 3) -> Report:
    """Compares normalizations in two networks at two batch sizes.

    Args:
        epochs: passes over 500 images, four times as many in large batches.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    images = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    rows = run_trials(
        train,
        RECURRENT,
        CONDITIONS,
        seeds=seeds,
        folds=FOLDS,
        epochs=epochs,
        network="RNN",
    )
    two, many = CONDITIONS
    worse = functools.partial(images.is_lower, "accuracy")
    # A slope for each further image of a batch, of which there are 62.
    steady = functools.partial(
        images.trend, "accuracy", "group", over="batch", within=0.01 / 62
    )
    kinds = {
        # Float32 rounds the seventh digit of numbers up to ten.
        text: facts.agrees(name, 0.0, within=1e-5)
        for name, text in FACTS.items()
    } | {
        "A sample's batch norm depends on the batch: by more than 0.1": (
            facts.is_above("batch alone", 0.1)
        ),
        "Group norm of a sequence reads ahead: a change of more than 0.1": (
            facts.is_above("group reads ahead", 0.1)
        ),
        "Group norm is within a point in batches of 2 and of 64": steady(),
        "Group norm gains as much over none in batches of 2 and of 64": (
            steady(than="none")
        ),
    }
    differences = {
        f"In {at}, layer norm is a point below {other} in a ConvNet": (
            worse("layer", than=other, at=at, by=0.01)
        )
        for at, other in ((many, "batch"), (two, "group"), (many, "group"))
    } | {
        "Over both, layer norm makes a ConvNet worse than none": (
            worse("layer", than="none")
        ),
        "In batches of 2, batch norm costs the ConvNet 5 points": (
            worse("batch", than="none", at=two, by=0.05)
        ),
        "In batches of 2, batch is 5 points below group norm in a ConvNet": (
            worse("batch", than="group", at=two, by=0.05)
        ),
        "In batches of 2, batch norm costs the RNN 5 points": (
            rows.is_lower("accuracy", "batch", than="none", at=two, by=0.05)
        ),
    }
    differences |= {
        f"In {at}, layer norm is better than {other} in an RNN": (
            rows.is_higher("accuracy", "layer", than=other, at=at)
        )
        for at in CONDITIONS
        for other in ("none", "batch")
    }
    notes = "Deep Neural Nets Basics, Batch/layer/instance/group norm"
    other = (
        "Deep Neural Nets Basics, What is the diff between "
        "batch/layer/recurrent batch and back rnn normalization"
    )
    return Report(
        images.table("accuracy", "training loss"),
        rows.table("accuracy", "training loss"),
        plot_axes({kind: facts.curves(kind)[0] for kind in AXES}),
        plot_differences(images, "accuracy", xlabel="accuracy of the ConvNet"),
        plot_differences(rows, "accuracy", xlabel="accuracy of the RNN"),
        *(Claim(text, found, notes) for text, found in kinds.items()),
        *(Claim(text, found, other) for text, found in differences.items()),
    )


# %%
# What to make of it
# ------------------
# Ask what a result may depend on. Batch norm mixes samples, and counts values
# rather than images: a batch of 2 has many pixels in an early convolution, but
# two values in a unit of a vector. For vectors and sequences take Keras' layer
# norm: group norm averages over all steps, also those to come. Write
# ``epsilon=1e-5`` where numbers are small or weights come from PyTorch, and the
# number of groups always. Two things to try: GlobalAveragePooling2D in place of
# Flatten, before which instance norm loses how much of a channel there is; and
# "layer, a pixel" as a variant, which is LayerNormalization() in a ConvNet.

if __name__ == "__main__":
    cook(main)
