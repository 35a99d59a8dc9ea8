"""
Max-norm: a bound on the weights into each unit
===============================================

A penalty pulls on every weight, all the time. Max-norm lets weights do as they
like until those into one unit, taken as a vector, are longer than a bound
:math:`c`; then the vector is shortened to it, and keeps its direction. Keras
does so after each update. For the weights :math:`w_j` into unit :math:`j`

.. math::

   w_j \\leftarrow w_j \\, \\frac{\\min(\\lVert w_j \\rVert_2, c)}
   {\\lVert w_j \\rVert_2}

However large a step is, the weights cannot run away: hence the notes' advice
to use it with a large learning rate. Which numbers are the weights into a unit
is for ``axis`` to say. In `Dense` they are a column of the kernel, and the
default 0 is right. In `Conv2D` they are a filter, ``axis=(0, 1, 2)``, and 0
bounds something else: three weights above each other, again and again.

:question: Can I train with a larger learning rate if I bound the weights?
:level: intermediate
:notes: Deep Neural Nets Basics, Dropout notes and rules of thumb;
    Everything You Always Wanted to Know About Deep Learning,
    Parameter Norm Penalties
:papers: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
:backends: tensorflow, jax, torch
:before: regularization/dropout, regularization/weight_penalties
"""

import keras
import numpy as np
from keras import layers

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

FILTER = (0, 1, 2)  # rows, columns and channels of a Conv2D kernel
RATE = 0.02
VARIANTS = {
    "none": {},
    "fast": {"speed": 10},
    "fast, max-norm 2": {"speed": 10, "bound": 2.0},
    "fast, max-norm 3": {"speed": 10, "bound": 3.0},
    "fast, max-norm 4": {"speed": 10, "bound": 4.0},
    "fast, max-norm 5": {"speed": 10, "bound": 5.0},
    "fast, max-norm 2, axis 0": {"speed": 10, "bound": 2.0, "axis": 0},
    "fast, dropout": {"speed": 10, "dropout": 0.5},
    "fast, dropout, max-norm 4": {"speed": 10, "dropout": 0.5, "bound": 4.0},
}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["none", "fast, max-norm 4"]}
FULL = {"epochs": 8, "seeds": 10}

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %%
# The network
# -----------
# Two convolutions and a hidden layer. The output is left free: its weights
# say how sure the network is, and not what it looks at.


