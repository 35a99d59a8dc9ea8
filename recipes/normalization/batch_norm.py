"""
Batch normalization: where it goes, what it smooths, when it fails
==================================================================

Batch normalization gives each unit the mean 0 and the variance 1 over a batch,
then a scale and a mean that it learns. Made against "internal covariate shift",
a layer's inputs moving as those before it learn, it is said to smooth the loss.

For a unit's values :math:`x_1, \\dots, x_m` of a batch with mean :math:`\\mu`
and variance :math:`\\sigma^2`,

.. math::

   y_i = \\gamma \\hat x_i + \\beta, \\qquad
   \\hat x_i = \\frac{x_i - \\mu}{\\sqrt{\\sigma^2 + \\epsilon}}

so that the variance of :math:`y` is :math:`\\gamma^2 \\sigma^2 / (\\sigma^2 +
\\epsilon)`: less than :math:`\\gamma^2` where :math:`\\sigma^2` is small, for
Keras' :math:`\\epsilon` is 0.001. At inference moving averages stand in for
:math:`\\mu` and :math:`\\sigma^2`. The notes give them a momentum of 0.1, the
weight of the new; Keras' ``momentum`` is that of the old: write 0.9.

:question: Where does BatchNormalization go, and when does it harm?
:level: intermediate
:notes: Deep learning, wiki notes, Batch Normalization;
    Deep learning, wiki notes, Why it helps?;
    Deep Neural Nets Basics, Batch normalization;
    Everything You Always Wanted to Know About Deep Learning,
    Batch Normalization
:papers: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167;
    Santurkar et al. 2018, https://arxiv.org/abs/1805.11604
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import functools

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_diabetes, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves, plot_differences

VARIANTS = {
    "none": {},
    "before ReLU": {"place": "before"},
    "after ReLU": {"place": "after"},
    "before, bare": {"place": "before", "rescale": False},
    "after, bare": {"place": "after", "rescale": False},
    "after, noise": {"place": "after", "noise": True},
    "after, frozen": {"place": "after", "frozen": True},
    "none, rate x 10": {"rate": 1.0},
    "after, rate x 10": {"place": "after", "rate": 1.0},
}
PLACES = {n: VARIANTS[n] for n in ("none", "before ReLU", "after ReLU")}
# The default is batches of 32 at a rate of 0.1. Rates are the plain network's
# best of 0.01, 0.03, ... 1; more passes give large batches enough steps.
CONDITIONS = {
    "batches of 2": {"batch": 2, "passes": 1, "rate": 0.03},
    "batches of 256": {"batch": 256, "passes": 12},
}
RATINGS = {"none": {}, "gamma and beta": {"rescale": True}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "after ReLU"],
    "conditions": ["batches of 2"],
}
FULL = {"epochs": 8, "seeds": 10}

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %%
# The network
# -----------
# Four hidden layers, each with a normalization before or after its activation.
# "Bare" leaves out gamma and beta. `Unrest` gives each unit another scale and
# mean at every training step, so that the next layer's inputs never settle. It
# is Santurkar's test, here with one draw for the whole batch.


class Unrest(layers.Layer):
    """Scales and shifts each unit of (batch, units) at random in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        if not training:
            return inputs
        size, seed = (1, inputs.shape[-1]), self.seed_generator
        scale = keras.random.uniform(size, 1.0, 1.25, seed=seed)
        return scale * inputs + keras.random.uniform(size, -0.5, 0.5, seed=seed)


def build_model(place="none", rescale=True, noise=False, frozen=False):
    """Classifier of (batch, 64) digits, with batch normalization or without."""
    model = keras.Sequential([layers.Input((64,))])
    # Made first: they draw their starts as if there was nothing between them.
    *dense, last = [layers.Dense(units) for units in (64, 64, 64, 64, 10)]
    for layer in dense:
        norm = layers.BatchNormalization(
            momentum=0.9, center=rescale, scale=rescale, trainable=not frozen
        )
        relu = layers.Activation("relu")
        order = {"none": [relu], "before": [norm, relu], "after": [relu, norm]}
        for part in [layer, *order[place], *([Unrest()] if noise else [])]:
            model.add(part)
    model.add(last)
    return model


