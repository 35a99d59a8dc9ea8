"""
Gradient clipping: three limits, and which way they point
=========================================================

The gradient of a recurrent network is a product over its steps, and can grow
until one update throws the weights away. Clipping limits it before the
optimizer uses it, in three ways: with a limit :math:`c` and the gradients
:math:`g_k`, one for each variable (a kernel, a bias, ...),

.. math::

   \\text{clipvalue:} &\\quad \\max(-c, \\min(c, g_{k,i})) \\\\
   \\text{clipnorm:} &\\quad g_k \\min(1, c / \\lVert g_k \\rVert) \\\\
   \\text{global_clipnorm:} &\\quad g_k \\min(1, c / \\lVert g \\rVert),
   \\quad \\lVert g \\rVert^2 = \\sum_k \\lVert g_k \\rVert^2

Only the last keeps the direction. The notes' "maximum norm of 1" holds for
``clipnorm`` one variable at a time; in the Keras of their day it was over all.

:question: My loss turns into NaN. Which gradient clipping helps?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    Gradient Clipping
:papers: Pascanu et al. 2013, https://arxiv.org/abs/1211.5063;
    Goodfellow et al. 2016, https://www.deeplearningbook.org
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import functools
import itertools

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.callbacks import GradientNorms
from kerasrecipes.datasets import make_adding_problem
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours, plot_curves

# The notes' own limits.
LIMITS = {"clipvalue": 0.5, "clipnorm": 1.0, "global_clipnorm": 1.0}
VARIANTS = {
    "none": {"rate": 0.1},
    "none, rate / 100": {"rate": 0.001},
    "clipvalue": {"rate": 0.1, "clipvalue": 0.5},
    "clipnorm": {"rate": 0.1, "clipnorm": 1.0},
    "global_clipnorm": {"rate": 0.1, "global_clipnorm": 1.0},
}
WALKS = {"none": {}, "global_clipnorm": {"global_clipnorm": 1.0}}
# Optimizers that the notes name beside SGD.
ADAPTIVE = ("RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam")
QUICK = {"epochs": 1, "seeds": 1, "variants": ["none", "global_clipnorm"]}
FULL = {"epochs": 40, "seeds": 10}

# %%
# The network
# -----------
# Rectified units that start by copying their state. They remember well, and
# the gradient explodes as soon as a weight of that identity grows beyond 1.


def build_model() -> keras.Model:
    """Adds up the two marked numbers of sequences (batch, steps, 2)."""
    units = layers.SimpleRNN(32, "relu", recurrent_initializer="identity")
    return keras.Sequential([layers.Input((None, 2)), units, layers.Dense(1)])


# %%
# One trial
# ---------
# Put your own sequences in the first line. `GradientNorms` measures the
# gradient after each epoch, as it is before clipping. A network has diverged
# where its error is a hundred times that of always saying 1, or overflows.


def train(seed: int, epochs: int, rate: float, **limit) -> dict:
    """Trains by plain SGD; says whether the network survived, and its error."""
    x, y = make_adding_problem(1280, length=15, seed=seed)
    known, test = (x[:640], y[:640]), (x[640:], y[640:])
    keras.utils.set_random_seed(seed)
    model = build_model()
    model.compile(keras.optimizers.SGD(rate, **limit), "mse")
    seen = GradientNorms(known)
    history = model.fit(
        *known,
        epochs=epochs,
        validation_data=test,
        validation_batch_size=len(test[0]),
        callbacks=seen,
        verbose=0,
    ).history
    errors = np.nan_to_num(history["val_loss"], nan=1e3).clip(max=1e3)
    norms = np.nan_to_num(history["gradient_norm"], nan=1e9).clip(1e-9, 1e9)
    diverged = errors.max() >= 100 / 6
    return {
        "diverged": float(diverged),
        "survived": float(not diverged),
        "error": errors[-1],
        "largest norm, log10": np.log10(norms.max()),
        "curves": {"error": list(errors)},
    }


# %%
# The cliff
# ---------
# One sigmoid unit that feeds itself fifty times and is to arrive at 0.7 has
# the loss that Pascanu drew and Goodfellow describes: two plains, a wall
# between. Each seed starts at another point near that wall.


def height(weight, bias):
    """Loss of the unit for a recurrent weight and a bias, or arrays of them."""
    state = 1 / (1 + np.exp(-0.5))
    for _ in range(50):
        state = 1 / (1 + np.exp(-weight * state - bias))
    return (state - 0.7) ** 2


def walk(seed: int, **limit) -> dict:
    """Takes sixty steps on that loss; returns the path and what it undid."""
    start = np.random.default_rng(seed).uniform((4.5, -3.0), (5.5, -2.2))
    variables = [keras.Variable(value, dtype="float32") for value in start]
    optimizer = keras.optimizers.SGD(0.5, **limit)
    path = [start]
    for _ in range(60):
        # The imaginary part of a tiny step is the derivative, to all digits.
        slopes = [height(*(path[-1] + 1e-30j * e)).imag for e in np.eye(2)]
        slopes = [ops.convert_to_tensor(s / 1e-30, "float32") for s in slopes]
        optimizer.apply(slopes, variables)
        path.append(np.array([v.numpy().item() for v in variables]))
    weight, bias = np.transpose(path)
    # Powers of ten of the loss. Below a millionth nothing is left to undo.
    losses = np.log10(height(weight, bias).clip(min=1e-6))
    return {
        "thrown back, log10": losses[-1] - losses.min(),
        "curves": {"weight": weight.tolist(), "bias": bias.tolist()},
    }


# %%
# What must hold exactly
# ----------------------
# An update is measured as it was applied: the weights before less those
# after, at a rate of 1. The formula is NumPy's. In 32 bits the square of 1e25
# is infinite; where the global norm is, Keras makes NaN of all gradients.


def by_formula(gradients, name: str, limit: float) -> list:
    """Clips a list of gradients, one for each variable."""
    if name == "clipvalue":
        return [np.clip(one, -limit, limit) for one in gradients]
    norms = [np.linalg.norm(one) for one in gradients]
    if name == "global_clipnorm":
        norms = [np.linalg.norm(norms)] * len(norms)
    shares = limit / np.maximum(norms, limit)
    return [np.multiply(*pair) for pair in zip(gradients, shares, strict=True)]


def flat(arrays):
    """All numbers of several arrays in one vector."""
    return np.concatenate([np.ravel(one) for one in arrays]).astype("float64")


def applied(optimizer, *steps):
    """What some steps take off weights that are zero, as one vector.

    Each step is a list of gradients, one for each variable.
    """
    variables = [keras.Variable(np.zeros(np.shape(g))) for g in steps[0]]
    for gradients in steps:
        tensors = [ops.convert_to_tensor(g, "float32") for g in gradients]
        optimizer.apply(tensors, variables)
    return -flat(ops.convert_to_numpy(variable) for variable in variables)


def clipped(gradients, **limit):
    """What one step of plain SGD takes off, as one vector."""
    return applied(keras.optimizers.SGD(1.0, **limit), gradients)


def step_of(model, x, y, **limit) -> list:
    """What one training step takes off each weight of a model."""
    model.compile(keras.optimizers.SGD(1.0, **limit), "mse")
    before = model.get_weights()
    model.train_on_batch(x, y)
    return list(map(np.subtract, before, model.get_weights()))


def measure(seed: int) -> dict:
    """The three limits on a network's gradient, and on some made by hand."""
    keras.utils.set_random_seed(seed)
    raw = step_of(build_model(), *make_adding_problem(32, 15, seed))
    direction = flat(raw) / np.linalg.norm(flat(raw))
    two = [[3.0, 4.0], [0.3, 0.4]], [[-0.3, 0.5], [0.1, -0.2]]
    off, others_off, harm, scores = [], [], [], {}
    for name, limit in LIMITS.items():
        update = clipped(raw, **{name: limit})
        off.append(np.abs(update - flat(by_formula(raw, name, limit))).max())
        norm = scores[f"norm, {name}"] = np.linalg.norm(update)
        scores[f"cosine, {name}"] = update @ direction / norm
        by_hand = [by_formula(gradients, name, limit) for gradients in two]
        for kind in ADAPTIVE:
            make = functools.partial(getattr(keras.optimizers, kind), 0.1)
            found = applied(make(**{name: limit}), *two)
            others_off.append(np.abs(found - applied(make(), *by_hand)).max())
        tiny = clipped([[0.0], [1e-30], [1e-4]], **{name: limit})
        harm.append(np.abs(tiny * [1, 1e30, 1e4] - [0, 1, 1]).max())
        huge = clipped([[1e25], [0.3]], **{name: limit})
        scores[f"NaN of 2, {name}"] = np.isnan(huge).sum()
        scores[f"small one, {name}"] = np.linalg.norm(
            clipped(two[0], **{name: limit})[2:]
        )
    refused = 0
    for names in itertools.combinations(LIMITS, 2):
        try:
            keras.optimizers.SGD(**dict.fromkeys(names, 1.0))
        except ValueError:
            refused += 1
    # One row of an Embedding, read four times with a gradient of 0.4 each.
    # Their sum is to be clipped; TensorFlow keeps, and clips, each apart.
    table = layers.Embedding(1, 1, embeddings_initializer="zeros")
    table = keras.Sequential([layers.Input((4,)), table])
    wanted = np.full((1, 4, 1), -0.8)
    row = step_of(table, np.zeros((1, 4)), wanted, clipvalue=0.5)[0].item()
    apart = keras.config.backend() == "tensorflow"
    return {
        "off the formula": max(off),
        "other optimizers, off": max(others_off),
        "harm to tiny ones": max(harm),
        "errors": refused,
        "norm of two": np.linalg.norm(clipped([[3.0], [4.0]], clipnorm=1)),
        "row of an Embedding": row,
        "row, off": row - (1.6 if apart else 0.5),
        **scores,
    }


