"""
Cosine normalization: angles in place of dot products
=====================================================

A dot product grows with the length of the inputs and with that of the weights.
Weight normalization takes the second length away; cosine normalization takes
both, and what a unit says is the cosine of an angle:

.. math::

   y = \\frac{x}{\\lVert x \\rVert} \\cdot \\frac{w}{\\lVert w \\rVert},
   \\qquad -1 \\le y \\le 1

An image half as bright has the same direction, and so the same answer. That is
why models of biological vision had it long before: HMAX compares what the eye
sees with *stored* patterns, by a normalized dot product, whatever the contrast.

A bound has its price. Logits between -1 and 1 hold softmax down: of ten classes
none gets more than :math:`e / (e + 9 / e)`, not even a half, so that the loss
cannot fall below 0.79. A last layer must be free, or its cosines multiplied.

:question: What does it change if units return cosines, not dot products?
:level: intermediate
:notes: Deep Neural Nets Basics, Cosine Normalization
:papers: Luo et al. 2017, https://arxiv.org/abs/1702.05870;
    Riesenhuber and Poggio 1999, https://doi.org/10.1038/14819
:backends: tensorflow, jax, torch
:before: normalization/weight_norm
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import CosineDense, WeightNormalization
from kerasrecipes.plotting import colours

VARIANTS = {
    "none": {},
    "batch norm": {"kind": "batch"},
    "layer norm": {"kind": "layer"},
    "weight norm": {"kind": "weight"},
    "cosine": {"kind": "cosine"},
    "cosine logits": {"kind": "cosine", "factor": 1.0},
    "cosine logits x 10": {"kind": "cosine", "factor": 10.0},
}
# HMAX: images that were seen take the place of weights.
STORED = {"dot product": {"kind": "none"}, "cosine": {"kind": "cosine"}}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["none", "cosine"]}
FULL = {"epochs": 6, "seeds": 10}

BRIGHTNESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
DIM = 0.25

# %%
# The networks
# ------------
# Two hidden layers of 64 units. Batch and layer norm stand before the ReLU,
# weight norm and cosine in place of the plain layer. The last layer is free.


def make_hidden(kind: str) -> list[layers.Layer]:
    """One hidden layer with its normalization."""
    units = CosineDense(64) if kind == "cosine" else layers.Dense(64)
    parts = {
        "batch": [units, layers.BatchNormalization(momentum=0.9)],
        "layer": [units, layers.LayerNormalization(epsilon=1e-5)],
        "weight": [WeightNormalization(units)],
    }
    return [*parts.get(kind, [units]), layers.Activation("relu")]


def build_model(kind="none", factor=None) -> keras.Model:
    """Classifier of (batch, 64) digits; a factor makes its logits cosines."""
    model = keras.Sequential([layers.Input((64,))])
    for layer in make_hidden(kind) + make_hidden(kind):
        model.add(layer)
    model.add(CosineDense(10) if factor else layers.Dense(10))
    model.add(layers.Rescaling(factor or 1.0))
    return model


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 64), y integers.
# Brightness multiplies every pixel of the test images; 1 is that of training.


def train(seed: int, epochs: int, **network) -> dict:
    """Trains one variant; returns accuracies at all degrees of brightness."""
    (x, y), (x_test, y_test) = load_digits(250, fold=seed, flat=True)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # The plain network's best rate of 0.01, 0.03, 0.1 and 0.3.
    model.compile(keras.optimizers.SGD(0.1, 0.9), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    x_all, y_all = np.tile(x, (8, 1)), np.tile(y, 8)
    history = model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    last = np.nan_to_num(history.history["loss"][-1], nan=100.0)

    def accuracy(brightness):
        answers = ops.convert_to_numpy(model(brightness * x_test)).argmax(-1)
        return np.mean(answers == y_test)

    return {
        "accuracy": accuracy(1.0),
        "lost when dim": accuracy(1.0) - accuracy(DIM),
        "training loss": min(last, 100.0),
        "diverged": float(last > 10.0),
        "curves": {"accuracy": [accuracy(b) for b in BRIGHTNESS]},
    }


# %%
# Stored images
# -------------
# In the manner of HMAX: the weights of each unit are a training image, and the
# unit that says most names the digit. Nothing is trained.


def remember(seed: int, kind: str) -> dict:
    """Share of digits that the unit with the largest output names."""
    (x, y), (x_test, y_test) = load_digits(250, fold=seed, flat=True)
    layer = {"none": layers.Dense, "cosine": CosineDense}[kind](250)
    layer.build(x.shape)
    layer.kernel.assign(x.T)
    best = ops.convert_to_numpy(layer(x_test)).argmax(1)
    return {"accuracy": np.mean(y[best] == y_test)}


# %%
# What must hold exactly
# ----------------------
# Cosines against NumPy, for inputs from tiny to huge, and for none at all. All
# numbers are one or less, and float32 rounds their seventh digit. The chapter's
# own parts make the same layer: Keras' `UnitNormalization`, which gives inputs
# the length one, and weight norm with g = 1 behind it.

FACTS = {
    "formula": "CosineDense is (x / |x|) . (w / |w|)",
    "bound": "CosineDense's outputs are between -1 and 1",
    "scale of x": "CosineDense does not depend on the length of x",
    "scale of w": "CosineDense does not depend on the length of w",
    "zero": "CosineDense makes zeros of an input of zeros",
    "gradient": "CosineDense's gradients are finite for an input of zeros",
    "weight norm": "CosineDense is weight norm with g = 1 of unit inputs",
    "network": "A network of cosines answers dim and bright images alike",
}


def measure(seed: int) -> dict:
    """How far each of the facts is off."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(50, 12)).astype("float32")
    keras.utils.set_random_seed(seed)
    layer = CosineDense(12)
    layer.build(x.shape)

    def run(function, inputs):
        return ops.convert_to_numpy(function(inputs.astype("float32")))

    y, w = run(layer, x), layer.kernel.numpy()
    lengths = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=0))
    sizes = 10.0 ** np.array([-25, -8, 8, 25])
    of_x = [run(layer, x * size) - y for size in sizes]
    plain = layers.Dense(12, use_bias=False)
    unit, normed = layers.UnitNormalization(), WeightNormalization(plain)
    normed.build(x.shape)
    plain.kernel.assign(w)
    normed.scales[0].assign(np.ones(12))
    both = run(lambda inputs: normed(unit(inputs)), x)
    along = run(layer, w.T)  # every unit meets its own weights
    of_w = []
    for size in sizes:
        layer.kernel.assign(w * size)
        of_w.append(run(layer, x) - y)
    # A layer of zeros gives the next one no direction, but gets a gradient.
    zeros = layers.Dense(12, kernel_initializer="zeros")
    model = keras.Sequential([layers.Input((12,)), zeros, layer])
    nothing = run(model, x)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, y)
    network, digits = build_model("cosine"), generator.random((50, 64))
    answers = np.array([run(network, digits * b) for b in BRIGHTNESS])
    return {
        "formula": np.abs(y - x @ w / lengths).max(),
        "bound": max(np.abs(y).max(), np.abs(along).max(), 1.0) - 1.0,
        "scale of x": np.abs(of_x).max(),
        "scale of w": np.abs(of_w).max(),
        "zero": np.abs(nothing).max(),
        "gradient": sum(np.sum(~np.isfinite(w)) for w in model.get_weights()),
        "weight norm": np.abs(both - y).max(),
        "network": np.ptp(answers, axis=0).max(),
    }


