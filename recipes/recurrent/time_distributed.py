"""
TimeDistributed: one layer at every step, and its masks
=======================================================

``TimeDistributed`` applies one layer, with one set of weights, to every step of
a sequence. With a layer :math:`f_\\theta`,

.. math::

   y_t = f_\\theta(x_t), \\qquad t = 1, \\dots, T

The notes say that Dense behind an LSTM flattens the sequence unless wrapped.
Today's Dense works on the last axis, and the wrapper changes nothing; it is for
layers that know no time, such as a ConvNet for the frames of a clip.

:question: When do I need TimeDistributed, and what happens to my mask?
:level: intermediate
:notes: Deep Learning Models, TimeDistributed
:backends: tensorflow, jax, torch
:before: normalization/local_response
"""

import functools
import warnings

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_digit_clips
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "last state": {"head": "last state"},
    "flattened": {"head": "flattened"},
    "time-distributed": {"head": "time-distributed"},
}
CONDITIONS = {
    "one sequence, as in the notes": {"fresh": False, "rate": 1e-3},
    "new sequences at every update": {"fresh": True, "rate": 1e-2},
}
CLIPS = {
    "time-distributed": {"lost": False},
    "time-distributed, mask lost": {"lost": True},
}
QUICK = {
    "updates": 20,
    "epochs": 1,
    "seeds": 1,
    "variants": ["last state", "time-distributed"],
    "conditions": ["one sequence, as in the notes"],
}
FULL = {"updates": 1000, "epochs": 16, "seeds": 10}

# %%
# The notes' example
# ------------------
# An LSTM of five units reads five numbers, which come back all from the last
# state, all from all states side by side, or each from the state of its step.


def build_model(head: str) -> keras.Model:
    """Maps (batch, 5, 1) numbers to (batch, 5)."""
    lstm = layers.LSTM(5, return_sequences=head != "last state")
    heads = [layers.Flatten(), layers.Dense(5)]
    if head == "time-distributed":
        heads = [layers.TimeDistributed(layers.Dense(1)), layers.Flatten()]
    return keras.Sequential([layers.Input((5, 1)), lstm, *heads])


def train(seed: int, updates: int, fresh: bool, rate: float, head: str) -> dict:
    """Trains one head; an update is an epoch of the notes' one sequence."""
    generator = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    model = build_model(head)
    model.compile(keras.optimizers.Adam(rate), "mse")
    errors = []
    for _ in range(updates):
        x = generator.random((20, 5)) if fresh else np.arange(5)[None] / 5
        model.reset_metrics()  # or the answer is the mean loss so far
        errors.append(float(model.train_on_batch(x[:, :, None], x)) ** 0.5)
    curve = np.reshape(errors, (-1, 10)).mean(axis=1)
    return {
        "updates to 0.05": np.sum(np.minimum.accumulate(errors) > 0.05),
        "error": np.mean(errors[-20:]),
        "weights": model.count_params() - 140,  # those of the LSTM
        "curves": {"error": np.maximum(curve, 0.001)},
    }


# %%
# Frames of a clip
# ----------------
# Put your own clips in the first line of `train_clips`: x of shape (samples,
# frames, features), zero in blank frames, y integers. One to four digits are
# shown, the largest is the label. A mask tells the LSTM where a clip ends, and
# is lost where `Masking` is wrapped, too. Tests add four more blank frames.


def build_reader(lost: bool) -> keras.Model:
    """Classifier of (batch, frames, 64) clips."""
    inputs = keras.Input((None, 64))
    masking = layers.Masking(0.0)
    h = layers.TimeDistributed(masking)(inputs) if lost else masking(inputs)
    for layer in (
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(32, activation="relu"),
    ):
        h = layers.TimeDistributed(layer)(h)
    return keras.Model(inputs, layers.Dense(10)(layers.LSTM(32)(h)))


def train_clips(seed: int, epochs: int, lost: bool) -> dict:
    """Trains one reader; returns its accuracy, and what padding costs."""
    (x, y), (x_test, y_test) = load_digit_clips(fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_reader(lost)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    right = []
    for padding in (0, 4):
        clips = np.pad(x_test, ((0, 0), (0, padding), (0, 0)))
        guesses = ops.convert_to_numpy(model(clips)).argmax(axis=-1)
        right.append(np.mean(guesses == y_test))
    return {"accuracy": right[0], "lost by padding": right[0] - right[1]}


# %%
# What must hold exactly
# ----------------------
# Dense on a sequence and its wrapped twin: outputs, and what one step of SGD
# with rate 1 takes off each weight, which is the gradient. Then who hands a
# mask on: a bidirectional RNN behind it gives zeros at masked steps.

LAYERS = {
    "Dense": lambda: layers.Dense(2),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(2)),
    "Dropout": lambda: layers.Dropout(0.5),
    "Conv1D": lambda: layers.Conv1D(2, 3),
    "MaxPooling1D": layers.MaxPooling1D,
}


