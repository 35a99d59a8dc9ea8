"""
Fuzzy labels: several classes, each to a degree
===============================================

A picture can show two things, one clearly and one faintly. A class says which
is there, a set of classes says that both are; a *fuzzy* label says how much of
each: a degree :math:`d_c` between 0 and 1 for every class. Degrees are no
probabilities. They need not sum to 1: all may be high, or all zero.

Sigmoid cross entropy takes them as they are. With the outputs
:math:`p_c = \\sigma(z_c)`,

.. math::

   L(d, p) = -\\sum_c d_c \\log p_c + (1 - d_c) \\log (1 - p_c),
   \\qquad \\frac{\\partial L}{\\partial z_c} = p_c - d_c

so that it is least at :math:`p = d`. It is not zero there. A softmax, whose
outputs sum to 1, cannot get to where degrees sum to something else. How well
two fuzzy sets agree is told by Jaccard's index, in which least and largest
take the place of intersection and union:

.. math::

   J(d, p) = \\frac{\\sum_c \\min(d_c, p_c)}{\\sum_c \\max(d_c, p_c)}

Where nobody has given degrees, fuzzy c-means makes some: clusters to which an
example belongs the more, the nearer it is.

:question: My examples belong to classes more or less. How do I train on that?
:level: intermediate
:notes: Deep Neural Nets Basics, Fuzzy multi label
:papers: Bezdek et al. 1984, https://doi.org/10.1016/0098-3004(84)90020-7
:backends: tensorflow, jax, torch
:before: evaluation/soft_labels
"""

import functools

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits, load_wine
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "thresholded": {"label": "thresholded"},
    "degrees": {"label": "degrees"},
    "shares, softmax": {"label": "shares", "softmax": True},
}
CONDITIONS = {
    "300 pictures": {"examples": 300},
    "1,500 pictures": {"examples": 1500},
}
CLUSTERS = {name: VARIANTS[name] for name in ("thresholded", "degrees")}
QUICK = {
    "epochs": 3,
    "seeds": 1,
    "variants": ["thresholded", "degrees"],
    "conditions": ["300 pictures"],
}
FULL = {"epochs": 20, "seeds": 10}
LOSSES = {
    False: keras.losses.BinaryCrossentropy(from_logits=True),
    True: keras.losses.CategoricalCrossentropy(from_logits=True),
}
BINS = 10

# %%
# The network
# -----------
# A logit for each class; a sigmoid or a softmax makes degrees of them.


def build_model(inputs: int, classes: int) -> keras.Model:
    """Logits of (batch, inputs) numbers."""
    return keras.Sequential(
        [
            layers.Input((inputs,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes),
        ]
    )


def fit_degrees(x, targets, epochs: int, softmax: bool = False) -> keras.Model:
    """A network that was trained on degrees, or on zeros and ones."""
    model = build_model(x.shape[1], targets.shape[1])
    model.compile(keras.optimizers.Adam(0.003), LOSSES[softmax])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, targets, epochs=epochs, verbose=0)
    return model


def rank_correlation(a, b) -> float:
    """Spearman's, of numbers without ties."""
    ranks = [np.argsort(np.argsort(one.ravel())) for one in (a, b)]
    return np.corrcoef(*ranks)[0, 1]


def fuzzy_jaccard(d, p):
    """Jaccard's index of each row; two empty sets are the same set."""
    union = np.maximum(d, p).sum(-1)
    shared = np.minimum(d, p).sum(-1)
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 1.0)


# %%
# One trial
# ---------
# Two digits are laid over each other, each as faint as it likes: its strength
# is the degree of its class. Put your own data in the first two lines: x of
# shape (samples, 64), degrees of shape (samples, 10).


