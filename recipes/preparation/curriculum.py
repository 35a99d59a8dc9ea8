"""
Curriculum learning: which examples first?
==========================================

Children do sums of two numbers before sums of ten. Should a network? A
*curriculum* shows easy examples first and hard ones later. The adding problem
has a natural measure of what is hard: two marked numbers of a sequence are to
be added, and the longer the sequence, the longer the first one must be kept.

All variants train once on the same sequences, of 4 to 16 steps, and differ by
their order alone. With :math:`d_i \\in [0, 1]` for how long sequence :math:`i`
is among all of them and :math:`u_i` drawn evenly from the same range, they are
sorted by

.. math::

   (1 - m) \\, d_i + m \\, u_i

where :math:`m = 1` is a random order, :math:`m = 0` a strict curriculum, and
:math:`m = 1/2` the stochastic one of the notes: a random mix of easy and
difficult examples, in which the share of difficult ones grows.

:question: Does it help to show a network easy examples first?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    (Stochastic) Curriculum Learning
:papers: Bengio et al. 2009, https://doi.org/10.1145/1553374.1553380;
    Zaremba and Sutskever 2014, https://arxiv.org/abs/1410.4615
:backends: tensorflow, jax, torch
:before: preparation/padding_and_masking
"""

import keras
import numpy as np
from keras import layers

from kerasrecipes.analysis import epochs_to
from kerasrecipes.datasets import make_adding_problem
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "random order": {"mix": 1.0},
    "stochastic curriculum": {"mix": 0.5},
    "easy first": {"mix": 0.0},
    "hard first": {"mix": 0.0, "is_reversed": True},
    "hard only": {"mix": 1.0, "shortest": 16},
}
QUICK = {
    "steps": 2,
    "seeds": 1,
    "variants": ["random order", "easy first"],
}
FULL = {"steps": 30, "seeds": 10}

SHORTEST, LONGEST = 4, 16
LEVEL, PARTS, BATCH = 0.02, 20, 50
NOTES = (
    "Everything You Always Wanted to Know About Deep Learning, "
    "(Stochastic) Curriculum Learning"
)

# %%
# Lessons
# -------
# As many sequences of each length, in the order of the curriculum. Short ones
# have zeros in front, which leave an LSTM that has not begun where it is.


def make_lessons(
    sequences: int, mix: float, is_reversed: bool, shortest: int, seed: int
):
    """Sequences (n, 16, 2), sums (n, 1), and lengths, in their order."""
    lengths = np.arange(sequences) % (LONGEST - shortest + 1) + shortest
    x = np.zeros((sequences, LONGEST, 2), "float32")
    y = np.zeros((sequences, 1), "float32")
    for length in range(shortest, LONGEST + 1):
        rows = np.flatnonzero(lengths == length)
        made = make_adding_problem(len(rows), length, seed=100 * seed + length)
        x[rows, -length:], y[rows] = made
    generator = np.random.RandomState(seed)
    difficulty = (lengths - SHORTEST) / (LONGEST - SHORTEST)
    key = (1 - mix) * difficulty + mix * generator.random_sample(sequences)
    # Where lengths are equal the order is random too.
    shuffled = generator.permutation(sequences)
    order = shuffled[np.argsort(key[shuffled], kind="stable")]
    order = order[::-1] if is_reversed else order
    return x[order], y[order], lengths[order]


# %%
# The network
# -----------


def build_model() -> keras.Model:
    """Adds up two numbers of (batch, steps, 2): a number and its mark."""
    return keras.Sequential(
        [layers.Input((None, 2)), layers.LSTM(32), layers.Dense(1)]
    )


# %%
# One trial
# ---------
# Put your own examples in the first line, in the order in which they are to be
# learned. Training goes through them once, in twenty parts, and is tested after
# each on sequences of all 16 steps: the examination is the hardest there is.
# `shuffle=False` is what makes a curriculum of an order.


