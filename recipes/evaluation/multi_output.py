"""
Several labels, several outputs
===============================

A photograph may show a beach, a dog and a boat at once: labels that do not
exclude each other. A network answers with a sigmoid for each of :math:`K`
labels, and its loss is the mean of theirs:

.. math::

   L = - \\frac{1}{K} \\sum_{k=1}^{K}
   y_k \\log p_k + (1 - y_k) \\log (1 - p_k)

If the sigmoids share nothing below them, that is :math:`K` networks in one, and
under plain gradient descent each learns at a :math:`K`-th of the learning rate.
What may be shared is the *trunk*, the hidden layers. A *classifier chain* tells
each label from the input and the labels before it, true ones in training and
predicted ones later. Outputs can differ in kind as well, a class and a number:
their losses are added up with weights, and one of the targets may be lacking.

*Subset accuracy* wants all labels of a row right, the *Hamming loss* is the
share of wrong ones; F1 is of all labels together (micro) or their mean (macro).

:question: One example has several labels, or a class and a number. One network?
:level: intermediate
:notes: Deep Neural Nets Basics, Multi label/output
:papers: Read et al. 2011, https://doi.org/10.1007/s10994-011-5256-5;
    Caruana 1997, https://doi.org/10.1023/A:1007379606734;
    Montiel et al. 2018, https://arxiv.org/abs/1807.04662
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.metrics import accuracy_score, f1_score, hamming_loss

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "separate": {"trunk": "separate"},
    "shared": {"trunk": "shared"},
    "chain": {"trunk": "chain"},
    "shared, softmax": {"trunk": "shared", "activation": "softmax"},
}
CONDITIONS = {
    "labels correlate": {"correlation": 0.8},
    "labels have nothing in common": {"correlation": 0.0},
}
HEADS = {
    "a trunk each": {"is_shared": False},
    "shared": {"is_shared": True},
    "in grey levels": {"is_shared": True, "in_grey_levels": True},
}
STREAMS = {"shared": {"batch": 1}, "batches of 20": {"batch": 20}}
QUICK = {
    "steps": 20,
    "seeds": 1,
    "variants": ["separate", "shared"],
    "conditions": ["labels correlate"],
}

INPUTS, LABELS = 12, 4
SHARES = [0.5, 0.4, 0.3, 0.2]  # of the rows that have a label
COMMONEST = 0.65  # labels right for who says that there are none
LOSSES = {
    "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "ink": keras.losses.MeanSquaredError(),
}

# %%
# The network and its data
# ------------------------
# What decides a label is the height of a fold across the inputs: a mix of one
# that all labels have in common and one of its own. The conditions differ in
# that mix alone. The network is given a row and, behind it, its labels. A chain
# alone looks at these: its head number k sees the k labels before its own. So
# all heads train at once, and only predicting goes from label to label.


def make_labels(rows: int, correlation: float, seed: int):
    """Inputs (rows, 12) and labels (rows, 4), zeros and ones."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, INPUTS))
    directions = generator.normal(size=(INPUTS, LABELS + 1))
    folds = np.abs(x @ np.linalg.qr(directions)[0])  # (rows, labels + 1)
    mix = np.sqrt(1 - correlation) * folds[:, 1:]
    mix += np.sqrt(correlation) * folds[:, :1]
    cuts = [np.quantile(mix[:, k], 1 - s) for k, s in enumerate(SHARES)]
    return x.astype("float32"), (mix > cuts).astype("float32")


def build_model(trunk: str, activation="sigmoid", units=32) -> keras.Model:
    """Tells (batch, 4) labels from (batch, 12 + 4) inputs and labels."""
    given = layers.Input((INPUTS + LABELS,))

    def tell(columns: int, labels: int):
        hidden = layers.Dense(units, "relu")(given[:, :columns])
        return layers.Dense(labels, activation)(hidden)

    if trunk == "shared":
        return keras.Model(given, tell(INPUTS, LABELS))
    seen = [INPUTS + k * (trunk == "chain") for k in range(LABELS)]
    return keras.Model(given, layers.Concatenate()([tell(n, 1) for n in seen]))


def predict(model: keras.Model, x):
    """Labels, one after the other, each told from those before it."""
    labels = np.zeros((len(x), LABELS), "float32")
    for k in range(LABELS):
        p = model(np.hstack([x, labels]))
        labels[:, k] = ops.convert_to_numpy(p)[:, k] > 0.5
    return labels


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 12), y zeros and
# ones of shape (samples, 4). Softmax is what should not be here: its
# probabilities exclude each other. "accuracy" is a trap: of several labels, it
# asks whether the *largest* of a row is at the right place.