def measure(seed: int) -> dict:
    """How far the wrapped Dense is off, and which layers keep a mask."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(8, 6, 3)).astype("float32")
    found, weights = [], None
    for head in (layers.Dense(2), layers.TimeDistributed(layers.Dense(2))):
        lstm = layers.LSTM(4, return_sequences=True)
        model = keras.Sequential([layers.Input((6, 3)), lstm, head])
        weights = weights or model.get_weights()
        model.set_weights(weights)
        outputs = ops.convert_to_numpy(model(x))
        model.compile(keras.optimizers.SGD(1.0), "mse")
        model.train_on_batch(x, x[:, :, :2])
        moved = map(np.subtract, weights, model.get_weights())
        found.append((outputs, np.concatenate([one.ravel() for one in moved])))
    off = [np.abs(one - two).max() for one, two in zip(*found, strict=True)]
    scores = dict(zip(("outputs off", "gradients off"), off, strict=True))
    x[:, 3:] = 0.0
    for name, make in LAYERS.items():
        gauge = layers.Bidirectional(layers.SimpleRNN(1, return_sequences=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras says what Conv1D destroys
            seen = ops.convert_to_numpy(gauge(make()(layers.Masking()(x))))
        scores[name] = np.all(seen[:, -3:] == 0)
    return scores | measure_documents(generator)


# %%
# Words in sentences in documents
# -------------------------------
# Three sentences of up to four words. A wrapped Embedding loses its mask in
# silence. A wrapped LSTM hands on the mask of words where one of sentences is
# due: TensorFlow and PyTorch refuse it, unless there are as many units as
# words: then it masks units. JAX masks a sentence if all of its words are.


def measure_documents(generator) -> dict:
    """What becomes of a mask within TimeDistributed and behind it."""
    lengths = generator.integers(0, 5, (20, 3, 1))
    words = generator.integers(1, 9, (20, 3, 4)) * (np.arange(4) < lengths)
    embedding = layers.Embedding(9, 4, mask_zero=True)
    lstm, document = layers.LSTM(4), layers.LSTM(4)
    wrapped = layers.TimeDistributed(lstm)
    kept = wrapped(embedding(words))
    loop = ops.stack([lstm(embedding(words[:, i])) for i in range(3)], axis=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lost = wrapped(layers.TimeDistributed(embedding)(words))
    right = document(loop, mask=ops.convert_to_tensor(lengths[:, :, 0] > 0))
    pairs = {
        "kept mask off": (kept, loop),
        "lost mask off": (lost, loop),
        "words' mask off": (document(kept), right),
        "Masking(0) off": (document(layers.Masking(0.0)(kept)), right),
    }
    scores = {"warnings": sum("mask" in str(one.message) for one in caught)}
    for score, pair in pairs.items():
        wrong, right = map(ops.convert_to_numpy, pair)
        scores[score] = np.linalg.norm(wrong - right) / np.linalg.norm(right)
    return scores


# %%
# The experiment
# --------------


def main(updates: Count = 700, epochs: Count = 10, seeds: Count = 3) -> Report:
    """Compares heads, and readers of clips, seed by seed.

    Args:
        updates: training steps of a head, a multiple of ten.
        epochs: passes over 1,000 clips.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    heads = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, updates=updates
    )
    clips = run_trials(
        train_clips, CLIPS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    notes = "Deep Learning Models, TimeDistributed"
    one, new = CONDITIONS
    last, flat, wrapped = VARIANTS
    kept, lost = CLIPS
    # The same products of numbers of order one, perhaps summed otherwise.
    agrees = functools.partial(facts.agrees, within=1e-6)
    weights = functools.partial(heads.agrees, "weights", within=0.0)
    claims = {
        "Dense equals TimeDistributed(Dense)": agrees("outputs off", 0),
        "Their gradients are the same": agrees("gradients off", 0),
        "The head needs one weight a unit and a bias": weights(6, wrapped),
        "Without TimeDistributed it has 30 weights": weights(30, last),
        "Time-distributed needs more epochs on one sequence than last state": (
            heads.is_higher("updates to 0.05", wrapped, than=last, at=one)
        ),
        "Time-distributed needs more updates on new ones than last state": (
            heads.is_higher("updates to 0.05", wrapped, than=last, at=new)
        ),
        "Time-distributed needs more updates on new ones than flattened": (
            heads.is_higher("updates to 0.05", wrapped, than=flat, at=new)
        ),
        "TimeDistributed hands a mask on": agrees("TimeDistributed", 1),
        "Conv1D loses the mask": agrees("Conv1D", 0),
        "A wrapped LSTM is given its step's mask": agrees("kept mask off", 0),
        "A wrapped Embedding loses its mask unwarned": agrees("warnings", 0),
        "Unmasked, sentences are off by more than a tenth": (
            facts.is_above("lost mask off", 0.1)
        ),
        "The mask of words puts documents off by more than a tenth": (
            facts.is_above("words' mask off", 0.1)
        ),
        "A Masking(0) puts the lost mask right": agrees("Masking(0) off", 0),
        "A ConvNet at every frame beats logistic regression, 0.70": (
            clips.is_above("accuracy", 0.70, kept)  # see load_digit_clips
        ),
        "With a mask, more padding changes no answer": (
            clips.agrees("lost by padding", 0.0, kept, within=0.0)
        ),
        "A mask lost in TimeDistributed costs accuracy": (
            clips.is_lower("accuracy", lost, than=kept)
        ),
        "With the mask lost, more padding costs another 5 points": (
            clips.is_above("lost by padding", 0.05, lost)
        ),
    }
    return Report(
        heads.table("updates to 0.05", "error", "weights"),
        facts.table(*LAYERS),
        facts.table("kept mask off", "lost mask off", "words' mask off"),
        clips.table("accuracy", "lost by padding"),
        plot_curves(
            heads,
            "error",
            xlabel="updates, in tens",
            ylabel="root mean square error, at least 0.001",
            log=True,
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Dense needs no TimeDistributed, ConvNets do. Wrap each layer by itself: a
# whole `Sequential` gets the mask of its step, and warns that Conv2D destroys
# it. Make masks outside of the wrapper, or by `Masking(0)` behind a wrapped
# LSTM: where all is masked it gives zeros. The notes' epochs are those of one
# sequence. Two things to try: an echo one step late; longer clips in training.

if __name__ == "__main__":
    cook(main)
