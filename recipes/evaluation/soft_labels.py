"""
Soft labels: probabilities in place of classes
==============================================

Five people look at a blurred picture: three say 4, two say 9. The usual label
is the majority's, 4, as if nobody had doubted it. A *soft label* keeps what
they said, 60 % and 40 %, and cross entropy takes it as it is. With the label's
probabilities :math:`p_c` and the network's :math:`q_c`,

.. math::

   L(p, q) = -\\sum_c p_c \\log q_c = H(p) + \\text{KL}(p \\,\\|\\, q)

A class is the special case in which one :math:`p_c` is 1. The loss is least at
:math:`q = p`, and there it is not zero but the entropy :math:`H(p)`: what is
left above that, the Kullback-Leibler divergence, is the network's own error.

Label smoothing makes soft labels out of classes, by giving a share
:math:`\\epsilon` to all of :math:`K` alike, whatever the picture:
:math:`p_c = (1 - \\epsilon) [c = y] + \\epsilon / K`.

:question: My annotators disagree. Should the network learn their majority?
:level: beginner
:notes: Deep Neural Nets Basics, Cross entropy formula with soft labels
:papers: Peterson et al. 2019, https://arxiv.org/abs/1908.07086;
    Müller et al. 2019, https://arxiv.org/abs/1906.02629
:backends: tensorflow, jax, torch
:before: evaluation/calibration
"""

import functools

import keras
import numpy as np
from keras import layers

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.metrics import ExpectedCalibrationError
from kerasrecipes.plotting import plot_reliability

VARIANTS = {
    "majority": {"label": "majority"},
    "one vote": {"label": "one vote"},
    "smoothed": {"label": "smoothed"},
    "soft": {"label": "soft"},
}
CONDITIONS = {"3 votes": {"votes": 3}, "9 votes": {"votes": 9}}
QUICK = {
    "epochs": 3,
    "seeds": 1,
    "variants": ["majority", "soft"],
    "conditions": ["3 votes"],
}
LOSS = keras.losses.CategoricalCrossentropy(from_logits=True)
SMOOTHING = 0.1  # the share that is often given to all classes

# %%
# The network
# -----------
# It ends in logits, which the loss and the metric are told.


def build_model() -> keras.Model:
    """Logits of ten digits for (batch, 64) pixels."""
    return keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )


# %%
# Pictures that people disagree about
# -----------------------------------
# Two digits are laid over each other, the stronger one with a share of 50 to
# 100 %. An annotator says one or the other, each as often as it is strong. So
# the probabilities that votes are drawn from are known, which they never are
# elsewhere: the test is held against these, and not against more votes.


def blend(x, y, generator, times: int = 1):
    """Pictures of two digits, and the shares of all ten digits in them."""
    x, y = np.tile(x, (times, 1)), np.tile(y, times)
    other, digits = generator.permutation(len(x)), np.eye(10)
    share = generator.uniform(0.5, 1, (len(x), 1))
    p = share * digits[y] + (1 - share) * digits[y[other]]
    return (share * x + (1 - share) * x[other]).astype("float32"), p


def make_labels(p, votes: int, label: str, generator):
    """What becomes of the votes of annotators; an odd number has no ties."""
    first = generator.multinomial(1, p)
    counts = first + generator.multinomial(votes - 1, p)
    if label == "soft":
        return counts / votes
    if label == "one vote":
        return first
    majority = np.eye(10)[counts.argmax(-1)]
    if label == "smoothed":
        return (1 - SMOOTHING) * majority + SMOOTHING / 10
    return majority


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 64), y integers; of
# votes that you have, only their shares are needed. A hit is counted as what
# the true probabilities give to the predicted digit: a share, not 0 or 1.


