"""
Weight normalization: a length and a direction, and whether the length matters
==============================================================================

Batch normalization divides what a unit says by its spread over a batch. Weight
normalization leaves the data alone and divides the *weights* of each output
unit by their length. A factor g stands in for the length.

.. math::

   w = g \\frac{v}{\\lVert v \\rVert}, \\qquad
   \\nabla_v L = \\frac{g}{\\lVert v \\rVert}
   \\Big(I - \\frac{v v^\\top}{\\lVert v \\rVert^2}\\Big) \\nabla_w L

Only the direction of :math:`v` counts, so its gradient is orthogonal to it: a
step of plain SGD can turn :math:`v` and make it longer, never shorter, and the
longer it is the less it turns. The paper trains g and starts it from a batch of
data. The notes find g "not essential for performance", and say why: "downstream
learnable layers can learn this anyway". Is that so where nothing is downstream?

Keras has no such layer: ``UnitNorm`` is a constraint, which puts weights back
after each step, and ``SpectralNormalization`` divides by another norm.

:question: What is weight normalization, and can I leave out its factor g?
:level: intermediate
:notes: Deep Neural Nets Basics, Weight Normalization
:papers: Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868
:backends: tensorflow, jax, torch
:before: normalization/batch_norm
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import WeightNormalization
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "none": {},
    "g trained": {"scale": "trained"},
    "g = 1": {"scale": "one"},
    "g = 1, last layer too": {"scale": "one", "last": True},
}
# Rates are the plain network's best of 0.01, 0.03, 0.1 and 0.3.
CONDITIONS = {
    "ConvNet": {"network": "ConvNet", "rate": 0.03},
    "LSTM": {"network": "LSTM", "rate": 0.3},
}
STARTS = {
    "g trained": {"scale": "trained"},
    "data start": {"scale": "trained", "from_data": True},
}
IMAGES = {"ConvNet": CONDITIONS["ConvNet"]}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "g trained"],
    "conditions": ["ConvNet"],
}
FULL = {"epochs": 6, "seeds": 10}

# %%
# The networks
# ------------
# A ConvNet, and an LSTM that reads a digit row by row. Every layer of weights
# is wrapped but the last, which the notes' "downstream" needs to be free. Of an
# LSTM both kernels are normalized: a unit has four gates, and each gate two
# vectors of weights, with a g for either.

SCALES = {
    "trained": {},  # g starts as the length of v
    "one": {"train_scale": False, "scale_initializer": "ones"},
}


def build_model(network: str, scale="", last=False) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) digits, with weight norm or without."""

    def wrap(layer):
        return WeightNormalization(layer, **SCALES[scale]) if scale else layer

    if network == "LSTM":
        hidden = [layers.Reshape((8, 8)), wrap(layers.LSTM(32))]
    else:
        hidden = [
            wrap(layers.Conv2D(16, 3, padding="same", activation="relu")),
            layers.MaxPooling2D(),
            wrap(layers.Conv2D(32, 3, padding="same", activation="relu")),
            layers.MaxPooling2D(),
            layers.Flatten(),
            wrap(layers.Dense(64, activation="relu")),
        ]
    logits = wrap(layers.Dense(10)) if last else layers.Dense(10)
    return keras.Sequential([layers.Input((8, 8, 1)), *hidden, logits])


# %%
# The data-dependent start
# ------------------------
# One batch goes through the network, layer by layer; each wrapped layer sets
# its g and its bias so that its sums have the mean 0 and the variance 1 over
# this batch. It is done once, before training, and not inside of `call`.


def start_from_data(model: keras.Model, x) -> None:
    """Sets g and the bias of each wrapped layer by a batch of inputs."""
    for layer in model.layers:
        x = getattr(layer, "initialize_from_data", layer)(x)


# %%
# One trial
# ---------
# Put your own images in the first line: x of shape (samples, height, width,
# channels), y integers. An epoch shows each of the 250 images eight times.


def train(seed, epochs, network, rate, from_data=False, **normalization):
    """Trains one variant; returns accuracy, and loss early and late."""
    (x, y), (x_test, y_test) = load_digits(250, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(network, **normalization)
    if from_data:
        start_from_data(model, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, 0.9), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    x_all, y_all = np.tile(x, (8, 1, 1, 1)), np.tile(y, 8)
    history = model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    losses = np.nan_to_num(history.history["loss"], nan=100.0).clip(max=100.0)
    logits = ops.convert_to_numpy(model(x_test))
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "first loss": losses[0],
        "last loss": losses[-1],
        "diverged": float(losses[-1] > 10.0),
    }


# %%
# What must hold exactly
# ----------------------
# Layers of all kinds stand side by side. A step of plain SGD shows the gradient
# of v: the opposite of what it changes. The rate is high, for v is rounded, and
# a short step would drown. All numbers are sums of some dozens of products near
# one, of which float32 rounds the seventh digit.

FACTS = {
    "length": "Before g, the weights of each unit have the length 1",
    "bare": "With g = |v|, weight norm starts as the bare layer",
    "gradient": "The gradient of v is orthogonal to v",
    "fixed": "With g = 1 the weights keep the length 1 in training",
    "mean": "A data-dependent start of g gives a unit's sums the mean 0",
    "variance": "A data-dependent start of g gives them the variance 1",
    "folded": "Behind ReLU, a unit's g can be learned by the next layer",
}