# %%
# One trial
# ---------
# The loss of a batch is taken at the weights, then half a training step, one,
# two and four steps down its gradient; its range is the *variation*. It is what
# `train_on_batch` returns, in training mode and before the step that it takes.
# Put your own data in the first line of `train`: x of shape (samples, 64), y
# integers. Moving averages touch inference alone, so what ``momentum=0.1`` had
# cost is found after the training, by five more batches.


def look_ahead(model: keras.Model, x, y) -> np.ndarray:
    """Loss of a batch at 0, 0.5, 1, 2 and 4 steps down its gradient."""

    def take_step():
        model.reset_metrics()
        return model.train_on_batch(x, y)

    start = model.get_weights()
    losses = [take_step()]
    with np.errstate(all="ignore"):  # of a network that has diverged
        step = list(map(np.subtract, model.get_weights(), start))
        for length in (0.5, 1, 2, 4):
            ahead = [w + length * d for w, d in zip(start, step, strict=True)]
            model.set_weights(ahead)
            losses.append(take_step())
    model.set_weights(start)
    return np.nan_to_num(losses, nan=1e3, posinf=1e3).clip(max=1e3)


def train(seed: int, epochs: int, batch=32, rate=0.1, passes=2, **network):
    """Trains one variant; returns accuracies and how smooth its loss was."""
    (x, y), (x_test, y_test) = load_digits(512, fold=seed, flat=True)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    model.compile(keras.optimizers.SGD(rate), LOSS)
    hidden = keras.Model(model.inputs[0], model.layers[-1].input)
    x_all, y_all = np.tile(x, (passes, 1)), np.tile(y, passes)

    def accuracy():
        return np.mean(ops.convert_to_numpy(model(x_test)).argmax(1) == y_test)

    generator = np.random.default_rng(seed)
    ahead, means = [], []
    for _ in range(epochs):
        order = generator.permutation(len(x_all))
        x_all, y_all = x_all[order], y_all[order]
        ahead.append(look_ahead(model, x_all[:batch], y_all[:batch]))
        history = model.fit(x_all, y_all, batch_size=batch, verbose=0)
        before = model.get_weights()
        seen = ops.convert_to_numpy(hidden(x[:256], training=True))
        with np.errstate(all="ignore"):
            means.append(seen.mean(0) / (seen.std() + 1e-7))
        model.set_weights(before)  # looking has moved the averages
    ahead = np.array(ahead)  # (epochs, 5)
    means = np.nan_to_num(means, posinf=0.0, neginf=0.0)  # (epochs, 64)
    drifts = np.abs(means[1:] - means[:-1])
    variation = np.ptp(ahead, axis=1).clip(min=1e-6)
    trained = accuracy()
    for layer in model.layers:
        layer.momentum = 0.1  # which is nothing to other layers
    for some in x_all[: 5 * batch].reshape(-1, batch, 64)[:5]:
        model(some, training=True)
    return {
        "accuracy": trained,
        "diverged": float(not history.history["loss"][0] < 10),
        "variation, log10": np.log10(variation).mean(),
        "overshoot": np.mean(ahead[:, -1] > ahead[:, 0]),
        "drift": drifts.mean() if drifts.size else 0.0,
        "cost of momentum 0.1": trained - accuracy(),
        "curves": {"variation": variation},
    }


# %%
# The rating example
# ------------------
# The notes' f says something between -1 and 1, and a rating is between 0 and 5.
# Here f ends with a tanh, and rates how far diabetes went on: a score of 25 to
# 346, divided by 70. Gamma and beta are a Dense layer of one weight and bias.