def overlay(x, y, generator, times: int = 1):
    """Pictures of two digits of different classes, and the degrees of all."""
    x, y = np.tile(x, (times, 1)), np.tile(y, times)
    other = generator.permutation(len(x))
    strength = generator.uniform(0, 1, (2, len(x), 1))
    strength[1] *= (y != y[other])[:, None]
    pictures = np.maximum(strength[0] * x, strength[1] * x[other])
    digits = strength[0] * np.eye(10)[y], strength[1] * np.eye(10)[y[other]]
    return pictures.astype("float32"), digits[0] + digits[1]


def train(
    seed: int, epochs: int, examples: int, label: str, softmax: bool = False
) -> dict:
    """Trains on degrees, or on what a threshold leaves of them."""
    generator = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = load_digits(fold=seed, flat=True)
    x, d = (rows[:examples] for rows in overlay(x, y, generator))
    x_test, d_test = overlay(x_test, y_test, generator, times=5)
    targets = d if label == "degrees" else d >= 0.5
    if label == "shares":
        targets = d / d.sum(-1, keepdims=True)
    keras.utils.set_random_seed(seed)
    model = fit_degrees(x, targets.astype("float32"), epochs, softmax)
    z = model.predict(x_test, batch_size=1000, verbose=0).astype("float64")
    if softmax:
        z -= np.logaddexp.reduce(z, axis=-1, keepdims=True)
    p = np.exp(z) if softmax else 0.5 * (1 + np.tanh(z / 2))
    there = d_test > 0
    bins = np.minimum(BINS * d_test[there], BINS - 1).astype(int)
    sums = np.bincount(bins, p[there], BINS)
    return {
        "rank correlation": rank_correlation(z[there], d_test[there]),
        "fuzzy Jaccard": fuzzy_jaccard(d_test, p).mean(),
        "error": np.abs(p - d_test).mean(),
        "decisions": np.mean((p >= 0.5) == (d_test >= 0.5)),
        "curves": {"predicted": sums / np.maximum(np.bincount(bins), 1)},
    }


# %%
# Degrees out of clusters
# -----------------------
# Fuzzy c-means takes turns: the centres are means weighted by the memberships
# to the power of :math:`m`, and the memberships go by the distances to the
# centres. They sum to 1 over the clusters. Known labels play no part; a network
# then learns to tell the memberships from five of the thirteen measures.

FUZZIFIER = 1.5  # near 1: hard clusters; with many columns, 2 blurs all


def memberships(x, centres):
    """Degrees of every row in every cluster, from distances to centres."""
    squares = np.sum((x[:, None] - centres) ** 2, axis=-1) + 1e-12
    near = squares ** (-1 / (FUZZIFIER - 1))
    return near / near.sum(-1, keepdims=True)


def fuzzy_c_means(x, clusters: int, generator, rounds: int = 100):
    """Centres of fuzzy clusters, and the objective after each round."""
    u, objective = generator.dirichlet(np.ones(clusters), len(x)), []
    for _ in range(rounds):
        weights = u**FUZZIFIER
        centres = weights.T @ x / weights.sum(0)[:, None]
        u = memberships(x, centres)
        squares = np.sum((x[:, None] - centres) ** 2, axis=-1)
        objective.append(np.sum(u**FUZZIFIER * squares))
    return centres, np.array(objective)


def train_clusters(seed: int, epochs: int, label: str) -> dict:
    """Trains on memberships of wines, or on their nearest clusters."""
    (x, _), (x_test, _) = load_wine(fold=seed)
    mean, deviation = x.mean(0), x.std(0)
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    generator = np.random.default_rng(seed)
    centres, _ = fuzzy_c_means(x.astype("float64"), 3, generator)
    u, u_test = memberships(x, centres), memberships(x_test, centres)
    targets = u if label == "degrees" else u == u.max(-1, keepdims=True)
    keras.utils.set_random_seed(seed)
    model = fit_degrees(x[:, :5], targets.astype("float32"), 5 * epochs)
    z = model.predict(x_test[:, :5], verbose=0).astype("float64")
    p = 0.5 * (1 + np.tanh(z / 2))
    return {
        "rank correlation": rank_correlation(z, u_test),
        "fuzzy Jaccard": fuzzy_jaccard(u_test, p).mean(),
        "error": np.abs(p - u_test).mean(),
    }


