"""
Which loss for which data
=========================

A network is trained to make a number small: the cost :math:`J`, a mean over
:math:`m` examples of a distance :math:`D` between what the network says about
:math:`x_i` and the label :math:`L_i`. (The notes print :math:`\\theta_i`, but
all examples share the weights.)

.. math::

   J(\\theta) = \\frac{1}{m} \\sum_{i=1}^{m} D\\big(h_\\theta(x_i), L_i\\big)

The distance is a choice. With outputs :math:`z`, their softmax :math:`p`, a
one-hot label or target :math:`y` and :math:`t = 2 y - 1`, the notes name four:

.. math::

   \\text{cross-entropy:} \\; -\\sum_k y_k \\log p_k \\qquad
   \\text{squared hinge:} \\; \\max(0, 1 - t z)^2

   \\text{MSE:} \\; (y - z)^2 \\qquad
   \\text{Huber:} \\; \\frac{1}{2} (y - z)^2 \\text{ up to 1, then }
   |y - z| - \\frac{1}{2}

the last three averaged over the outputs. The notes take the first two for
classes and the others for quantities. Here each meets the data that it was made
for, and wrong data: outliers, wrong labels, rare classes.

:question: Which loss should I choose, and what does the wrong one cost?
:level: beginner
:notes: Everything You Always Wanted to Know About Deep Learning, Select
    appropriate loss function;
    Deep learning, wiki notes, Simple network
:papers: Ghosh et al. 2017, https://arxiv.org/abs/1712.09482;
    Huber 1964, https://doi.org/10.1214/aoms/1177703732
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import textwrap

import keras
import numpy as np
from keras import layers, losses, ops
from matplotlib.figure import Figure
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import RobustScaler, StandardScaler

from kerasrecipes.analysis import epochs_to
from kerasrecipes.datasets import FOLDS, load_diabetes, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "cross-entropy": {"loss": "cross-entropy"},
    "squared hinge": {"loss": "squared hinge"},
    "MSE": {"loss": "MSE", "activation": "softmax"},
}
CONDITIONS = {
    "clean": {},
    "40 % wrong labels": {"wrong": 0.4},
    "odd digits rare": {"is_imbalanced": True},
}
# By plain gradient descent, where the size of a gradient matters.
DESCENTS = {
    "cross-entropy": {"loss": "cross-entropy", "rate": 0.1},
    "MSE": {"loss": "MSE", "activation": "softmax", "rate": 0.1},
    "MSE, tenfold rate": {"loss": "MSE", "activation": "softmax", "rate": 1.0},
}
PAIR = {"MSE": {"loss": "MSE"}, "Huber": {"loss": "Huber"}}
TARGETS = {"clean": {"outliers": 0.0}, "20 % outliers": {"outliers": 0.2}}
QUICK = {
    "epochs": 2,
    "seeds": 1,
    "variants": ["cross-entropy", "MSE"],
    "conditions": ["clean"],
}
FULL = {"epochs": 20, "seeds": 10}
LOSSES = {
    "cross-entropy": losses.CategoricalCrossentropy(from_logits=True),
    "squared hinge": losses.SquaredHinge(),
    "MSE": losses.MeanSquaredError(),
    "Huber": losses.Huber(),
}
SPEED = "epochs to 90 %"  # of the training labels

# %%
# The networks
# ------------
# One hidden layer for ten classes of digits, and a linear regression. With
# ``from_logits`` cross-entropy does its softmax itself; squared hinge wants
# scores on both sides of zero; MSE sees the labels' distance to a softmax.


def build_model(
    inputs: int, outputs: int, units: int = 0, activation: str | None = None
) -> keras.Model:
    """Network with one hidden layer of so many units, or with none."""
    hidden = [layers.Dense(units, activation="relu")] if units else []
    output = layers.Dense(outputs, activation=activation)
    return keras.Sequential([layers.Input((inputs,)), *hidden, output])


# %%
# One trial with classes
# ----------------------
# Put your own data in the first line: x of shape (samples, features), y
# integers. Labels are one-hot; a share of them may be wrong, or odd digits may
# be rare. Adam's steps hardly depend on how large a loss is; those of SGD do.


def train(
    seed: int,
    epochs: int,
    loss: str,
    activation: str | None = None,
    wrong: float = 0.0,
    is_imbalanced: bool = False,
    rate: float | None = None,
) -> dict:
    """Trains a classifier; returns its accuracy on clean test digits."""
    (x, y), (x_test, y_test) = load_digits(1000, fold=seed, flat=True)
    generator = np.random.default_rng(seed)
    is_wrong = generator.random(len(y)) < wrong
    y = (y + is_wrong * generator.integers(1, 10, len(y))) % 10
    if is_imbalanced:
        kept = (y % 2 == 0) | (generator.random(len(y)) < 0.1)
        x, y = x[kept], y[kept]

    keras.utils.set_random_seed(seed)
    model = build_model(64, 10, units=64, activation=activation)
    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    optimizer = sgd(rate) if rate else adam(0.005)
    model.compile(optimizer, LOSSES[loss], metrics=["accuracy"])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    fitted = model.fit(x, np.eye(10)[y], epochs=epochs, verbose=0)
    said = model.predict(x_test, verbose=0).argmax(-1)
    return {
        # Every class counts the same, however rare it was in training.
        "accuracy": balanced_accuracy_score(y_test, said),
        SPEED: epochs_to(0.9, fitted.history["accuracy"]),
    }


# %%
# One trial with a quantity
# -------------------------
# How far the diabetes of 398 patients went on in a year, with outliers in the
# training targets: normal errors, five times as large as the spread. Huber's
# loss bends at 1, so the targets are scaled; the score is in points again.


def regress(seed: int, epochs: int, loss: str, outliers: float) -> dict:
    """Trains a linear regression; returns its error on clean targets."""
    (x, y), (x_test, y_test) = load_diabetes(fold=seed)
    generator = np.random.default_rng(seed)
    is_outlier = generator.random(len(y)) < outliers
    y = y + is_outlier * generator.normal(0, 5 * y.std(), len(y))
    inputs = StandardScaler().fit(x)
    targets = RobustScaler(unit_variance=True).fit(y[:, None])

    keras.utils.set_random_seed(seed)
    model = build_model(10, 1)
    model.compile(keras.optimizers.Adam(0.01), LOSSES[loss])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    x, y = inputs.transform(x), targets.transform(y[:, None])
    model.fit(x, y, epochs=epochs, verbose=0)
    outputs = model.predict(inputs.transform(x_test), verbose=0)
    predicted = targets.inverse_transform(outputs)[:, 0]
    return {"RMSE": np.sqrt(np.mean((predicted - y_test) ** 2))}


# %%
# What must hold exactly
# ----------------------
# Each loss against its formula, in float64. Its gradient is what one step of
# gradient descent takes off the outputs, when these are the weights themselves.


def by_hand(loss: str, y, z):
    """Value for each example and gradient by the outputs, from the formula."""
    n = z.shape[-1]
    if loss == "cross-entropy":
        p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        return -np.sum(y * np.log(p), -1), p - y
    if loss == "squared hinge":
        t = 2 * y - 1
        short = np.maximum(0, 1 - t * z)
        return np.mean(short**2, -1), -2 * t * short / n
    r = z - y
    if loss == "MSE":
        return np.mean(r**2, -1), 2 * r / n
    value = np.where(abs(r) <= 1, r**2 / 2, abs(r) - 0.5)
    return np.mean(value, -1), np.clip(r, -1, 1) / n


def descend(loss, y, z, activation=None):
    """What a step with rate one takes off the outputs of each example."""
    line = layers.Dense(z.shape[-1], activation, use_bias=False)
    model = keras.Sequential([layers.Input((len(z),)), line])
    model.set_weights([z])
    # The cost is a mean over the examples: times their number, a sum.
    optimizer = keras.optimizers.SGD(float(len(z)))
    model.compile(optimizer, loss, run_eagerly=True)
    model.train_on_batch(np.eye(len(z)), y)
    return z - model.get_weights()[0]


def measure(seed: int) -> dict:
    """Losses and gradients against formulas, and what goes wrong silently."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    z = generator.normal(0, 3, (50, 10)).astype("float32")
    labels = generator.integers(0, 10, 50)
    y = np.eye(10)[labels]
    value_off, gradient_off = [], []
    for name, loss in LOSSES.items():
        value, gradient = by_hand(name, y, z.astype("float64"))
        found = ops.convert_to_numpy(loss(y, z))
        value_off.append(abs(found - value.mean()))
        gradient_off.append(np.abs(descend(loss, y, z) - gradient).max())

    entropy = LOSSES["cross-entropy"]
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    steps = descend(entropy, y, z), descend(sparse, labels, z)

    # The cost over 50 examples in batches of 32 and 18.
    model = build_model(10, 10)
    model.compile(loss=entropy)
    cost = model.evaluate(z, y, batch_size=32, verbose=0)
    outputs = ops.convert_to_numpy(model(z)).astype("float64")
    distances, _ = by_hand("cross-entropy", y, outputs)

    sure, truth = np.eye(2) * 20, 1 - np.eye(2)
    by_entropy = descend(entropy, truth, sure)
    by_mse = descend(LOSSES["MSE"], truth, sure, "softmax")
    mistaken = descend(losses.CategoricalCrossentropy(), y, z)
    lengths = np.linalg.norm(mistaken) * np.linalg.norm(steps[0])
    return {
        "loss, off": max(value_off),
        "gradient, off": max(gradient_off),
        "sparse, off": np.abs(np.subtract(*steps)).max(),
        "cost, off": abs(cost - distances.mean()),
        "pull, off": np.abs(np.abs(by_entropy) - 1).max(),
        "pull of MSE": np.abs(by_mse).max(),
        "cosine without from_logits": np.sum(mistaken * steps[0]) / lengths,
    }


