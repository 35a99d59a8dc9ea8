"""
One-hot codes for categories
============================

A network works with numbers, and a category is a word: a country, a colour, a
kind of flower. To number the categories from 0 to :math:`K - 1` says too much,
that the third lies between the second and the fourth. A one-hot code says only
which one it is: category :math:`c` becomes the row :math:`e_c` with a one in
place :math:`c` and zeros elsewhere.

.. math::

   e_c^\\top W = W_c, \\qquad
   -\\sum_k (e_c)_k \\, \\log \\hat y_k = -\\log \\hat y_c

The left side is why an ``Embedding`` is a one-hot code times a matrix, without
the zeros; the right side is why ``sparse_categorical_crossentropy`` of integers
and ``categorical_crossentropy`` of one-hot rows are the same loss.

Here four Python packages are told apart by the first three words of their
docstrings. Labels are strings as well. The notes encode them by one function,
once for the training labels and once for the test labels: where a class is
missing in one of the two, that numbers them differently.

:question: My columns and labels are strings. How do they get into a network?
:level: beginner
:notes: Everything You Always Wanted to Know About Deep Learning,
    One hot encoding; Deep learning, wiki notes, One hot encoding
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_docstrings
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "one-hot": {"code": "one-hot"},
    "integer codes": {"code": "integer"},
    "embedding": {"code": "embedding"},
}
CONDITIONS = {
    "linear": {"hidden": 0},
    "64 hidden units": {"hidden": 64},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["one-hot", "integer codes"],
    "conditions": ["linear"],
}
FULL = {"epochs": 5, "seeds": 10}

LIBRARIES = np.array(["Keras", "Matplotlib", "NumPy", "scikit-learn"])
POSITIONS, WORDS = 3, 1000
SNIPPET = (
    "Everything You Always Wanted to Know About Deep Learning, One hot encoding"
)
WIKI = "Deep learning, wiki notes, One hot encoding"

# %%
# Strings to rows and back
# ------------------------
# The categories are part of what is learned: they are found once, in the
# training data, and used for whatever comes later. A category that was not
# there is an error that names it.


def one_hot(strings, categories) -> np.ndarray:
    """Rows of zeros and a one, of shape (samples, categories).

    Args:
        strings: array of shape (samples,).
        categories: sorted array of the strings that may occur.
    """
    unseen = np.setdiff1d(strings, categories)
    if unseen.size:
        raise ValueError(
            "Invalid value for argument `strings`: expected categories among "
            f"{categories.tolist()}. Received: {unseen.tolist()}"
        )
    places = np.searchsorted(categories, strings)
    return keras.utils.to_categorical(places, len(categories))


def from_one_hot(rows, categories) -> np.ndarray:
    """The strings of one-hot rows, or the likeliest of rows that add to 1."""
    return categories[np.argmax(rows, axis=-1)]


# %%
# The network
# -----------
# Words are numbered by how often they occur, 0 and 1 for none and for rare
# ones. That order is all that the integer codes have to say. An embedding and
# a Dense layer behind it multiply two matrices; without a hidden layer the
# product is no more than the one matrix of the one-hot code.


def build_model(code: str, hidden: int) -> keras.Model:
    """Classifier of (batch, 3) words."""
    words = keras.Input((POSITIONS,), dtype="int32")
    if code == "integer":
        x = layers.Rescaling(1 / (WORDS - 1))(words)
    elif code == "one-hot":
        x = ops.one_hot(words, WORDS)  # (batch, 3, 1000)
    else:
        x = layers.Embedding(WORDS, 16)(words)  # (batch, 3, 16)
    x = layers.Flatten()(x)
    if hidden:
        x = layers.Dense(hidden, activation="relu")(x)
    return keras.Model(words, layers.Dense(len(LIBRARIES))(x))


# %%
# One trial
# ---------
# Put your own data in the first line: x of integers and shape (samples,
# columns), y of strings.


def train(seed: int, epochs: int, code: str, hidden: int) -> dict:
    """Trains one network; its accuracy, and as the notes would count it."""
    (x, y), (x_test, y_test) = load_docstrings(
        fold=seed, length=POSITIONS, words=WORDS
    )
    y, y_test = LIBRARIES[y], LIBRARIES[y_test]
    categories = np.unique(y)
    keras.utils.set_random_seed(seed)
    model = build_model(code, hidden)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, one_hot(y, categories), 100, epochs, verbose=0)
    logits = ops.convert_to_numpy(model(x_test))
    # A test set without the first class, and its labels numbered on their own.
    kept = y_test != categories[0]
    apart = np.unique(y_test[kept], return_inverse=True)[1]
    said = from_one_hot(logits, categories)
    right = np.mean(said[kept] == y_test[kept])
    counted = np.mean(logits[kept].argmax(axis=-1) == apart)
    return {
        "accuracy": np.mean(said == y_test),
        "numbered apart": counted,
        "lost by numbering": right - counted,
    }


# %%
# What must hold exactly
# ----------------------


def measure(seed: int) -> dict:
    """Codes there and back, and two losses that are one."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    strings = generator.choice(LIBRARIES, 200)
    categories = np.unique(strings)
    rows = one_hot(strings, categories)
    places = rows.argmax(axis=-1)
    try:
        one_hot(["PyTorch", "NumPy"], categories)
        named = 0.0
    except ValueError as error:
        named = float(str(error).endswith("Received: ['PyTorch']"))

    # The same network learns from integers and from rows.
    x = generator.normal(size=(200, 6)).astype("float32")
    losses, weights = [], []
    for loss, y in (
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), places),
        (keras.losses.CategoricalCrossentropy(from_logits=True), rows),
    ):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([layers.Input((6,)), layers.Dense(4)])
        model.compile(keras.optimizers.SGD(0.1), loss)
        losses.append(model.fit(x, y, epochs=2, verbose=0).history["loss"])
        weights.append(model.get_weights()[0])

    embedding = layers.Embedding(9, 5)
    codes = generator.integers(0, 9, 30)
    looked_up = ops.convert_to_numpy(embedding(codes))
    product = np.eye(9)[codes] @ embedding.get_weights()[0]
    return {
        "wrong after the round trip": np.mean(
            from_one_hot(rows, categories) != strings
        ),
        "the unseen category is named": named,
        "losses": np.max(np.abs(np.subtract(*losses))),
        "weights": np.max(np.abs(np.subtract(*weights))),
        "embedding": np.max(np.abs(looked_up - product)),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 5, seeds: Count = 3) -> Report:
    """Compares codes of categories, seed by seed.

    Args:
        epochs: passes over the training docstrings.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    rows, integers, embedding = VARIANTS
    # Means of a few hundred float32 numbers, and sums of products of them.
    close = 1e-6
    snippet = {
        "One-hot rows tell their strings": (
            facts.agrees("wrong after the round trip", 0.0, within=0.0)
        ),
        "A category that was not in the training data is named": (
            facts.agrees("the unseen category is named", 1.0, within=0.0)
        ),
        "Sparse and categorical cross-entropy are equal while they train": (
            facts.agrees("losses", 0.0, within=close)
        ),
        "Sparse and categorical cross-entropy lead to the same weights": (
            facts.agrees("weights", 0.0, within=close)
        ),
        "Labels of a test set without the first class, numbered on their own, "
        "make a network look worse by over 20 points": (
            trials.is_above("lost by numbering", 0.2, rows)
        ),
    }
    codes = {
        "An embedding is a one-hot code times its matrix": (
            facts.agrees("embedding", 0.0, within=close)
        ),
    }
    for condition in CONDITIONS:
        codes |= {
            f"One-hot is better than integer codes by 10 points: {condition}": (
                trials.is_higher(
                    "accuracy", rows, than=integers, at=condition, by=0.1
                )
            ),
            f"An embedding does as well as one-hot, within 2 points: "
            f"{condition}": (
                trials.is_same(
                    "accuracy", embedding, than=rows, at=condition, within=0.02
                )
            ),
        }
    return Report(
        trials.table("accuracy", "numbered apart", "lost by numbering"),
        plot_differences(trials, "accuracy", xlabel="test accuracy"),
        *(Claim(text, found, SNIPPET) for text, found in snippet.items()),
        *(Claim(text, found, WIKI) for text, found in codes.items()),
    )


# %%
# What to make of it
# ------------------
# Take ``one_hot`` for labels, or leave them integers and take the sparse loss:
# the result is the same, and only the memory differs. For columns with few
# categories one-hot codes are the plain choice; with thousands, an embedding
# saves the zeros. Whatever you take, keep the categories beside the model. Two
# things to try: ``keras.layers.StringLookup``, which keeps them within the
# model; and integer codes of something that does have an order, such as sizes.

if __name__ == "__main__":
    cook(main)