def rate_illness(seed: int, epochs: int, rescale: bool = False) -> dict:
    """Trains a regression to ratings; returns its error in stars."""
    (x, y), (x_test, y_test) = load_diabetes(fold=seed)
    mean, spread = x.mean(0), x.std(0)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([layers.Input((10,)), layers.Dense(64, "relu")])
    model.add(layers.Dense(1, "tanh"))
    if rescale:
        model.add(layers.Dense(1, kernel_initializer="ones"))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit((x - mean) / spread, y / 70, epochs=3 * epochs, verbose=0)
    stars = ops.convert_to_numpy(model((x_test - mean) / spread))[:, 0]
    return {"error": np.sqrt(np.mean((stars - y_test / 70) ** 2))}


# %%
# What must hold exactly
# ----------------------
# The layer against NumPy, in numbers near 1. Float32 rounds their seventh
# digit, and a division by the root of epsilon makes thirty times as much of it.

FACTS = {
    "mean": "A unit's mean over the batch is beta",
    "variance": "At a variance of 0.0025, that of y is 0.714 gamma^2",
    "inference": "Inference uses moving averages, by default at momentum 0.99",
    "notes": "The notes' momentum of 0.1 is Keras' 0.9",
    "frozen": "trainable=False: the moving averages are used in training too",
    "one": "A batch of 1 becomes beta, whatever it was",
    "two": "A batch of 2 becomes d / sqrt(d^2 + epsilon) and its opposite",
    "folded": "Behind the activation, gamma and beta fold into the next layer",
}