def train(seed: int, epochs: int, votes: int, label: str) -> dict:
    """Trains on one kind of label; returns how well the doubt is learned."""
    (x, y), (x_test, y_test) = load_digits(1000, fold=seed, flat=True)
    generator = np.random.default_rng(seed)
    x, p = blend(x, y, generator)
    x_test, p_test = blend(x_test, y_test, generator, times=10)
    targets = make_labels(p, votes, label, generator)
    keras.utils.set_random_seed(seed)
    model = build_model()
    model.compile(keras.optimizers.Adam(0.003), LOSS)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, targets, epochs=epochs, verbose=0)
    logits = model.predict(x_test, batch_size=600, verbose=0)
    metric = ExpectedCalibrationError(from_logits=True)
    error = float(metric(p_test, logits))
    sums = [keras.ops.convert_to_numpy(one) for one in metric.variables]
    names = ("examples", "confidence", "hits")
    rows, strongest = np.arange(len(p_test)), p_test.argmax(-1)
    log_q = log_softmax(logits.astype("float64"))
    q = np.exp(log_q)
    return {
        "accuracy": np.mean(q.argmax(-1) == strongest),
        "ECE": error,
        "divergence": np.mean(cross_entropy(p_test, log_q) - entropy(p_test)),
        "doubt": np.corrcoef(q[rows, strongest], p_test.max(-1))[0, 1],
        "curves": dict(zip(names, sums, strict=True)),
    }


def log_softmax(logits):
    """Logarithms of the probabilities."""
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def cross_entropy(p, log_q):
    """The formula, for each example."""
    return -np.sum(p * log_q, axis=-1)


def entropy(p):
    """What cross entropy is at best; a probability of 0 adds nothing."""
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


# %%
# What must hold exactly
# ----------------------
# Forty random labels and outputs of five classes; then a network that is its
# five logits alone, which takes one step. A step of rate 1 adds :math:`p - q`.
# Two things go wrong without a word: `sparse_categorical_crossentropy` refuses
# rows of probabilities, but cuts a column of them down to integers, so that
# 70 % for class 1 becomes class 0; and a class weight goes by the largest
# class of a soft label, not by shares.


def step(logits, targets, **arguments):
    """The loss of these logits, and what one step at rate 1 adds to them."""
    model = keras.Sequential(
        [layers.Input((1,)), layers.Dense(5, use_bias=False)]
    )
    model.set_weights([logits[None]])
    model.compile(keras.optimizers.SGD(1.0), LOSS, run_eagerly=True)
    ones = np.ones((len(targets), 1))
    whole = {"batch_size": len(targets), "verbose": 0, **arguments}
    loss = model.fit(ones, targets, **whole).history["loss"][0]
    return np.append(loss, model.get_weights()[0] - logits)