def lengths(kernel):
    """Length of each unit's weights; the last axis tells units apart."""
    squares = ops.convert_to_numpy(kernel).astype("float64") ** 2
    return np.sqrt(squares.sum(tuple(range(squares.ndim - 1))))


def measure(seed: int) -> dict:
    """How far each of the facts is off."""
    generator = np.random.default_rng(seed)
    x = generator.normal(0.5, 1, (100, 8, 8, 1)).astype("float32")
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    kinds = [
        (layers.Conv2D(4, 3), inputs),
        (layers.Conv1D(6, 3), layers.Reshape((8, 8))(inputs)),
        (layers.LSTM(5), layers.Reshape((8, 8))(inputs)),
        (layers.Dense(10), layers.Flatten()(inputs)),
    ]

    def side_by_side(wrap):
        outputs = [layers.Flatten()(wrap(layer)(view)) for layer, view in kinds]
        return keras.Model(inputs, layers.Concatenate()(outputs))

    bare = side_by_side(lambda layer: layer)(x)
    same = side_by_side(WeightNormalization)(x)
    model = side_by_side(lambda k: WeightNormalization(k, **SCALES["one"]))

    def directions():
        return [w.numpy() for w in model.trainable_weights if w.ndim > 1]

    def off_one():
        found = [part for part in model.layers if hasattr(part, "scales")]
        kernels = [k for part in found for k in part.normalized_kernels()]
        return np.abs(np.concatenate([lengths(k) for k in kernels]) - 1).max()

    start, before, cosines = off_one(), directions(), []
    model.compile(keras.optimizers.SGD(1000.0), "mse")
    model.train_on_batch(x, np.ones(model(x).shape))
    for v, after in zip(before, directions(), strict=True):
        step = (after - v).astype("float64")
        along = (step * v).sum(tuple(range(v.ndim - 1)))
        cosines.append(np.abs(along) / lengths(step) / lengths(v))

    dense, flat = layers.Dense(20, "relu"), x.reshape(100, 64)
    hidden = WeightNormalization(dense)
    hidden.initialize_from_data(flat)
    (w,) = map(ops.convert_to_numpy, hidden.normalized_kernels())
    g, b = lengths(w), dense.bias.numpy()
    sums = flat @ w + b
    # A next layer with this layer's g in it, and one without.
    after = generator.normal(size=(20, 3))
    folded = np.maximum(flat @ (w / g) + b / g, 0) @ (g[:, None] * after)
    return {
        "length": start,
        "bare": np.abs(ops.convert_to_numpy(same - bare)).max(),
        "gradient": np.concatenate(cosines).max(),
        "fixed": off_one(),
        "mean": np.abs(sums.mean(0)).max(),
        "variance": np.abs(sums.var(0) - 1).max(),
        "folded": np.abs(np.maximum(sums, 0) @ after - folded).max(),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 4, seeds: Count = 3) -> Report:
    """Compares weight norm with and without g, seed by seed.

    Args:
        epochs: passes over 2,000 images, eight times the same 250.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    starts = run_trials(
        train, STARTS, IMAGES, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    (none, g, one, last), (convnet, _) = VARIANTS, CONDITIONS
    claims = {
        text: facts.agrees(name, 0.0, within=2e-5)
        for name, text in FACTS.items()
    }
    for at in CONDITIONS:
        claims |= {
            f"{at}: weight norm without g is within a point of that with g": (
                trials.is_same("accuracy", one, than=g, within=0.01, at=at)
            ),
            f"{at}: weight norm of all layers but the last beats none": (
                trials.is_higher("accuracy", g, than=none, at=at)
            ),
            f"{at}: with weight norm the first epoch has a lower loss": (
                trials.is_lower("first loss", g, than=none, at=at)
            ),
        }
    claims |= {
        "In a last layer too, weight norm needs no g: it costs no point": (
            trials.is_higher("accuracy", last, than=one, by=-0.01)
        ),
        "ConvNet: a last layer without g ends at a loss higher by 0.1": (
            trials.is_higher("last loss", last, than=one, by=0.1, at=convnet)
        ),
        "A data-dependent start of g lowers the first epoch's loss": (
            starts.is_lower("first loss", "data start", than=g)
        ),
        "A data-dependent start of g ends with a better accuracy": (
            starts.is_higher("accuracy", "data start", than=g)
        ),
    }
    notes = "Deep Neural Nets Basics, Weight Normalization"
    scores = ("accuracy", "first loss", "last loss", "diverged")
    return Report(
        trials.table(*scores),
        starts.table(*scores),
        plot_differences(
            trials, "accuracy", xlabel="accuracy on new digits", than=g
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look at the first loss before you credit g: with g = 1 all weights begin with
# the length one, while Keras' start makes them :math:`\sqrt{2n / (n + m)}` long
# from n inputs to m outputs, far less where a layer widens. So g is first of
# all a start. Later something must be free to grow, and behind a last layer
# without g nothing is: softmax stays unsure. The data-dependent start wants a
# large batch, no unit that is the same for all of it, and no recurrence. Two
# things to try: ``{"scale_initializer": "ones"}`` under "trained", to tell a
# free g from its start; and three times the rate, which a longer v may bear.

if __name__ == "__main__":
    cook(main)