# %%
# The experiment
# --------------


def plot_levels(figure) -> Figure:
    """Adds to curves of the error what its heights mean."""
    (axis,) = figure.axes
    for level, meaning in ((100 / 6, "diverged"), (1 / 6, "always saying 1")):
        axis.axhline(level, color="grey", linestyle=":", linewidth=0.8)
        axis.text(axis.get_xlim()[0], level * 1.1, f" {meaning}", fontsize=8)
    return figure


def plot_cliff(walks, shades) -> Figure:
    """The loss from above, with the path of every seed, in these colours."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axis = figure.subplots()
    grid = np.meshgrid(np.linspace(3, 7.5, 300), np.linspace(-4, -1, 300))
    loss = np.log10(height(*grid).clip(min=1e-6))
    heights = axis.contourf(*grid, loss, 12, cmap="Greys", vmax=2)
    figure.colorbar(heights, label="loss of the unit, log10")
    for name, colour in shades.items():
        axis.plot([], ".-", color=colour, label=f"{name}: 60 steps")
        for trial in walks.select(name):
            path = trial["curves"]["weight"], trial["curves"]["bias"]
            axis.plot(*path, ".-", color=colour, linewidth=0.6, markersize=3)
            axis.plot(*next(zip(*path, strict=True)), "o", color="#D55E00")
    axis.plot([], "o", color="#D55E00", label="start of a seed")
    axis.set(xlim=(3, 7.5), ylim=(-4, -1), xlabel="recurrent weight")
    axis.set(ylabel="bias", title="A step up the cliff may leave the picture")
    axis.legend(fontsize=8, loc="lower left")
    return figure


def main(epochs: Count = 10, seeds: Count = 3) -> Report:
    """Trains with each limit and without, seed by seed.

    Args:
        epochs: passes over 640 sequences.
        seeds: networks of each kind, with data of their own.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, epochs=epochs)
    notes = "Everything You Always Wanted to Know About Deep Learning, "
    notes += "Gradient Clipping"
    whole, others = "global_clipnorm", ("clipvalue", "clipnorm")
    walks = run_trials(walk, WALKS, seeds=seeds)
    exact = functools.partial(facts.agrees, within=1e-6)  # float32 rounds
    claims = {
        "Each limit applies what its formula says": exact("off the formula", 0),
        "The notes' other optimizers clip too, before anything else": (
            exact("other optimizers, off", 0)
        ),
        "Zero and tiny gradients are unharmed": exact("harm to tiny ones", 0),
        "Any two limits at a time are an error": exact("errors", 3),
        "clipnorm=1 leaves two variables a norm of the root of 2": (
            exact("norm of two", 2**0.5)
        ),
        "clipnorm leaves a small variable beside a large one alone": (
            exact("small one, clipnorm", 0.5)
        ),
        "global_clipnorm shrinks a small one by the share of the whole": (
            exact(f"small one, {whole}", 0.5 / 25.25**0.5)
        ),
        "global_clipnorm keeps the direction": exact(f"cosine, {whole}", 1),
        "global_clipnorm makes NaN of all where one is 1e25": (
            exact(f"NaN of 2, {whole}", 2)
        ),
        **{
            f"{name} makes no NaN of 1e25": exact(f"NaN of 2, {name}", 0)
            for name in others
        },
        "A row read four times escapes clipvalue, on TensorFlow alone": (
            exact("row, off", 0)
        ),
        **{
            f"{name} turns the step away: its cosine is below 0.9": (
                facts.is_below(f"cosine, {name}", 0.9)
            )
            for name in others
        },
        "Unclipped, most networks diverge": (
            trials.share("diverged", "none", at_least=0.5)
        ),
        **{
            f"With {name} two of three survive at least": (
                trials.share("survived", name, at_least=2 / 3)
            )
            for name in LIMITS
        },
        "Clipping beats a rate that is small enough to survive without": (
            trials.is_lower("error", whole, than="none, rate / 100")
        ),
        "The cliff throws an unclipped descent back ten times as far": (
            walks.is_higher("thrown back, log10", "none", than=whole, by=1.0)
        ),
    }
    label = "mean squared error\n(1,000: more, or NaN)"
    return Report(
        trials.table("survived", "error", "largest norm, log10"),
        facts.table(*(f"cosine, {name}" for name in LIMITS)),
        facts.table(*(f"norm, {name}" for name in LIMITS)),
        facts.table("row of an Embedding"),
        walks.table("thrown back, log10"),
        plot_levels(plot_curves(trials, "error", ylabel=label, log=True)),
        plot_cliff(walks, colours(walks.variants)),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Use ``global_clipnorm``: it shortens a step and does not turn it. Choose its
# limit from the norms that `GradientNorms` shows while all goes well, a few
# times their size; a limit that cuts every step is only a smaller rate. Look at
# the whole curve: once it has diverged, a network may rest with all its
# rectified units dead, and its last loss, that of a constant, hides it. A
# gradient that overflows is beyond help: lower the rate as well. Two things to
# try: a limit of 100 in place of 1; and ``Adam``, which divides each gradient
# by its usual size, so that clipping shortens a rare spike and nothing else.

if __name__ == "__main__":
    cook(main)