def measure(seed: int) -> dict:
    """How far each of the facts is off."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, 32, 6)).astype("float32")

    def run(layer, inputs, training=True):
        return ops.convert_to_numpy(layer(inputs, training=training))

    make, constant = layers.BatchNormalization, keras.initializers.Constant
    bent = make(gamma_initializer=constant(2), beta_initializer=constant(0.7))
    y = run(bent, (x[0] - x[0].mean(0)) / x[0].std(0) * 0.05)
    usual, notes = make(), make(momentum=0.9)
    slow = fast = np.array([[0.0] * 6, [1.0] * 6])  # a mean and a variance
    for batch in x:
        new = np.array([batch.mean(0), batch.var(0)])
        slow, fast = 0.99 * slow + 0.01 * new, fast + 0.1 * (new - fast)
        for layer in (usual, notes):
            run(layer, batch)
    averages = [ops.convert_to_numpy(w) for w in notes.weights[2:]]
    at_rest = run(usual, x[0], training=False)
    usual.trainable = False
    half = (x[0, 0] - x[0, 1]) / 2
    half = np.array([half, -half]) / np.sqrt(half**2 + 0.001)
    gamma, beta, weights = generator.normal(size=(3, 6))
    errors = {
        "mean": y.mean(0) - 0.7,
        "variance": y.var(0) / 4 - 0.0025 / 0.0035,
        "inference": at_rest - (x[0] - slow[0]) / np.sqrt(slow[1] + 0.001),
        "notes": averages - fast,
        "frozen": run(usual, x[0]) - at_rest,
        "one": run(bent, x[0, :1]) - 0.7,
        "two": run(make(), x[0, :2]) - half,
        "folded": (x[0] * gamma + beta) @ weights
        - (x[0] @ (gamma * weights) + beta @ weights),
    }
    return {name: np.abs(error).max() for name, error in errors.items()}


# %%
# The experiment
# --------------


def main(epochs: Count = 6, seeds: Count = 3) -> Report:
    """Compares places, batch sizes and rates, seed by seed.

    Args:
        epochs: passes over 512 images, more for large batches.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    sizes = run_trials(
        train, PLACES, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    ratings = run_trials(
        rate_illness, RATINGS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    none, before, after = PLACES
    two, most = CONDITIONS
    rough, cost, stars = "variation, log10", "cost of momentum 0.1", "error"
    better = functools.partial(trials.is_higher, "accuracy")
    worse = functools.partial(trials.is_lower, "accuracy")
    smoother = functools.partial(trials.is_lower, rough)
    fast, noise, bare = "after, rate x 10", "after, noise", "after, bare"
    exact = functools.partial(facts.agrees, value=0, within=2e-5)
    formula = {text: exact(name) for name, text in FACTS.items()} | {
        "Before ReLU the last step, gamma and beta, is worth a point": (
            worse("before, bare", than=before, by=0.01)
        ),
        "After ReLU gamma and beta matter": worse(bare, than=after, by=0.01),
        "In batches of 32, Keras' momentum=0.1 costs over a point": (
            trials.is_above(cost, 0.01, after)
        ),
        "Frozen, a network loses a point to one without gamma and beta": (
            worse("after, frozen", than=bare, by=0.01)
        ),
        "Frozen norms: a rougher loss": smoother(bare, than="after, frozen"),
    }
    helps = {
        f"In {at or 'batches of 32'}, batch norm smooths the loss {place}": (
            (sizes if at else trials).is_lower(rough, place, than=none, at=at)
        )
        for at in (two, None, most)
        for place in (before, after)
    } | {
        "Four steps down the gradient, the loss has risen less often": (
            trials.is_lower("overshoot", after, than=none)
        ),
        "At ten times the rate batch norm is worth over 10 points": (
            better(fast, than="none, rate x 10", by=0.1)
        ),
        "With batch norm, ten times the rate costs less than a point": (
            better(fast, than=after, by=-0.01)
        ),
        "Gamma and beta bring a bounded f half a star nearer": (
            ratings.is_lower(stars, "gamma and beta", than=none, by=0.5)
        ),
    }
    basics = {
        "Batch norm should come after ReLU": better(after, than=before),
        "After ReLU the loss is smoother": smoother(after, than=before),
        "Noise makes the next layer's inputs drift more than no layer": (
            trials.is_higher("drift", noise, than=none)
        ),
        "Not drift is the point: noise behind it costs less than a point": (
            better(noise, than=after, by=-0.01)
        ),
    }
    fails = sizes.is_lower("accuracy", after, than=none, at=two, by=0.05)
    careful = "Careful about batch sizes: batches of 2 cost 5 points"
    claims = {
        "Deep learning, wiki notes, Batch Normalization": formula,
        "Deep learning, wiki notes, Why it helps?": helps,
        "Deep Neural Nets Basics, Batch normalization": basics,
        "Everything You Always Wanted to Know About Deep Learning, "
        "Batch Normalization": {careful: fails},
    }
    return Report(
        trials.table("accuracy", rough, "overshoot", "drift", cost),
        sizes.table("accuracy", rough, "overshoot", cost),
        ratings.table(stars),
        plot_curves(
            trials,
            "variation",
            variants=[*PLACES],
            xlabel="epoch (measured before it)",
            ylabel="range of a batch's loss within 4 steps",
            log=True,
        ),
        plot_differences(sizes, "accuracy", xlabel="accuracy on new digits"),
        *(
            Claim(text, found, notes)
            for notes, group in claims.items()
            for text, found in group.items()
        ),
    )


# %%
# What to make of it
# ------------------
# The curves begin before the first step: smoothness that the layer brings along
# would show there. Later, a smaller variation may come of a smaller loss alone;
# overshoot, the share of batches whose loss is higher four steps on, does not.
# In a batch of 2 a unit only tells which image has more of it, and at inference
# there is no second image: take `LayerNormalization`. To do without gamma and
# beta write ``center=False, scale=False``; ``trainable=False`` is for layers
# whose averages are good already. With few steps lower ``momentum``, or the
# averages stay near their start. Two things to try: `LayerNormalization` in
# batches of 2; and there, after training, ``momentum=0`` and one batch of all
# images, to see whether training fails or inference.

if __name__ == "__main__":
    cook(main)