def measure(seed: int) -> dict:
    """Keras' losses against formulas: the largest difference, or the size."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(5), 40)
    log_q = log_softmax(generator.normal(0, 2, (40, 5)))
    others = log_softmax(generator.normal(0, 2, (1000, 5)))
    classes = generator.integers(0, 5, 40)
    hard = np.eye(5)[classes]

    def loss(targets, log_q, kind="Categorical", **arguments):
        kind = getattr(keras.losses, f"{kind}Crossentropy")
        return float(kind(from_logits=True, **arguments)(targets, log_q))

    smoothed = 0.9 * hard + 0.1 / 5
    parts = 0.9 * cross_entropy(hard, log_q) - 0.1 * log_q.mean(-1)
    by_keras = loss(hard, log_q, label_smoothing=0.1)
    sparse = keras.losses.SparseCategoricalCrossentropy()
    try:
        sparse(p, np.exp(log_q))
        refused = 0
    except ValueError:
        refused = 1
    # 70 % for class 1, and an output of 90 % for it.
    column, output = np.array([0.7]), np.array([[0.1, 0.9]])
    right = -0.7 * np.log(0.9) - 0.3 * np.log(0.1)

    label, zeros = p[0], np.zeros(5)
    cast = np.array([1, 1, 3])  # three votes
    soft = np.bincount(cast, minlength=5)[None] / 3
    weights = {0: 1.0, 1: 3.0, 2: 1.0, 3: 1.0, 4: 1.0}
    weighted, *_ = step(zeros, soft, class_weight=weights)
    rest = step(np.log(label), label[None])
    return {
        "formula": loss(p, log_q) - cross_entropy(p, log_q).mean(),
        "at p": rest[0] - entropy(label),
        "moved at p": np.abs(rest[1:]).max(),
        "below": np.min(cross_entropy(label, others)) < entropy(label),
        "step": np.abs(step(zeros, label[None])[1:] - label + 1 / 5).max(),
        "hard": loss(hard, log_q) - loss(classes, log_q, "SparseCategorical"),
        "smoothed": by_keras - loss(smoothed, log_q),
        "smoothed, in parts": by_keras - parts.mean(),
        "votes": np.abs(step(zeros, np.eye(5)[cast]) - step(zeros, soft)).max(),
        "refused": refused,
        "cut": float(sparse(column, output)) - right,
        "weight": weighted / np.log(5),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares kinds of labels, seed by seed.

    Args:
        epochs: passes over 1,000 pictures.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    near = functools.partial(facts.agrees, within=1e-5)
    lower = functools.partial(trials.is_lower, than="majority")
    claims = {
        # Losses near two, in float32.
        "Cross entropy with soft labels is -sum p log q": near("formula", 0.0),
        "At q = p the loss is the entropy of p": near("at p", 0.0),
        "At q = p a step moves nothing": near("moved at p", 0.0),
        "No q has a loss below the entropy of p": near("below", 0.0),
        "A step adds p - q to the logits": near("step", 0.0),
        "Hard labels are a special case, equal to the sparse loss": (
            near("hard", 0.0)
        ),
        "Label smoothing is a soft label": near("smoothed", 0.0),
        "Label smoothing adds a share of the mean of -log q": (
            near("smoothed, in parts", 0.0)
        ),
        "Each vote as an example takes the same step as their shares": (
            near("votes", 0.0)
        ),
        "The sparse loss refuses rows of probabilities": near("refused", 1.0),
        "The sparse loss cuts a column of them: 2.303 in place of 0.765": (
            near("cut", 0.7 * np.log(9))
        ),
        # Two votes of three are for class 1: by shares it would be 2.33.
        "A class weight goes by the largest share: 3 in place of 2.33": (
            near("weight", 3.0)
        ),
    }
    for place in CONDITIONS:
        claims |= {
            f"Soft labels calibrate better than the majority, {place}": (
                lower("ECE", "soft", at=place)
            ),
            f"Soft labels have a lower divergence than the majority, {place}": (
                lower("divergence", "soft", at=place)
            ),
        }
    claims |= {
        "Soft labels cost no more than a point of accuracy": (
            trials.is_higher("accuracy", "soft", than="majority", by=-0.01)
        ),
        "Soft labels learn what is doubtful better than the majority": (
            trials.is_higher("doubt", "soft", than="majority")
        ),
        "With more votes, soft labels have a lower divergence": (
            trials.trend("divergence", "soft", over="votes", falls=True)
        ),
        "One vote calibrates better than the majority of all": (
            lower("ECE", "one vote")
        ),
        "Smoothing the majority calibrates better than leaving it": (
            lower("ECE", "smoothed")
        ),
        "Soft labels calibrate better than smoothing": (
            trials.is_lower("ECE", "soft", than="smoothed")
        ),
        "Soft labels learn what is doubtful better than smoothing": (
            trials.is_higher("doubt", "soft", than="smoothed")
        ),
    }
    notes = "Deep Neural Nets Basics, Cross entropy formula with soft labels"
    return Report(
        trials.table("accuracy", "ECE", "divergence", "doubt"),
        plot_reliability(trials),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Where several people have labelled an example, keep their votes: a majority
# throws away what was paid for, and tells the network to be sure where people
# are not. Votes of few people are noisy themselves, but on average right, and a
# majority is not. Smoothing needs no votes; its labels do not tell a clear
# picture from a doubtful one, but a network may find that out by itself: look
# at the verdicts. Do not expect a loss near zero, and compare losses with the
# labels' entropy taken off. Two things to try: ten times the epochs, until
# single votes are learned by heart; and annotators of whom one always says 4.

if __name__ == "__main__":
    cook(main)