def build_model(bound=None, axis=FILTER, dropout=0.0) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) digits, its weights bounded or not."""

    def limit(along):
        return keras.constraints.MaxNorm(bound, along) if bound else None

    ways = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(32, 3, kernel_constraint=limit(axis), **ways),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, kernel_constraint=limit(axis), **ways),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu", kernel_constraint=limit(0)),
            layers.Dropout(dropout),
            layers.Dense(10),
        ]
    )


# %%
# One trial
# ---------
# Put your own images in the first line: x of shape (samples, height, width,
# channels), y integers. `speed` multiplies the learning rate. A network whose
# weights are no numbers any more has diverged, and is scored as it answers.


def train(seed: int, epochs: int, speed: float = 1.0, **network) -> dict:
    """Trains one variant; returns its accuracy and its longest filter."""
    (x, y), (x_test, y_test) = load_digits(200, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    model.compile(keras.optimizers.SGD(RATE * speed, 0.9), loss=LOSS)
    x_all, y_all = np.tile(x, (10, 1, 1, 1)), np.tile(y, 10)
    model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    logits = model.predict(x_test, verbose=0)
    kernels = [w for w in model.get_weights() if w.ndim == 4]
    longest = max(lengths(w, FILTER).max() for w in kernels)
    finite = all(np.isfinite(w).all() for w in model.get_weights())
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "longest filter": min(longest, 1e3) if finite else 1e3,
        "diverged": float(not finite),
    }


def lengths(w, axis):
    """Euclidean norms of an array along some axes, which are kept."""
    return np.sqrt(np.sum(np.square(w, dtype="float64"), axis, keepdims=True))


# %%
# What must hold exactly
# ----------------------
# Keras' projection against the formula, and the bound after each of ten
# updates. With axis 0, a filter of 3 x 3 over n channels has 3 n vectors that
# may each be as long as the bound, and the filter the root of 3 n times that.


def by_formula(w, bound: float, axis):
    """Max-norm of an array, from the formula."""
    norms = lengths(w, axis)
    return w * np.minimum(norms, bound) / norms


def measure(seed: int) -> dict:
    """Distance from the formula, from the bound, and with the wrong axis."""
    generator = np.random.default_rng(seed)
    off = []
    for shape, axis in (((40, 9), 0), ((3, 3, 32, 9), FILTER)):
        w = generator.normal(size=shape) * np.linspace(0.01, 1, 9)
        found = keras.constraints.MaxNorm(2.0, axis)(w.astype("float32"))
        found = keras.ops.convert_to_numpy(found)
        off.append(np.abs(found - by_formula(w, 2.0, axis)).max())

    keras.utils.set_random_seed(seed)
    model = build_model(bound=0.5)
    model.compile(keras.optimizers.SGD(10 * RATE, 0.9), loss=LOSS)
    x, y = generator.normal(size=(20, 8, 8, 1)), generator.integers(0, 10, 20)
    longest = []
    for _ in range(10):
        model.train_on_batch(x, y)
        *bounded, _ = [w for w in model.get_weights() if w.ndim > 1]
        ends = [lengths(w, tuple(range(w.ndim - 1))).max() for w in bounded]
        longest.append(max(ends))

    large = np.full((3, 3, 32, 9), 10, "float32")
    wrong = keras.constraints.MaxNorm(2.0)(large)
    wrong = lengths(keras.ops.convert_to_numpy(wrong), FILTER).max()
    return {
        "projection, off": max(off),
        "beyond the bound": max(max(longest) - 0.5, 0.0),
        "filter by bound, axis 0": wrong / 2.0,
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 8, seeds: Count = 3) -> Report:
    """Compares a tenfold learning rate with bounds and without.

    Args:
        epochs: ten passes each over 200 digits.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    wrong, higher = "fast, max-norm 2, axis 0", trials.is_higher
    norms = {
        # Rounding of weights below two in float32.
        "Keras' projection is the formula": (
            facts.agrees("projection, off", 0.0, within=1e-6)
        ),
        # The same, of norms of a half.
        "After each update every norm is at most the bound": (
            facts.agrees("beyond the bound", 0.0, within=1e-6)
        ),
        # Relative rounding, times ten.
        "With axis 0 a filter can be sqrt(3 n) times as long as the bound": (
            facts.agrees("filter by bound, axis 0", 96**0.5, within=1e-4)
        ),
        "Trained with axis 0, filters are over twice as long as the bound": (
            trials.is_above("longest filter", 4.0, wrong)
        ),
        "The wrong axis costs a point of accuracy": (
            higher("accuracy", "fast, max-norm 2", than=wrong, by=0.01)
        ),
    }
    rules = {
        "Without a bound, a tenfold rate is worse": (
            trials.is_lower("accuracy", "fast", than="none")
        ),
        "Without a bound, a tenfold rate gives longer filters": (
            higher("longest filter", "fast", than="none")
        ),
        "With dropout, max-norm 4 improves on the tenfold rate": (
            higher(
                "accuracy", "fast, dropout, max-norm 4", than="fast, dropout"
            )
        ),
    }
    for bound in (2, 3, 4, 5):
        name = f"fast, max-norm {bound}"
        rules[f"Max-norm {bound} improves on the tenfold rate"] = higher(
            "accuracy", name, than="fast"
        )
        text = f"Max-norm {bound} lets a tenfold rate train, within two points"
        rules[text] = higher("accuracy", name, than="none", by=-0.02)
    book = "Everything You Always Wanted to Know About Deep Learning"
    basics = "Deep Neural Nets Basics, Dropout notes and rules of thumb"
    return Report(
        trials.table("accuracy", "longest filter", "diverged"),
        plot_differences(trials, "accuracy", xlabel="accuracy"),
        *(
            Claim(*claim, f"{book}, Parameter Norm Penalties")
            for claim in norms.items()
        ),
        *(Claim(*claim, basics) for claim in rules.items()),
    )


# %%
# What to make of it
# ------------------
# Look at the longest filter before you choose a bound: one that no filter
# reaches does nothing at all. And say the axis wherever a kernel has more than
# two, for nothing warns of the wrong one. Two things to try:
# `keras.constraints.UnitNorm`, which also lengthens; and a rate thirty times
# as large.

if __name__ == "__main__":
    cook(main)
