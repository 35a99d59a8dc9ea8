"""
Online learning: one example at a time, forever
===============================================

On a website examples never end: somebody comes, sees an offer, takes it or not.
Online learning takes each example once, as it comes,

.. math::

   \\theta \\leftarrow \\theta - \\alpha \\,
   \\nabla_\\theta \\, L\\big(h_\\theta(x), y\\big)

and forgets it. The notes call that powerful, as it can adapt when what users
like changes. Here a user is shown digits, and likes those below five. In the
middle of the stream the taste changes: now it is odd digits, at once or little
by little.

An online learner is judged as it goes. Every example is first a test and then a
lesson, and the share of right answers so far is the *prequential* accuracy. In
Keras no loop has to be written for that: ``fit`` with a batch size of one and
one epoch is online learning, and since a training step counts its answers
before it changes the weights, the accuracy that it reports is prequential.

:question: My data never end, and what they mean changes. How do I keep up?
:level: intermediate
:notes: Deep learning, wiki notes, Online learning
:papers: Gama et al. 2014, https://doi.org/10.1145/2523813;
    Gama et al. 2013, https://doi.org/10.1007/s10994-012-5320-9
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import time

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import SGDClassifier

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "frozen": {"learner": "frozen"},
    "online": {"learner": "online"},
    "online, ten at a time": {"learner": "online", "batch": 10},
    "SGDClassifier": {"learner": "linear"},
}
CONDITIONS = {
    "sudden change": {"change": 1},
    "gradual change": {"change": 1000},
}
QUICK = {
    "examples": 400,
    "seeds": 1,
    "variants": ["frozen", "online"],
    "conditions": ["sudden change"],
}
FULL = {"examples": 4000, "seeds": 10}

NOTES = "Deep learning, wiki notes, Online learning"

# %%
# The stream
# ----------
# A taste changes for one example after the other: with a gradual change, the
# new one is meant with a probability that rises from 0 to 1 over a thousand
# examples around the middle.


def make_stream(examples: int, change: int, seed: int) -> tuple:
    """Digits (n, 64), whether they are liked (n,), and by which taste (n,)."""
    (x, digits), _ = load_digits(fold=seed, flat=True)
    generator = np.random.default_rng(seed)
    shown = generator.integers(0, len(x), examples)
    place = np.arange(examples) - examples // 2
    is_new = generator.random(examples) < place / change + 0.5
    digits = digits[shown]
    liked = np.where(is_new, digits % 2 == 1, digits < 5)
    return x[shown], liked.astype("float32"), is_new


# %%
# The network
# -----------
# Plain gradient descent, as in the notes. Ten examples at a time are averaged
# in one step, which may be ten times as large.


def build_model(batch: int = 1) -> keras.Model:
    """Compiled: says of (batch, 64) pixels whether they are liked, a logit."""
    model = keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02 * batch),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy("accuracy", threshold=0)],
        # So many steps are one call of a compiled function, where a backend
        # has such a thing.
        steps_per_execution=1 if keras.config.backend() == "torch" else 20,
    )
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    return model


# %%
# One trial
# ---------
# Put your own stream in the first line: x of shape (examples, features), y of
# zeros and ones, in their order in time. It is learned in twenty parts, so that
# there is an accuracy for each. The frozen network learns from the first four
# parts as one does from a table, for ten epochs, and never again.


def train(
    seed: int, examples: int, change: int, learner: str, batch: int = 1
) -> dict:
    """Learns a stream; the share of right answers in each twentieth."""
    x, y, _ = make_stream(examples, change, seed)
    keras.utils.set_random_seed(seed)
    parts = np.array_split(np.arange(examples), 20)
    if learner == "linear":
        model = SGDClassifier(loss="log_loss", random_state=seed)
        right = [follow(model, x[part], y[part]) for part in parts]
    elif learner == "frozen":
        model = build_model(10)
        known = np.concatenate(parts[:4])
        model.fit(x[known], y[known], 10, epochs=10, verbose=0)
        logits = keras.ops.convert_to_numpy(model(x))[:, 0]
        right = [np.mean((logits > 0)[part] == y[part]) for part in parts]
    else:
        model = build_model(batch)
        right = [
            model.fit(
                x[part], y[part], batch, shuffle=False, verbose=0
            ).history["accuracy"][0]
            for part in parts
        ]
    right = [float(one) for one in right]
    before, end = np.mean(right[4:7]), np.mean(right[17:])
    return {
        "accuracy": np.mean(right),
        "before": before,
        "at the end": end,
        "lost at once": before - right[10],
        "lost for good": before - end,
        "curves": {"accuracy": right},
    }


def follow(model, x, y) -> float:
    """Prequential accuracy of scikit-learn's model, which goes on to learn."""
    right = 0
    for row, label in zip(x[:, None], y, strict=True):
        if hasattr(model, "coef_"):
            right += model.predict(row)[0] == label
        model.partial_fit(row, [label], classes=[0.0, 1.0])
    return right / len(y)


# %%
# What must hold exactly
# ----------------------
# The accuracy that `fit` reports, against a loop that asks first and learns
# afterwards; and a network without hidden layer, against scikit-learn's
# `partial_fit`, which takes the same steps.


