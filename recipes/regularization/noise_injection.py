"""
Noise on inputs, hidden outputs, weights and targets
====================================================

The cheapest way to more data is to spoil the data that are there: each time an
example is shown it has other noise on it, and a network must find what all its
versions share. The notes name three places for the noise, inputs, hidden layer
weights and targets; hidden outputs are a fourth.

What noise does can be computed for a linear model. With independent noise of
standard deviation :math:`\\sigma` on each input, the expected squared error is

.. math::

   E\\,\\big(w^\\top (x + \\varepsilon) - y\\big)^2
   = \\big(w^\\top x - y\\big)^2 + \\sigma^2 \\lVert w \\rVert^2

which is ridge regression. On the *weights* it adds :math:`\\sigma^2 \\lVert x
\\rVert^2`, where no weight occurs: a linear model learns nothing from that, and
all that it does for a network comes from what bends. With noise on the targets,
a label is replaced by any of :math:`K` with probability :math:`\\epsilon`.
Cross-entropy is linear in its target, so that its expectation is the loss of
the smoothed target :math:`(1 - \\epsilon) \\, y + \\epsilon / K`: label
smoothing is label noise without the dice.

:question: I have few examples, or doubtful labels. Where does noise help?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    Dataset Augmentation
:papers: Bishop 1995, https://doi.org/10.1162/neco.1995.7.1.108;
    An 1996, https://doi.org/10.1162/neco.1996.8.3.643;
    Szegedy et al. 2016, https://arxiv.org/abs/1512.00567
:backends: tensorflow, jax, torch
:before: regularization/dropout, regularization/weight_penalties
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.linear_model import LinearRegression, Ridge

from kerasrecipes.datasets import FOLDS, load_diabetes, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "none": {},
    "inputs": {"inputs": 0.3},
    "hidden outputs": {"hidden": 0.5},
    "weights": {"weights": 0.05},
    "labels": {"labels": 0.2},
    "label smoothing": {"smoothing": 0.2},
}
CONDITIONS = {
    "right labels": {"wrong": 0.0},
    "one label in five wrong": {"wrong": 0.2},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "inputs"],
    "conditions": ["right labels"],
}
FULL = {"epochs": 10, "seeds": 10}

# %%
# Noise on weights
# ----------------
# Keras has `GaussianNoise` for inputs and hidden outputs. Noise on weights
# takes a layer of our own: new noise at each training step, none afterwards.


class NoisyDense(layers.Dense):
    """A Dense layer whose kernel has noise on it while it is trained."""

    def __init__(self, units: int, stddev: float = 0.0, **kwargs):
        super().__init__(units, **kwargs)
        self.stddev = stddev
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        """The layer's outputs, under noise where `training` is true."""
        outputs = ops.matmul(inputs, self.kernel)
        if training and self.stddev:
            noise = keras.random.normal(
                self.kernel.shape, stddev=self.stddev, seed=self.seed_generator
            )
            outputs += ops.matmul(inputs, noise)
        return self.activation(outputs + self.bias)

    def get_config(self) -> dict:
        """All arguments."""
        return {**super().get_config(), "stddev": self.stddev}


# %%
# The network
# -----------
# `GaussianNoise(0)` does nothing. Its size is in the units of what it is put
# on, here pixels between 0 and 1: scale your inputs before you choose one.


def build_model(inputs=0.0, hidden=0.0, weights=0.0) -> keras.Model:
    """Classifier of (batch, 64) digits, with noise where it is asked for."""
    # Before the noise draws seeds, so that all variants start from one state.
    first, second = (
        NoisyDense(128, weights, activation="relu") for _ in range(2)
    )
    outputs = NoisyDense(10, weights)
    return keras.Sequential(
        [
            layers.Input((64,)),
            layers.GaussianNoise(inputs),
            first,
            layers.GaussianNoise(hidden),
            second,
            layers.GaussianNoise(hidden),
            outputs,
        ]
    )


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 64), y integers. All
# that will be shown is laid out beforehand, 2,000 images for an epoch, so that
# a label can be another one each time. `wrong` labels are wrong for good.


def train(
    seed: int,
    epochs: int,
    wrong: float,
    labels: float = 0.0,
    smoothing: float = 0.0,
    **network,
) -> dict:
    """Trains one variant; returns scores on clean and on noisy images."""
    (x, y), (x_test, y_test) = load_digits(200, fold=seed, flat=True)
    generator = np.random.default_rng(seed)
    spoilt = generator.random(len(y)) < wrong
    y = np.where(spoilt, y + generator.integers(1, 10, len(y)), y) % 10
    shown = np.tile(np.arange(len(y)), epochs * 2000 // len(y))
    replaced = generator.random(len(shown)) < labels
    anything = generator.integers(0, 10, len(shown))
    targets = np.where(replaced, anything, y[shown])

    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing
    )
    model.compile(keras.optimizers.Adam(0.002), loss=loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x[shown], np.eye(10)[targets], batch_size=50, verbose=0)

    noisy = x_test + generator.normal(0, 0.3, x_test.shape).astype("float32")
    p, p_noisy = (
        ops.convert_to_numpy(ops.softmax(model(images)))
        for images in (x_test, noisy)
    )
    hidden = ops.convert_to_numpy(model.layers[1](x_test))
    right = p[np.arange(len(y_test)), y_test]
    return {
        "accuracy": np.mean(p.argmax(-1) == y_test),
        "on noisy images": np.mean(p_noisy.argmax(-1) == y_test),
        "log loss": -np.log(np.maximum(right, 1e-7)).mean(),
        "hidden output": hidden.mean(),
    }