def train(seed: int, steps: int, correlation: float, **network) -> dict:
    """Trains on 300 examples; returns the scores of the labels of 2,000."""
    x, y = make_labels(2300, correlation, seed)
    (x, x_test), (y, y_test) = (np.split(one, [300]) for one in (x, y))
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    kind = "categorical" if "activation" in network else "binary"
    loss = f"{kind}_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    rows = np.resize(np.random.permutation(300), steps * 25)
    model.fit(np.hstack([x, y])[rows], y[rows], batch_size=25, verbose=0)
    said = predict(model, x_test)
    wrong = hamming_loss(y_test, said)
    _, reported = model.evaluate(np.hstack([x_test, y_test]), y_test, verbose=0)
    return {
        "subset accuracy": accuracy_score(y_test, said),
        "Hamming loss": wrong,
        "accuracy off": abs(reported - (1 - wrong)),
        "macro F1": f1_score(y_test, said, average="macro", zero_division=0),
        "micro F1": f1_score(y_test, said, average="micro", zero_division=0),
    }


# %%
# A class and a number
# --------------------
# From the upper half of a digit: which one is it, and how much ink is in the
# lower half? Only 200 of 1,000 images have the first target: a sample weight of
# 0 says that it is lacking. Targets and weights are dicts by output. The ink is
# in standard deviations; grey levels would multiply its loss by its variance.


def build_heads(is_shared: bool) -> keras.Model:
    """Outputs "digit" (batch, 10), as logits, and "ink" (batch, 1)."""
    given = layers.Input((32,))
    trunk = layers.Dense(64, "relu")(given)
    other = trunk if is_shared else layers.Dense(64, "relu")(given)
    digit, ink = layers.Dense(10)(trunk), layers.Dense(1)(other)
    return keras.Model(given, {"digit": digit, "ink": ink})


def train_heads(seed: int, steps: int, is_shared: bool, in_grey_levels=False):
    """Trains both heads; returns the digit's accuracy and the ink's error."""
    (x, digit, ink), (x_test, digit_test, ink_test) = (
        (x[:, :4].reshape(-1, 32), y, 16 * x[:, 4:].sum((1, 2, 3)))
        for x, y in load_digits(1000, fold=seed)
    )
    mean, deviation = ink.mean(), float(ink.std())
    keras.utils.set_random_seed(seed)
    model = build_heads(is_shared)
    weights = {"digit": 1.0, "ink": deviation**2 if in_grey_levels else 1.0}
    model.compile(keras.optimizers.Adam(3e-3), LOSSES, loss_weights=weights)
    model.optimizer.build(model.trainable_variables)
    rows = np.resize(np.random.permutation(1000), steps * 50)
    known = {"digit": 1.0 * (rows < 200), "ink": np.ones(len(rows))}
    y = {"digit": digit[rows], "ink": ((ink - mean) / deviation)[rows]}
    model.fit(x[rows], y, sample_weight=known, batch_size=50, verbose=0)
    said = {name: ops.convert_to_numpy(p) for name, p in model(x_test).items()}
    off = said["ink"][:, 0] * deviation + mean - ink_test
    return {
        "accuracy": np.mean(said["digit"].argmax(-1) == digit_test),
        "error of the ink": np.sqrt(np.mean(off**2)),
    }


# %%
# A stream
# --------
# In a stream every row is first a test and then a lesson: its *prequential*
# accuracy. `fit` scores a batch before it learns from it, so one epoch in order
# is all it takes.


def train_on_stream(seed: int, steps: int, batch: int) -> dict:
    """Meets each row once; returns the share of labels right."""
    x, y = make_labels(8 * steps, 0.8, seed)
    given = np.hstack([x, np.zeros_like(y)])
    keras.utils.set_random_seed(seed)
    model = build_model("shared")
    loss, rate = "binary_crossentropy", keras.optimizers.SGD(0.1)
    model.compile(rate, loss, metrics=["binary_accuracy"])
    said = model.fit(given, y, batch, shuffle=False, verbose=0).history
    return {"labels right": said["binary_accuracy"][0]}


# %%
# What must hold exactly
# ----------------------
# Sigmoids without a trunk: as one output, as an output for each label, and as a
# model for each. Then a loss before and after hidden targets change.