def train(
    seed: int,
    steps: int,
    mix: float,
    is_reversed: bool = False,
    shortest: int = SHORTEST,
) -> dict:
    """Trains on sequences in one order; tests on the longest ones."""
    sequences = PARTS * steps * BATCH
    x, y, lengths = make_lessons(sequences, mix, is_reversed, shortest, seed)
    x_test, y_test = make_adding_problem(1000, LONGEST, seed=100 * seed)
    keras.utils.set_random_seed(seed)
    model = build_model()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    errors = []
    for part in np.split(np.arange(sequences), PARTS):
        model.fit(x[part], y[part], BATCH, shuffle=False, verbose=0)
        said = keras.ops.convert_to_numpy(model(x_test))
        errors.append(float(np.mean((said - y_test) ** 2)))
    # Of a falling curve the negative; a part is as many steps for all.
    parts = epochs_to(-LEVEL, -np.array(errors))
    right = np.mean(np.abs(said - y_test) < 0.1)
    return {
        "thousand sequences to 0.02": parts * sequences / PARTS / 1000,
        "final error": errors[-1],
        "within 0.1": right,
        "curves": {
            "error": errors,
            "length": [float(part.mean()) for part in np.split(lengths, PARTS)],
        },
    }


# %%
# What must hold exactly
# ----------------------
# Whatever the order, the same sequences are learned from; and `fit` keeps an
# order if it is told to: where each step goes all the way to its target, a
# network ends at the last one.


def measure(seed: int) -> dict:
    """The lessons of four orders, and what `fit` does with an order."""
    generator = np.random.default_rng(seed)
    orders = ((1.0, False), (0.5, False), (0.0, False), (0.0, True))
    sums = [
        np.sort(make_lessons(1300, mix, is_reversed, SHORTEST, seed)[1][:, 0])
        for mix, is_reversed in orders
    ]

    keras.utils.set_random_seed(seed)
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    # A step goes all the way to its target: half of it by each weight.
    model.compile(keras.optimizers.SGD(0.25), "mse")
    targets = generator.normal(size=(40, 1)).astype("float32")
    model.fit(np.ones((40, 1)), targets, 1, shuffle=False, verbose=0)
    kernel, bias = model.get_weights()
    return {
        "sequences differ": max(np.max(np.abs(one - sums[0])) for one in sums),
        "off the last target": np.abs(kernel[0] + bias - targets[-1])[0],
    }


# %%
# The experiment
# --------------


def main(steps: Count = 30, seeds: Count = 3) -> Report:
    """Compares orders of the same sequences, seed by seed.

    Args:
        steps: training steps in each of the twenty parts, of 50 sequences.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, steps=steps)
    random, stochastic, easy, hard, only = VARIANTS
    needed = "thousand sequences to 0.02"
    claims = {
        "Every order has the same sequences": (
            facts.agrees("sequences differ", 0.0, within=0.0)
        ),
        "Without shuffling, fit takes the examples in their order": (
            # A few operations in float32 on numbers of about one.
            facts.agrees("off the last target", 0.0, within=1e-6)
        ),
        "Easy first reaches the target error with fewer sequences": (
            trials.is_lower(needed, easy, than=random)
        ),
        "The stochastic curriculum reaches the target error with fewer "
        "sequences": trials.is_lower(needed, stochastic, than=random),
        "The stochastic curriculum is faster than strictly easy first": (
            trials.is_lower(needed, stochastic, than=easy)
        ),
        "Hard first reaches the target error with more sequences": (
            trials.is_higher(needed, hard, than=random)
        ),
        "Hard sequences alone reach the target error later than a random mix": (
            trials.is_higher(needed, only, than=random)
        ),
        "In the end, easy first is within a point of the random order": (
            trials.is_same("within 0.1", easy, than=random, within=0.01)
        ),
        "In the end, the stochastic curriculum is within a point of the random "
        "order": trials.is_same(
            "within 0.1", stochastic, than=random, within=0.01
        ),
        "In the end, hard first is over a point worse than the random order": (
            trials.is_lower("within 0.1", hard, than=random, by=0.01)
        ),
    }
    return Report(
        trials.table(needed, "final error", "within 0.1"),
        plot_curves(
            trials,
            "error",
            xlabel="twentieth part of the training sequences",
            ylabel="mean squared error on 16 steps",
            log=True,
        ),
        *(Claim(text, found, NOTES) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# An order costs nothing where there is a measure of what is hard, and it is one
# argument of `fit`; whether it gains anything is what the verdicts say, for
# this task. What is never seen at the end is forgotten: an order that ends with
# easy examples is examined on what it has not seen for long. Two things to try:
# an examination of all lengths alike; and a curriculum that goes on to the next
# length when the error of the last one is small enough, a callback's work.

if __name__ == "__main__":
    cook(main)
