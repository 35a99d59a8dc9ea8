"""
Monte Carlo dropout: asking a network how sure it is
====================================================

A network that knows apples and oranges must call a frog one of the two, and
its softmax may be sure of it. Monte Carlo dropout leaves dropout on after
training: a hundred passes, each without other units, are a hundred opinions,
and where they differ the network does not know.

With the probabilities :math:`p_t = f(x, m_t)` of a pass under masks
:math:`m_t`, the doubt is the entropy of their mean,

.. math::

   H(\\bar p) = -\\sum_c \\bar p_c \\log \\bar p_c, \\qquad
   \\bar p = \\frac 1 T \\sum_{t=1}^T p_t

Masks silence units, each with all its outgoing weights, not "each weight" as
the notes have it. Their listing calls ``Dropout`` with ``training=True`` while
the model is built: under Keras 3 that is silent in ``predict``. A deep ensemble
asks several networks, trained from different starts.

:question: How do I know that my network has no idea what it is looking at?
:level: intermediate
:notes: Deep Learning Models, Bayesian Neural Network (BNN)
:papers: Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142;
    Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import time

import keras
import numpy as np
from keras import layers, ops
from sklearn.metrics import roc_auc_score

from kerasrecipes.analysis import predict_samples
from kerasrecipes.datasets import FOLDS, load_digits, make_photo_patches
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import MonteCarloDropout
from kerasrecipes.plotting import plot_differences

# The first has dropout off after training, and no more than its softmax.
VARIANTS = {
    "one network": {},
    "MC dropout": {"passes": 100},
    "ensemble": {"members": 3},
}
CONDITIONS = {
    "MLP": {"network": "MLP"},
    "CNN": {"network": "CNN"},
    "LSTM": {"network": "LSTM"},
}
QUICK = {
    "epochs": 2,
    "seeds": 1,
    "variants": ["one network", "MC dropout"],
    "conditions": ["MLP"],
}
FULL = {"epochs": 20, "seeds": 10}
RATE, LOSS = 0.3, "sparse_categorical_crossentropy"

# %%
# The networks
# ------------
# Three readers of small images; to the LSTM a row of pixels is a step, and all
# steps share a mask, as in Gal's recurrent dropout. The members of an ensemble
# stand side by side in one model: none sees another, and one `fit` trains all.


def build_model(
    network: str, dropout=layers.Dropout, members: int = 1
) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) images to (batch, members, 8 digits)."""
    inputs = keras.Input((8, 8, 1))

    def dense(units):
        return [layers.Dense(units, activation="relu"), dropout(RATE)]

    def read():
        if network == "CNN":
            parts = [layers.Conv2D(32, 3, activation="relu"), dropout(RATE)]
            parts += [layers.MaxPooling2D(), layers.Flatten(), *dense(64)]
        elif network == "LSTM":
            parts = [layers.Reshape((8, 8)), dropout(RATE, (None, 1, 8))]
            parts += [layers.LSTM(64), dropout(RATE)]
        else:
            parts = [layers.Flatten(), *dense(128), *dense(128)]
        parts += [layers.Dense(8), layers.Softmax()]
        return keras.Sequential(parts)(inputs)

    return keras.Model(inputs, ops.stack([read() for _ in range(members)], 1))


# %%
# Unseen classes
# --------------
# Put your own images in the first line, and hold classes back. The networks
# learn 300 digits from 0 to 7; their frogs are 8, 9 and pieces of a photograph.
# How well doubt tells these from unseen digits of known classes is the area
# under the ROC curve: 0.5 by guessing, 1 where every frog is doubted more.


def train(
    seed: int, epochs: int, network: str, passes: int = 0, members: int = 1
) -> dict:
    """Trains on digits 0 to 7; returns what is doubted among unseen ones."""
    (x, y), (x_test, y_test) = load_digits(375, fold=seed)
    x, y, known = x[y < 8], y[y < 8], y_test < 8
    photo = make_photo_patches(150, seed=seed)
    images = np.concatenate([x_test, photo])
    keras.utils.set_random_seed(seed)
    model = build_model(network, members=members)
    model.compile(keras.optimizers.Adam(0.005), LOSS)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    targets = np.repeat(y[:, None], members, axis=1)
    model.fit(x, targets, batch_size=20, epochs=epochs, verbose=0)
    if passes:  # the same weights, under dropout that stays on
        random = build_model(network, MonteCarloDropout)
        random.set_weights(model.get_weights())
        p = predict_samples(random, images, passes).mean(0)[:, 0]
    else:
        p = model.predict(images, verbose=0).mean(1)
    confidence, entropy = p.max(-1), -np.sum(p * np.log(p + 1e-9), axis=-1)
    doubt = entropy if passes or members > 1 else 1 - confidence
    digits = np.flatnonzero(~known)
    patches = np.arange(len(known), len(images))

    def tell(doubt, frogs):
        chosen = np.append(np.flatnonzero(known), frogs)
        return roc_auc_score(np.isin(chosen, frogs), doubt[chosen])

    return {
        "accuracy": np.mean(p[:-150].argmax(-1)[known] == y_test[known]),
        "AUC, 8 and 9": tell(doubt, digits),
        "AUC, photo": tell(doubt, patches),
        "sure of 8 and 9": np.mean(confidence[digits] >= 0.9),
        "gain of entropy": tell(entropy, digits) - tell(1 - confidence, digits),
    }