def measure(seed: int) -> dict:
    """Two ways to go along a stream, and two libraries."""
    x, y, _ = make_stream(200, 1, seed)
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(seed)
        models.append(build_model())
    by_fit, by_hand = models
    history = by_fit.fit(x, y, 1, shuffle=False, verbose=0).history
    right = 0
    for row, label in zip(x[:, None], y, strict=True):
        logit = keras.ops.convert_to_numpy(by_hand(row))
        right += (logit[0, 0] > 0) == label
        by_hand.train_on_batch(row, label[None])
    weights = zip(by_fit.get_weights(), by_hand.get_weights(), strict=True)

    linear = keras.Sequential([layers.Input((64,)), layers.Dense(1)])
    linear.set_weights([np.zeros((64, 1)), np.zeros(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    linear.compile(keras.optimizers.SGD(0.02), loss)
    linear.fit(x, y, 1, shuffle=False, verbose=0)
    peer = SGDClassifier(
        loss="log_loss", alpha=0, learning_rate="constant", eta0=0.02
    )
    follow(peer, x, y)
    return {
        "accuracy": abs(history["accuracy"][0] - right / len(y)),
        "weights": max(np.max(np.abs(one - two)) for one, two in weights),
        "linear": np.max(np.abs(linear.get_weights()[0][:, 0] - peer.coef_)),
    }


# %%
# Updates a second
# ----------------
# One example is too little work for what is around it. `train_on_batch` goes
# through all of it for each step; `fit` does twenty steps in one call of a
# compiled function. PyTorch has none, and takes one step at a time.


def time_updates(seed: int) -> dict:
    """Updates a second, each way on a thousand examples."""
    x, y, _ = make_stream(1000, 1, seed)
    keras.utils.set_random_seed(seed)
    model = build_model()
    linear = SGDClassifier(loss="log_loss")

    def each():
        for row, label in zip(x[:, None], y[:, None], strict=True):
            model.train_on_batch(row, label)

    def partly():
        for row, label in zip(x[:, None], y[:, None], strict=True):
            linear.partial_fit(row, label, classes=[0.0, 1.0])

    ways = {
        "fit": lambda: model.fit(x, y, 1, shuffle=False, verbose=0),
        "train_on_batch": each,
        "partial_fit": partly,
    }
    speeds = {}
    for name, run in ways.items():
        run()  # compiles
        start = time.perf_counter()
        run()
        speeds[name] = len(x) / (time.perf_counter() - start)
    return {
        "updates/s by fit": speeds["fit"],
        "fit / train_on_batch": speeds["fit"] / speeds["train_on_batch"],
        "partial_fit / fit": speeds["partial_fit"] / speeds["fit"],
    }


# %%
# The experiment
# --------------


def main(examples: Count = 4000, seeds: Count = 3) -> Report:
    """Compares learners on a stream that changes, seed by seed.

    Args:
        examples: length of the stream.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train,
        VARIANTS,
        CONDITIONS,
        seeds=seeds,
        folds=FOLDS,
        examples=examples,
    )
    times = run_trials(time_updates, seeds=max(seeds // 3, 1), timing=True)
    frozen, online, ten, linear = VARIANTS
    sudden, _ = CONDITIONS
    claims = {
        "The accuracy of fit at batch size 1 is prequential": (
            # A mean of float32 numbers.
            facts.agrees("accuracy", 0.0, within=1e-6)
        ),
        "Going along by fit and by train_on_batch leads to the same weights": (
            facts.agrees("weights", 0.0, within=1e-5)
        ),
        "Without hidden layer, fit takes the steps of scikit-learn's "
        "partial_fit": (
            # Two hundred steps, in float32 and in float64.
            facts.agrees("linear", 0.0, within=1e-5)
        ),
        "A sudden change costs the online learner over 20 points at once": (
            trials.is_above("lost at once", 0.2, online, at=sudden)
        ),
    }
    for place in CONDITIONS:
        claims |= {
            f"The online learner gets back to within 2 points: {place}": (
                trials.is_below("lost for good", 0.02, online, at=place)
            ),
            f"The frozen network loses over 20 points for good: {place}": (
                trials.is_above("lost for good", 0.2, frozen, at=place)
            ),
        }
    claims |= {
        "Over the whole stream the online learner is better than the frozen "
        "network": trials.is_higher("accuracy", online, than=frozen),
        "Ten examples at a time are less accurate than one": (
            trials.is_lower("accuracy", ten, than=online)
        ),
        "A network is more accurate than SGDClassifier.partial_fit": (
            trials.is_higher("accuracy", online, than=linear)
        ),
        "The compiled loop of fit makes over 3 times as many updates a second "
        "as train_on_batch": times.is_above("fit / train_on_batch", 3.0),
        "SGDClassifier.partial_fit makes more updates a second than fit": (
            times.is_above("partial_fit / fit", 1.0)
        ),
    }
    figure = plot_curves(
        trials,
        "accuracy",
        xlabel="twentieth part of the stream; dotted: the taste changes",
        ylabel="share of right answers",
    )
    for axis in figure.axes:
        axis.axvline(10.5, color="#8C8C8C", linestyle=":")
    return Report(
        trials.table("accuracy", "before", "lost at once", "lost for good"),
        times.table(
            "updates/s by fit", "fit / train_on_batch", "partial_fit / fit"
        ),
        figure,
        *(Claim(text, found, NOTES) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Watch the prequential accuracy of whatever is in use: it costs nothing, and a
# fall is how one learns of a change. A network that is never trained again is
# right until the world moves on. Two things to try: a larger rate, which
# forgets faster and is less sure of what it knows; and a frozen network that is
# trained anew on the last thousand examples, whenever the accuracy falls.

if __name__ == "__main__":
    cook(main)