# %%
# What must hold exactly
# ----------------------
# A network that is its logits alone takes one step at rate 1. Two things go
# wrong without a word. Given degrees :math:`d` that do not sum to 1, a softmax
# with outputs :math:`q` steps by :math:`d - q` on TensorFlow, whose gradient
# counts on a sum of 1, and by :math:`d - q \sum d`, as the formula says, on
# others. And `BinaryAccuracy` asks whether target and rounded output are
# *equal*: with degrees that are neither 0 nor 1 they never are.


def step(logits, targets, softmax: bool = False):
    """The loss of these logits, and what one step adds to each."""
    model = keras.Sequential(
        [layers.Input((1,)), layers.Dense(len(logits), use_bias=False)]
    )
    model.set_weights([logits[None]])
    model.compile(keras.optimizers.SGD(1.0), LOSSES[softmax], run_eagerly=True)
    ones = np.ones((1, 1))
    loss = model.fit(ones, targets[None], verbose=0).history["loss"][0]
    return loss, model.get_weights()[0][0] - logits


def cross_entropy(d, p):
    """The formula, as a mean over the classes, as Keras takes it."""
    return -np.mean(d * np.log(p) + (1 - d) * np.log(1 - p), axis=-1)


def measure(seed: int) -> dict:
    """Keras' losses at the degrees, and what the index and clusters keep to."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    d = generator.uniform(0.05, 0.95, 5)
    others = generator.uniform(0.01, 0.99, (1000, 5))
    loss, moved = step(np.log(d / (1 - d)), d)
    _, first = step(np.zeros(5), d)
    q = np.full(5, 0.2)
    _, by_degrees = step(np.zeros(5), d, softmax=True)
    forms = np.stack([d - q, d - q * d.sum()])
    _, by_shares = step(np.log(d / d.sum()), d / d.sum(), softmax=True)
    accuracy = keras.metrics.BinaryAccuracy()
    accuracy.update_state(d[None], d[None])

    sets = generator.integers(0, 2, (2, 200, 5))
    union = (sets[0] | sets[1]).sum(-1)
    off = fuzzy_jaccard(*sets) * union - (sets[0] & sets[1]).sum(-1)

    x = generator.normal(size=(60, 2)) + 4 * generator.integers(0, 3, (60, 1))
    centres, objective = fuzzy_c_means(x, 3, generator)
    return {
        "loss at d": loss - cross_entropy(d, d),
        "moved at d": np.abs(moved).max(),
        "below": np.min(cross_entropy(d, others)) < cross_entropy(d, d),
        # Keras' mean over the five classes divides the step by five.
        "step": np.abs(5 * first - d + 0.5).max(),
        "softmax on degrees": np.abs(by_degrees - forms).max(-1).min(),
        "softmax on shares": np.abs(by_shares).max(),
        "accuracy of d": float(accuracy.result()),
        "index of sets": np.abs(off).max(),
        "sums": np.abs(memberships(x, centres).sum(-1) - 1).max(),
        "rise": max(np.diff(objective).max() / objective[0], 0),
    }


# %%
# The experiment
# --------------


def plot_degrees(trials) -> Figure:
    """Mean predicted degree of the classes that are there, by the true one."""
    count = len(trials.conditions)
    figure = Figure(figsize=(4.4 * count + 0.6, 4.4), layout="constrained")
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    x = (np.arange(BINS) + 0.5) / BINS
    for axis, place in zip(axes, trials.conditions, strict=True):
        axis.plot([0, 1], [0, 1], ":", color="#8C8C8C", label="as it is")
        shades = iter(("#000000", "#0072B2", "#D55E00"))
        for name in trials.variants:
            found, shade = trials.curves("predicted", name, place), next(shades)
            axis.plot(x, found.mean(0), color=shade, label=name)
            low, high = found.min(0), found.max(0)
            axis.fill_between(x, low, high, color=shade, alpha=0.2)
        axis.set_title(place, fontsize=10)
        axis.set_xlabel("true degree of a class that is there")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mean predicted degree")
    axes[-1].legend(frameon=False, fontsize=8)
    figure.supxlabel("line: mean of the seeds, band: their range", fontsize=9)
    return figure


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares degrees with thresholded labels, seed by seed.

    Args:
        epochs: passes over the pictures; five times as many over the wines.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    wines = run_trials(
        train_clusters, CLUSTERS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    near = functools.partial(facts.agrees, within=1e-5)
    hard, soft, rank = "thresholded", "shares, softmax", "rank correlation"
    claims = {
        # Losses and steps below one, in float32.
        "At the degrees the loss is their binary entropy": (
            near("loss at d", 0.0)
        ),
        "At the degrees a step moves nothing": near("moved at d", 0.0),
        "No other outputs have a lower loss": near("below", 0.0),
        "A step goes from the outputs to the degrees": near("step", 0.0),
        "A softmax steps by d - q on degrees, or by d - q sum d: by backend": (
            near("softmax on degrees", 0.0)
        ),
        "A softmax is at rest at the shares": near("softmax on shares", 0.0),
        "BinaryAccuracy of a perfect prediction of degrees is zero": (
            facts.agrees("accuracy of d", 0.0, within=0.0)
        ),
        "Fuzzy Jaccard of zeros and ones is Jaccard's index": (
            near("index of sets", 0.0)
        ),
        "Memberships of fuzzy c-means sum to 1": near("sums", 0.0),
        # Of the first value; what remains is rounding in float64.
        "The objective of fuzzy c-means never rises": (
            facts.agrees("rise", 0.0, within=1e-12)
        ),
    }
    for place in CONDITIONS:
        claims |= {
            f"Degrees rank better than thresholded labels, {place}": (
                trials.is_higher(rank, "degrees", than=hard, at=place)
            ),
            f"Degrees have a higher fuzzy Jaccard index, {place}": (
                trials.is_higher(
                    "fuzzy Jaccard", "degrees", than=hard, at=place
                )
            ),
        }
    claims |= {
        "Degrees cost no decision at the threshold: within half a point": (
            trials.is_higher("decisions", "degrees", than=hard, by=-0.005)
        ),
        "A softmax ranks degrees worse than sigmoids": (
            trials.is_lower(rank, soft, than="degrees")
        ),
        "A softmax costs over 0.05 of the fuzzy Jaccard index": (
            trials.is_lower("fuzzy Jaccard", soft, than="degrees", by=0.05)
        ),
        "Memberships of wines rank better than their nearest clusters": (
            wines.is_higher(rank, "degrees", than=hard)
        ),
        "Memberships of wines are met more closely: a lower error": (
            wines.is_lower("error", "degrees", than=hard)
        ),
    }
    notes = "Deep Neural Nets Basics, Fuzzy multi label"
    return Report(
        trials.table(rank, "fuzzy Jaccard", "error", "decisions"),
        wines.table(rank, "fuzzy Jaccard", "error"),
        plot_degrees(trials),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look at the figure first: how steep is a curve? A network that was trained on
# thresholded labels tells how sure it is that a degree is above the threshold.
# That grows with the degree, so it may rank well, but it is no degree. Do not
# expect a loss near zero, and do not watch an accuracy. A softmax is for shares
# of one whole. Memberships are only as good as the clusters: look at examples
# between two of them. Two things to try: squared errors, whose minimum is at
# the degrees too; and a fuzzifier of 2, until all clusters blur into one.

if __name__ == "__main__":
    cook(main)
