"""
Bidirectional layers and their merge modes
==========================================

A recurrent layer that reads forward knows the past of each step alone. Where
the answer lies ahead, a second layer reads the sequence backwards, and at every
step the two are merged.

With :math:`\\overrightarrow h_t` and :math:`\\overleftarrow h_t` after reading
up to step :math:`t` from the left and from the right,

.. math::

   \\overrightarrow h_t + \\overleftarrow h_t, \\quad
   \\overrightarrow h_t \\odot \\overleftarrow h_t, \\quad
   \\frac 1 2 (\\overrightarrow h_t + \\overleftarrow h_t), \\quad
   [\\overrightarrow h_t, \\overleftarrow h_t]

are the merge modes sum, mul, ave and concat; None hands out both. A layer with
``go_backwards=True`` gives its outputs in the order in which it made them, the
last step first: who merges by hand must reverse them. Tutorials have a running
sum pass a fixed threshold, for which the past is enough; here it must pass a
share of the whole sum.

:question: My network must label each step, and the clue comes later. How?
:level: intermediate
:notes: Deep Learning Models, BRNN
:papers: Schuster and Paliwal 1997, https://doi.org/10.1109/78.650093
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import make_marked_words, make_share_of_sum
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "forward": {"reading": "forward"},
    "backward": {"reading": "backward"},
    "concat": {"reading": "concat"},
    "sum": {"reading": "sum"},
    "mul": {"reading": "mul"},
    "ave": {"reading": "ave"},
    "concat, not reversed": {"reading": "not reversed"},
}
CONDITIONS = {
    "share of the sum": {"decided_by": "sum"},
    "tag told by the next mark": {"decided_by": "next"},
}
# Where the two sides meet, for a tag that neither of them tells alone.
MEETINGS = {
    "concat": {"reading": "concat"},
    "mul": {"reading": "mul"},
    "concat, hidden layer": {"reading": "concat", "hidden": True},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["forward", "concat"],
    "conditions": ["share of the sum"],
}
FULL = {"epochs": 10, "seeds": 10}

LENGTH, UNITS = 12, 12

# %%
# The network
# -----------
# Layers that read one way have twice the units: as wide as concat, with more
# weights. One Dense layer labels a step from what is said there.


def build_model(words: bool, reading: str, hidden=False) -> keras.Model:
    """Labels each step of (batch, 12) words or (batch, 12, 1) numbers."""
    inputs = keras.Input((LENGTH,) if words else (LENGTH, 1))
    x = layers.Embedding(11, 8)(inputs) if words else inputs

    def read(units, **arguments):
        return layers.LSTM(units, return_sequences=True, **arguments)(x)

    if reading == "forward":
        h = read(2 * UNITS)
    elif reading == "backward":
        h = ops.flip(read(2 * UNITS, go_backwards=True), axis=1)
    elif reading == "not reversed":
        h = ops.concatenate([read(UNITS), read(UNITS, go_backwards=True)], -1)
    else:
        lstm = layers.LSTM(UNITS, return_sequences=True)
        h = layers.Bidirectional(lstm, merge_mode=reading)(x)
    if hidden:
        h = layers.Dense(16, activation="relu")(h)
    return keras.Model(inputs, layers.Dense(1)(h))


# %%
# One trial
# ---------
# Put your own sequences in the first lines: x of shape (samples, steps) or
# (samples, steps, features), y of zeros and ones and weights of shape (samples,
# steps): marks have weight 0, for only words have a tag.


def train(seed: int, epochs: int, decided_by: str, **network) -> dict:
    """Trains one variant on 2,000 sequences, tests it on 1,000 others."""
    if decided_by == "sum":
        x, y, weights = make_share_of_sum(3000, LENGTH, seed=seed)
    else:
        x, y, weights = make_marked_words(3000, LENGTH, decided_by, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(decided_by != "sum", **network)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(
        x[:2000],
        y[:2000, :, None],
        sample_weight=weights[:2000],
        batch_size=100,
        epochs=epochs,
        verbose=0,
    )
    logits = ops.convert_to_numpy(model(x[2000:]))[:, :, 0]
    right, weights = (logits > 0) == y[2000:], weights[2000:]
    # The first and last step of words are marks: no word, no accuracy.
    inner = np.average(right[:, 1:-1], axis=0, weights=weights[:, 1:-1])
    accuracy = np.average(right, weights=weights)
    return {
        "accuracy": accuracy,
        "solved": accuracy > 0.95,
        "curves": {"accuracy by step": inner},
    }


# %%
# What must hold exactly
# ----------------------
# Every merge mode against two layers by hand with the same weights, and those
# without the reversal. Some sequences end early, padded on the right: under a
# mask the backward layer waits and begins at the last real step, without one
# it reads the padding first. Bidirectional gives zeros at masked steps; a layer
# by itself repeats its last output unless `zero_output_for_mask` is set.


def merge(forward, backward, mode: str | None):
    """What the formula says; None is put side by side, to compare it."""
    if mode in ("concat", None):
        return np.concatenate([forward, backward], axis=-1)
    if mode == "mul":
        return forward * backward
    return (forward + backward) / (2 if mode == "ave" else 1)


def measure(seed: int) -> dict:
    """Bidirectional against two LSTMs, then without reversal or mask."""
    generator = np.random.default_rng(seed)
    real = np.arange(6) < generator.integers(2, 6, (20, 1))
    x = generator.normal(size=(20, 6, 3)) * real[:, :, None]
    masks = {"off": None, "off under a mask": ops.convert_to_tensor(real)}

    def read(layer, score):
        y = layer(x.astype("float32"), mask=masks[score])
        return keras.tree.map_structure(ops.convert_to_numpy, y)

    way = {"return_sequences": True, "zero_output_for_mask": True}
    pair = [
        layers.LSTM(UNITS, go_backwards=back, **way) for back in (False, True)
    ]
    for layer in pair:
        layer.build(x.shape)
        # All at random: biases of zero would hide what padding does.
        shapes = [weight.shape for weight in layer.weights]
        layer.set_weights([generator.normal(size=size) for size in shapes])
    by_hand = {score: [read(layer, score) for layer in pair] for score in masks}
    scores = dict.fromkeys(masks, 0.0)
    for mode in ("sum", "mul", "ave", "concat", None):
        lstm = layers.LSTM(UNITS, return_sequences=True)
        both = layers.Bidirectional(lstm, merge_mode=mode)
        both.build(x.shape)
        both.set_weights([w for layer in pair for w in layer.get_weights()])
        for score, (forward, backward) in by_hand.items():
            outputs = read(both, score)
            if mode is None:
                outputs = np.concatenate(outputs, -1)
            right = merge(forward, backward[:, ::-1], mode)
            worst = np.abs(outputs - right).max()
            scores[score] = max(scores[score], worst)
        scores[f"{mode} width"] = outputs.shape[-1] / UNITS
    # Errors at the real steps, as a share of the size of what is right there.
    (forward, blind), (_, backward) = by_hand.values()
    wrong = {"not reversed": backward, "without mask": blind[:, ::-1]}
    right = merge(forward, backward[:, ::-1], "concat")[real]
    for score, other in wrong.items():
        error = merge(forward, other, "concat")[real] - right
        scores[score] = np.linalg.norm(error) / np.linalg.norm(right)
    return scores


# %%
# The experiment
# --------------


def main(epochs: Count = 4, seeds: Count = 3) -> Report:
    """Compares directions and merge modes, seed by seed.

    Args:
        epochs: passes over 2,000 sequences.
        seeds: paired repetitions of every variant, each with new sequences.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    pairs = run_trials(
        train, MEETINGS, seeds=seeds, epochs=epochs, decided_by="both"
    )
    notes = "Deep Learning Models, BRNN"
    total, future = CONDITIONS
    claims = {
        "Each merge mode is two LSTMs, the second one reversed": (
            # The same sums, perhaps in another kernel, of numbers below one.
            facts.agrees("off", 0.0, within=1e-6)
        ),
        "Under a mask, too, a merge mode is two LSTMs": (
            facts.agrees("off under a mask", 0.0, within=1e-6)
        ),
        "Concat doubles the width": facts.agrees("concat width", 2, within=0.0),
        "Not reversed, outputs are off by more than half their size": (
            facts.is_above("not reversed", 0.5)
        ),
        "Without a mask, padding puts them off by more than a tenth": (
            facts.is_above("without mask", 0.1)
        ),
        "On a share of the sum, bidirectional beats forward": (
            trials.is_higher("accuracy", "concat", than="forward", at=total)
        ),
        "Where the future decides, bidirectional beats forward": (
            trials.is_higher("accuracy", "concat", than="forward", at=future)
        ),
        "Where the future decides, forward loses to backward": (
            trials.is_lower("accuracy", "forward", than="backward", at=future)
        ),
        "Where the future decides, forward only guesses, within 3 points": (
            trials.is_below("accuracy", 0.53, "forward", at=future)
        ),
        "Where it decides, bidirectional is right in 95 % in most seeds": (
            trials.share("solved", "concat", at_least=0.5, at=future)
        ),
        **{
            f"Concat is the best mode: better than {mode}": (
                trials.is_higher("accuracy", "concat", than=mode)
            )
            for mode in ("sum", "mul", "ave")
        },
        "Where only both marks tell, concat is better than mul as well": (
            pairs.is_higher("accuracy", "concat", than="mul")
        ),
        "Where only both marks tell, concat beats guessing by 3 points": (
            pairs.is_above("accuracy", 0.53, "concat")
        ),
        "Where only both marks tell, a hidden layer behind concat helps": (
            pairs.is_higher("accuracy", "concat, hidden layer", than="concat")
        ),
        "Forgetting the reversal costs more than 10 points of accuracy": (
            trials.is_lower(
                "accuracy", "concat, not reversed", than="concat", by=0.1
            )
        ),
    }
    return Report(
        trials.table("accuracy"),
        pairs.table("accuracy"),
        facts.table("off", "off under a mask", "not reversed", "without mask"),
        plot_curves(
            trials,
            "accuracy by step",
            variants=["forward", "backward", "concat", "concat, not reversed"],
            xlabel="step (the first and the last are left out)",
            ylabel="accuracy at this step",
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Take a bidirectional layer where the whole sequence is there before an answer
# is due; a stream that is answered as it comes has no future to read. The
# curves say where in a sequence the other side is missed. Sum, ave and concat
# before one Dense layer only *add* what the two sides say, mul multiplies; a
# hidden layer can do either. For one answer a sequence leave out
# `return_sequences`: at the last *step* the backward layer has read one step.
# Two things to try: a running sum that passes 3, the tutorials' task, with
# forward alone; and twelve units for "forward", to see what its width is worth.

if __name__ == "__main__":
    cook(main)