# %%
# The experiment
# --------------


def plot_losses(descents, trials, quantities, shades: dict) -> Figure:
    """Differences to the loss that is the usual choice for such data."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = (
        ("Digits, by SGD", descents, SPEED, "cross-entropy"),
        ("Digits, by Adam", trials, "accuracy", "cross-entropy"),
        ("Diabetes, in points of illness", quantities, "RMSE", "MSE"),
    )
    for axis, (title, run, score, base) in zip(
        figure.subplots(1, 3), panels, strict=True
    ):
        places = [textwrap.fill(one or "clean", 12) for one in run.conditions]
        others = [name for name in run.variants if name != base]
        for number, name in enumerate(others):
            style = {"color": shades[name]}
            for row, condition in enumerate(run.conditions):
                found = run.differences(score, name, base, condition)
                place = row + 0.2 * number
                axis.plot([place] * len(found), found, "o", alpha=0.5, **style)
                axis.plot(place, np.mean(found or [np.nan]), "D", **style)
            axis.plot([], [], "D", label=name, **style)
        axis.axhline(0, color=shades[base], linestyle=":", label=base)
        axis.set_xticks(range(len(places)), places, fontsize=8)
        axis.set(xlim=(-0.5, len(places) - 0.3), title=title)
        axis.set_ylabel(f"{score}: difference to {base}")
        axis.legend(frameon=False, fontsize=8)
    figure.supxlabel("dot: a seed, diamond: the mean", fontsize=9)
    return figure


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares losses on data that suits them and on data that does not.

    Args:
        epochs: passes over the training examples.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    descents = run_trials(
        train, DESCENTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    quantities = run_trials(
        regress, PAIR, TARGETS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    clean, noisy, rare = CONDITIONS
    hinge, entropy = "squared hinge", "cross-entropy"
    higher, lower, same = trials.is_higher, trials.is_lower, trials.is_same
    less = quantities.is_lower
    exact = {
        "The four losses of the notes equal their formulas": "loss, off",
        "The gradients of the losses equal their formulas": "gradient, off",
        "Categorical and sparse cross-entropy step alike": "sparse, off",
        "Cross-entropy pulls by one at what is surely wrong": "pull, off",
        "MSE on softmax has no pull at what is surely wrong": "pull of MSE",
    }
    claims = {
        "Without from_logits a step goes elsewhere: cosine below a half": (
            facts.is_below("cosine without from_logits", 0.5)
        ),
        "By SGD MSE on softmax trains slower than cross-entropy": (
            descents.is_higher(SPEED, "MSE", than=entropy)
        ),
        "By SGD MSE on softmax trains slower even at a tenfold rate": (
            descents.is_higher(SPEED, "MSE, tenfold rate", than=entropy)
        ),
        "By Adam MSE on softmax trains slower than cross-entropy": (
            higher(SPEED, "MSE", than=entropy, at=clean)
        ),
        "On clean digits squared hinge is within a point of cross-entropy": (
            same("accuracy", hinge, than=entropy, at=clean, within=0.01)
        ),
        "With 40 % wrong labels MSE on softmax beats cross-entropy": (
            higher("accuracy", "MSE", than=entropy, at=noisy)
        ),
        **{
            f"{text} is worse than cross-entropy": (
                lower("accuracy", loss, than=entropy, at=place)
            )
            for text, loss, place in (
                ("On clean digits MSE on softmax", "MSE", clean),
                ("With 40 % wrong labels squared hinge", hinge, noisy),
                ("With rare odd digits squared hinge", hinge, rare),
                ("With rare odd digits MSE on softmax", "MSE", rare),
            )
        },
        "With 20 % outliers Huber beats MSE": (
            less("RMSE", "Huber", than="MSE", at="20 % outliers")
        ),
        "Without outliers Huber costs at most 1 point of RMSE": (
            less("RMSE", "Huber", than="MSE", at="clean", by=-1.0)
        ),
    }
    notes = (
        "Everything You Always Wanted to Know About Deep Learning, "
        "Select appropriate loss function"
    )
    shades = colours([*VARIANTS, "MSE, tenfold rate", "Huber"])
    return Report(
        trials.table("accuracy"),
        descents.table(SPEED, "accuracy"),
        quantities.table("RMSE"),
        plot_losses(descents, trials, quantities, shades),
        Claim(
            "The cost J that evaluate reports is the mean of D over examples",
            facts.agrees("cost, off", 0.0, within=1e-5),
            "Deep learning, wiki notes, Simple network",
        ),
        *(
            # Numbers of up to ten, in float32.
            Claim(text, facts.agrees(score, 0.0, within=1e-5), notes)
            for text, score in exact.items()
        ),
        *(Claim(*claim, notes) for claim in claims.items()),
    )


# %%
# What to make of it
# ------------------
# For classes take cross-entropy on logits, for a quantity MSE, and ask what is
# wrong with the data before you take another. A loss that cannot pull on what
# is surely wrong learns slowly where steps are as large as gradients; in theory
# that also keeps it from learning wrong labels by heart. One that grows like a
# square belongs to targets that can be trusted. Huber's bend is in the units of
# the target: scale it, or set ``delta``. Two things to try:
# ``losses.MeanAbsoluteError`` on softmax, which in theory resists wrong labels
# best; and ``losses.Huber(delta=0.1)``.

if __name__ == "__main__":
    cook(main)