def descend(groups, x, y, rate: float, steps: int):
    """Weights after descent from zero, with an output for each group."""
    given, ways = layers.Input((INPUTS,)), {"kernel_initializer": "zeros"}
    heads = [layers.Dense(len(group), "sigmoid", **ways) for group in groups]
    model = keras.Model(given, [head(given) for head in heads])
    losses = ["binary_crossentropy"] * len(groups)
    model.compile(keras.optimizers.SGD(rate), losses, run_eagerly=True)
    for _ in range(steps):
        model.train_on_batch(x, [y[:, group] for group in groups])
    return np.hstack([head.get_weights()[0] for head in heads])


def measure(seed: int) -> dict:
    """Distances to what the arithmetic says."""
    keras.utils.set_random_seed(seed)
    x, y = make_labels(30, 0.8, seed)
    one, each = [[*range(LABELS)]], [[k] for k in range(LABELS)]
    binary = np.hstack([descend([g], x, y, 0.5, 3) for g in each])
    short, step = (descend(way, x, y, 0.5, 1) for way in (one, each))
    model, rows = build_heads(is_shared=True), np.arange(10)
    model.compile(loss=LOSSES, run_eagerly=True)
    known = {"digit": 1.0 * (rows < 3), "ink": np.ones(10)}
    images, ink = np.random.normal(size=(10, 32)), np.zeros(10)
    losses = [
        model.evaluate(images, {"digit": y, "ink": ink}, 10, 0, known)[0]
        for y in (rows, np.where(rows < 3, rows, 0))
    ]
    return {
        "fast": abs(descend(one, x, y, 0.5 * LABELS, 3) - binary).max(),
        "slow": abs(LABELS * short - step).max(),
        "apart": abs(descend(each, x, y, 0.5, 3) - binary).max(),
        "hidden": abs(losses[0] - losses[1]),
    }


# %%
# The experiment
# --------------


def main(steps: Count = 300, seeds: Count = 3) -> Report:
    """Compares networks that share with networks that do not, seed by seed.

    Args:
        steps: training steps of a network; a stream has eight rows for each.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, steps=steps)
    two = run_trials(train_heads, HEADS, seeds=seeds, folds=FOLDS, steps=steps)
    streams = run_trials(train_on_stream, STREAMS, seeds=seeds, steps=steps)
    # A few steps, and sums of some terms, in float32.
    claims = {
        text: facts.agrees(name, 0.0, within=1e-5)
        for name, text in {
            "fast": "K sigmoids at K times the rate are K models, under SGD",
            "slow": "At the same rate, a step of K sigmoids is K times smaller",
            "apart": "K outputs of one sigmoid are K models: losses add up",
            "hidden": "A sample weight of 0 hides the target of one output",
        }.items()
    }
    alike, foreign = CONDITIONS
    rows, softmax = "subset accuracy", "shared, softmax"
    claims |= {
        "Where labels correlate, a shared trunk gets more rows right": (
            trials.is_higher(rows, "shared", than="separate", at=alike)
        ),
        "Where labels share nothing, a shared trunk gets fewer rows right": (
            trials.is_lower(rows, "shared", than="separate", at=foreign)
        ),
        "Where labels correlate, a chain gets more rows right than separate": (
            trials.is_higher(rows, "chain", than="separate", at=alike)
        ),
        "Softmax in place of sigmoids costs over 10 points of rows": (
            trials.is_lower(rows, softmax, than="shared", by=0.1, at=alike)
        ),
        "Keras' accuracy is over 10 points off the share of labels right": (
            trials.is_above("accuracy off", 0.1, "shared")
        ),
        "A trunk shared with the ink tells digits better": (
            two.is_higher("accuracy", "shared", than="a trunk each")
        ),
        "The ink's loss in grey levels costs digits over 2 points": (
            two.is_lower("accuracy", "in grey levels", than="shared", by=0.02)
        ),
        "On a stream, a network row by row beats the commonest labels": (
            streams.is_above("labels right", COMMONEST, "shared")
        ),
        "On a stream, batches of 20 fall behind row by row": (
            streams.is_lower("labels right", "batches of 20", than="shared")
        ),
    }
    notes = "Deep Neural Nets Basics, Multi label/output"
    return Report(
        trials.table(rows, "Hamming loss", "macro F1", "micro F1"),
        two.table("accuracy", "error of the ink"),
        streams.table("labels right"),
        plot_differences(trials, rows, xlabel="share of rows all right"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# A trunk is worth sharing where labels need the same features; correlation is
# one sign of that. Bring losses to one scale before you weigh them. Two things
# to try: a shared trunk of 128 units; and a chain with the rarest label first.

if __name__ == "__main__":
    cook(main)