# %%
# What must hold exactly
# ----------------------
# The notes' listing, their `trainable=True` and our layer in its place, each
# asked twice. Then 100 passes in one call: a layer with the same seed shows the
# masks, and each is put to work in a call of its own, with sums of ten products
# in float32. Of 24,000 outputs half are dropped where dropout is the last
# layer: within five standard errors of 0.0032.


def measure(seed: int) -> dict:
    """What is random and what is not, and 100 calls against one."""
    x = np.random.default_rng(seed).normal(size=(80, 10)).astype("float32")
    keras.utils.set_random_seed(seed)
    inputs, hidden = keras.Input((10,)), layers.Dense(3)
    ours = MonteCarloDropout(0.5, seed=seed)
    outputs = {
        "listing": layers.Dropout(0.5)(hidden(inputs), training=True),
        "trainable": layers.Dropout(0.5, trainable=True)(hidden(inputs)),
        "ours": ours(hidden(inputs)),
    }
    models = {name: keras.Model(inputs, y) for name, y in outputs.items()}
    model = models["ours"]
    model.compile(loss="mse")
    passes = predict_samples(model, x, 100, batch_size=8000)
    masks = MonteCarloDropout(0.5, seed=seed)(np.ones((8000, 3), "float32"))
    calls = [hidden(x) * mask for mask in ops.split(masks, 100)]

    def change(run):
        return np.ptp([run() for _ in range(2)], axis=0).max()

    scores = {
        f"{name}, {way}": change(run)
        for name, model in models.items()
        for way, run in {
            "predict": lambda model=model: model.predict(x, verbose=0),
            "call": lambda model=model: ops.convert_to_numpy(model(x)),
        }.items()
    }
    scores["ours, evaluate"] = change(
        lambda: model.evaluate(x, x[:, :3], verbose=0)
    )
    ways = [f"ours, {way}" for way in ("predict", "evaluate", "call")]
    calls = ops.convert_to_numpy(ops.stack(calls))
    return {
        **scores,
        "random ways of three": sum(scores[way] > 0 for way in ways),
        "one call against 100": np.abs(passes - calls).max(),
        "zeros at the end": np.mean(passes == 0),
    }


# %%
# Batch normalization under training=True
# ---------------------------------------
# `model(x, training=True)` is the other advice. Batch normalization trains too
# then: its averages drift to what is passed, here pieces of the photograph, and
# it sees the rest of the batch. 100 copies of an image have no variance left.


def disturb(seed: int, epochs: int) -> dict:
    """Accuracy on digits before and after 100 passes over a photograph."""
    (x, y), (x_test, y_test) = load_digits(1000, fold=seed)
    photo = make_photo_patches(150, seed=seed)

    def build(dropout):
        parts = [layers.Flatten(), layers.Dense(64)]
        parts += [layers.BatchNormalization(), layers.ReLU(), dropout(RATE)]
        last = [layers.Dense(10), layers.Softmax()]
        return keras.Sequential([keras.Input((8, 8, 1)), *parts, *last])

    def score():
        return np.mean(model.predict(x_test, verbose=0).argmax(-1) == y_test)

    keras.utils.set_random_seed(seed)
    model, ours = build(layers.Dropout), build(MonteCarloDropout)
    model.compile(keras.optimizers.Adam(0.005), LOSS)
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    ours.set_weights(model.get_weights())
    predict_samples(ours, photo, 100)
    weights = zip(model.get_weights(), ours.get_weights(), strict=True)
    moved = max(np.abs(one - other).max() for one, other in weights)
    before = score()
    for _ in range(100):
        model(photo, training=True)
    after, copies = score(), np.repeat(x_test[:40], 100, axis=0)
    answers = [model(part, training=True) for part in np.split(copies, 40)]
    named = ops.convert_to_numpy(ops.mean(ops.stack(answers), axis=1))
    return {
        "accuracy": before,
        "lost by training=True": before - after,
        "moved by our layer": moved,
        "right among copies": np.mean(named.argmax(-1) == y_test[:40]),
    }


# %%
# The cost of a hundred passes
# ----------------------------
# Passes are the rows of one large batch, which is made step by step. Of the
# calls, twenty are timed.