def plot_brightness(curves: dict[str, np.ndarray], shades: dict) -> Figure:
    """Accuracy over brightness: the seeds' mean, and their range as a band."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name, seeds in curves.items():
        if seeds.size:
            shade = shades[name]
            axis.plot(BRIGHTNESS, seeds.mean(0), "o-", color=shade, label=name)
            band = BRIGHTNESS, seeds.min(0), seeds.max(0)
            axis.fill_between(*band, color=shade, alpha=0.12)
    axis.set(xscale="log", ylabel="accuracy on new digits")
    axis.minorticks_off()
    axis.set_xticks(BRIGHTNESS, [f"{b:g}" for b in BRIGHTNESS])
    axis.set_xlabel(
        "brightness of test images (1: as in training)\n"
        "line: mean of the seeds, band: their range"
    )
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    return figure


# %%
# The experiment
# --------------


def main(epochs: Count = 4, seeds: Count = 3) -> Report:
    """Compares cosines with other normalizations, seed by seed.

    Args:
        epochs: passes over 2,000 images, eight times the same 250.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    stored = run_trials(remember, STORED, seeds=seeds, folds=FOLDS)
    *others, cosine, bounded, enlarged = VARIANTS
    claims = {
        text: facts.agrees(name, 0.0, within=2e-6)
        for name, text in FACTS.items()
    }
    claims |= {
        "Cosine norm is very similar to weight norm: within a point of it": (
            trials.is_same("accuracy", cosine, than="weight norm", within=0.01)
        ),
    }
    for other in others:
        claims |= {
            f"Cosine norm is more accurate than {other}": (
                trials.is_higher("accuracy", cosine, than=other)
            ),
            f"Dim test images cost cosine norm less than {other}": (
                trials.is_lower("lost when dim", cosine, than=other)
            ),
        }
    claims |= {
        "Cosine logits without a factor cost over a point of accuracy": (
            trials.is_lower("accuracy", bounded, than=cosine, by=0.01)
        ),
        "Cosine logits times 10 cost less than a point of accuracy": (
            trials.is_higher("accuracy", enlarged, than=cosine, by=-0.01)
        ),
        "HMAX: stored images tell digits better by cosine than by product": (
            stored.is_higher("accuracy", cosine, than="dot product")
        ),
    }
    notes = "Deep Neural Nets Basics, Cosine Normalization"
    scores = ("accuracy", "lost when dim", "training loss", "diverged")
    return Report(
        trials.table(*scores),
        stored.table("accuracy"),
        plot_brightness(
            {n: trials.curves("accuracy", n) for n in (*others, cosine)},
            colours(VARIANTS),
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Take cosines where the length of an input says nothing: the brightness of an
# image, the length of a document. Where it says something, it is lost for good.
# What fails in the dark was learned at one brightness: biases, and batch norm's
# averages. Mind the last layer. Two things to try: with ``x - x.mean(1,
# keepdims=True)`` in training and test, the first cosine is a correlation, the
# paper's other form, which bears fog as well as shade; and a learned factor in
# place of 10, from a layer with one weight.

if __name__ == "__main__":
    cook(main)