# %%
# What must hold exactly
# ----------------------
# Averages over noise come near their expectation and no nearer: they are given
# in standard errors of their own, of which five are allowed. That targets
# average to a smoothed one is exact, and so is silence at inference.


def standard_errors(values, expected: float) -> float:
    """How far a mean of random numbers is from what it should be."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return (np.mean(values) - expected) / error


def measure(seed: int) -> dict:
    """Noise on a linear model against ridge; label noise and smoothing."""
    (x, y), _ = load_diabetes(fold=seed)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    generator = np.random.default_rng(seed)
    sigma, copies, n = 0.5, 200, len(x)
    keras.utils.set_random_seed(seed)
    noise = layers.GaussianNoise(sigma)
    many = ops.convert_to_numpy(noise(np.tile(x, (copies, 1)), training=True))
    w = generator.normal(size=10)
    clean = np.mean((x @ w - y) ** 2)
    errors = (many @ w - np.tile(y, copies)) ** 2
    on_inputs = errors.reshape(copies, n).mean(1)
    layer = NoisyDense(1, sigma)
    layer.build((None, 10))
    layer.set_weights([w[:, None], np.zeros(1)])
    on_weights = [
        np.mean((ops.convert_to_numpy(layer(x, training=True))[:, 0] - y) ** 2)
        for _ in range(copies)
    ]

    ridge = Ridge(alpha=n * sigma**2, fit_intercept=False).fit(x, y).coef_
    plain = LinearRegression(fit_intercept=False)
    off = plain.fit(many, np.tile(y, copies)).coef_ - ridge
    way = plain.fit(x, y).coef_ - ridge

    cross = keras.losses.CategoricalCrossentropy
    logits, classes = generator.normal(size=(20, 10)), np.eye(10)
    truth = classes[generator.integers(0, 10, 20)]
    smooth = cross(from_logits=True, label_smoothing=0.2)(truth, logits)
    loss = cross(from_logits=True)
    anything = [loss(np.tile(label, (20, 1)), logits) for label in classes]
    expected = 0.8 * loss(truth, logits) + 0.2 * sum(anything) / 10
    silent = ops.convert_to_numpy(noise(x, training=False)) - x
    return {
        "input noise, errors off": standard_errors(
            on_inputs, clean + sigma**2 * w @ w
        ),
        "weight noise, errors off": standard_errors(
            on_weights, clean + sigma**2 * np.mean(np.sum(x**2, 1))
        ),
        "off ridge, as a share": np.linalg.norm(off) / np.linalg.norm(way),
        "label noise, off": float(ops.convert_to_numpy(expected - smooth)),
        "at inference": np.abs(silent).max(),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 5, seeds: Count = 3) -> Report:
    """Compares the places for noise, seed by seed.

    Args:
        epochs: ten passes each over 200 digits.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    notes = (
        "Everything You Always Wanted to Know About Deep Learning, "
        "Dataset Augmentation"
    )
    higher, (right, wrong) = trials.is_higher, CONDITIONS
    places = list(VARIANTS)[1:]
    claims = {
        # Beyond five standard errors by chance: once in two million times.
        "On a linear model, input noise adds the penalty of ridge": (
            facts.agrees("input noise, errors off", 0.0, within=5)
        ),
        "Fitted to noisy copies, weights go nine tenths of the way to ridge": (
            facts.is_below("off ridge, as a share", 0.1)
        ),
        "On a linear model, weight noise adds what no weight changes": (
            facts.agrees("weight noise, errors off", 0.0, within=5)
        ),
        # Rounding of losses of about three in float32.
        "Label smoothing is the expectation of label noise": (
            facts.agrees("label noise, off", 0.0, within=1e-5)
        ),
        "GaussianNoise does nothing at inference": (
            facts.agrees("at inference", 0.0, within=0.0)
        ),
        **{
            f"With right labels, noise helps: {place}": (
                higher("accuracy", place, than="none", at=right)
            )
            for place in places
        },
        **{
            f"With wrong labels, noise helps: {place}": (
                higher("accuracy", place, than="none", at=wrong)
            )
            for place in places
        },
        "Smoothing does what label noise does, within two points": (
            trials.is_same(
                "accuracy", "label smoothing", than="labels", within=0.02
            )
        ),
        "With wrong labels, smoothing lowers the log loss": (
            trials.is_lower(
                "log loss", "label smoothing", than="none", at=wrong
            )
        ),
        "Noise on inputs is worth five points on noisy images": (
            higher("on noisy images", "inputs", than="none", at=right, by=0.05)
        ),
        "The network outgrows noise on hidden outputs: they get larger": (
            higher("hidden output", "hidden outputs", than="none")
        ),
    }
    return Report(
        trials.table(
            "accuracy", "on noisy images", "log loss", "hidden output"
        ),
        plot_differences(trials, "accuracy", xlabel="test accuracy"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Choose the place by what is doubtful: inputs where measurements are, targets
# where labels are. Noise has a unit. What is right for pixels between 0 and 1
# is nothing for pixels up to 255, and `GaussianNoise` takes no more than 1: put
# it behind a `Normalization` layer. A network can outgrow noise that is added
# to its hidden outputs, by making these large; dropout multiplies, and grows
# with them. Two things to try: a weight penalty beside noise on hidden outputs,
# and `layers.GaussianDropout` in its place.

if __name__ == "__main__":
    cook(main)