def time_passes(seed: int) -> dict:
    """Milliseconds of 100 passes of the CNN over 100 images."""
    x = make_photo_patches(100, seed=seed)
    model = build_model("CNN", MonteCarloDropout)
    ways = {
        "one call": lambda: predict_samples(model, x, 100),
        "predict": lambda: model.predict(x, batch_size=100, verbose=0),
        "predict_on_batch": lambda: model.predict_on_batch(x),
        "plain call": lambda: ops.convert_to_numpy(model(x)),
    }
    spent = {}
    for way, run in ways.items():
        run()
        start = time.perf_counter()
        for _ in range(1 if way == "one call" else 20):
            run()
        spent[way] = 1000 * (time.perf_counter() - start)
    once = spent.pop("one call")
    ratios = {
        f"100 x {way} / one call": 5 * twenty / once
        for way, twenty in spent.items()
    }
    return {"one call, ms": once, **ratios}


# %%
# The experiment
# --------------


def main(epochs: Count = 10, seeds: Count = 3) -> Report:
    """Compares one network, its passes and an ensemble, seed by seed.

    Args:
        epochs: passes over the training images.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    norms = run_trials(disturb, seeds=seeds, folds=FOLDS, epochs=epochs)
    times = run_trials(time_passes, seeds=max(seeds // 3, 1), timing=True)
    notes = "Deep Learning Models, Bayesian Neural Network (BNN)"
    one, many, several = "one network", "MC dropout", "ensemble"
    claims = {
        "The notes' listing is deterministic in predict": (
            facts.agrees("listing, predict", 0.0, within=0.0)
        ),
        "Dropout with trainable=True is deterministic in predict": (
            facts.agrees("trainable, predict", 0.0, within=0.0)
        ),
        "MonteCarloDropout is random in predict, evaluate and a plain call": (
            facts.agrees("random ways of three", 3, within=0.0)
        ),
        "100 passes as one batched call equal 100 calls with the same masks": (
            facts.agrees("one call against 100", 0.0, within=1e-6)
        ),
        "Dropout at the end of the model zeroes half of its answers": (
            facts.agrees("zeros at the end", 0.5, within=0.016)
        ),
        "MonteCarloDropout moves no statistic of batch normalization": (
            norms.agrees("moved by our layer", 0.0, within=0.0)
        ),
        "Passes over photos under training=True cost ten points of accuracy": (
            norms.is_above("lost by training=True", 0.1)
        ),
        "Under training=True no more than 3 of 10 digits are read by copies": (
            norms.is_below("right among copies", 0.3)
        ),
        "Softmax gives no certainty: 90 % sure of a tenth of unseen digits": (
            trials.is_above("sure of 8 and 9", 0.1, one)
        ),
        "100 passes are sure of fewer unseen digits": (
            trials.is_lower("sure of 8 and 9", many, than=one)
        ),
        "100 passes will increase the accuracy of classification": (
            trials.is_higher("accuracy", many, than=one)
        ),
        **{
            f"{name}: passes tell unseen digits better than softmax": (
                trials.is_higher("AUC, 8 and 9", many, than=one, at=name)
            )
            for name in CONDITIONS
        },
        "Passes tell photographs better than softmax": (
            trials.is_higher("AUC, photo", many, than=one)
        ),
        "Entropy of one softmax is better than its confidence": (
            trials.is_above("gain of entropy", 0.0, one)
        ),
        "An ensemble tells unseen digits better than passes": (
            trials.is_higher("AUC, 8 and 9", several, than=many)
        ),
        "An ensemble tells photographs better than passes": (
            trials.is_higher("AUC, photo", several, than=many)
        ),
        "One batched call is faster than 100 calls of predict": (
            times.is_above("100 x predict / one call", 1.0)
        ),
        "One batched call is faster than 100 plain calls": (
            times.is_above("100 x plain call / one call", 1.0)
        ),
    }
    return Report(
        facts.table("listing, predict", "listing, call", "ours, predict"),
        trials.table(
            "accuracy", "AUC, 8 and 9", "AUC, photo", "sure of 8 and 9"
        ),
        norms.table("accuracy", "lost by training=True", "right among copies"),
        times.table(
            "one call, ms",
            "100 x predict / one call",
            "100 x predict_on_batch / one call",
            "100 x plain call / one call",
        ),
        plot_differences(
            trials, "AUC, 8 and 9", xlabel="ROC AUC, unseen digits"
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Doubt only helps who acts on it: set a threshold on data of the known classes
# and hand over what is above. Compare with the plain softmax first, which costs
# one pass, and with a few networks, which cost training. Where the outputs are
# quantities, passes give intervals: `monte_carlo_intervals` fills a gap in a
# series with them. Two things to try: `RATE` of 0.1 and 0.5, since the rate
# decides how far passes differ; and 10 passes in place of 100.

if __name__ == "__main__":
    cook(main)
