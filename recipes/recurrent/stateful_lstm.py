"""
Stateful LSTM: a memory that outlives its window
================================================

A long series is cut into windows, and an LSTM begins each with a state of
zeros: it forgets all that came before. With ``stateful=True`` it begins window
:math:`w` where the same row of the batch before ended, after :math:`T` steps:

.. math:: (h_0, c_0)^{(w)} = (h_T, c_T)^{(w - 1)}

The state is carried on; the gradient is not, it ends at the window's edge.
Batches must come in order, the state has to be reset where a sequence begins,
and the batch size is fixed. In Keras 3.15 ``stateful=True`` does not even do
the same on every backend. That is measured here, beside a form with explicit
state that works on all three.

:question: My series is cut into windows. How does an LSTM remember across them?
:level: advanced
:notes: Deep Learning Models, Needs to reset internal states;
    Deep Learning Models, Stateful vs Stateless;
    Deep Learning Models, Using batch size for LSTM in Keras
:papers: Williams and Peng 1990, https://doi.org/10.1162/neco.1990.2.4.490
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.callbacks import ResetStates, reset_model_states
from kerasrecipes.datasets import cut_windows, make_distant_cue
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "stateless": {"layer": "stateless", "reset": False},
    "stateful": {"layer": "stateful"},
    "never reset": {"layer": "stateful", "reset": False},
    "shuffled": {"layer": "stateful", "shuffle": True},
    "explicit state": {"layer": "explicit state"},
}
CONDITIONS = {"unmarked cue": {"marked": False}, "marked cue": {"marked": True}}
KINDS = {name: {"layer": name} for name in ("stateful", "explicit state")}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["stateless", "stateful", "explicit state"],
    "conditions": ["unmarked cue"],
}
FULL = {"epochs": 20, "seeds": 10}
STEPS, WINDOWS = 3, 10  # in a window, and in a sequence
BATCH, UNITS = 64, 24
LOSS = keras.losses.BinaryCrossentropy(from_logits=True)

# %%
# State that you carry yourself
# -----------------------------
# An LSTM takes an `initial_state`, and with `return_state` it says where it
# ended. This layer keeps that in weights that no optimizer touches, which
# Keras carries from batch to batch on every backend.


class CarriedLSTM(layers.Layer):
    """An LSTM that begins each batch where it ended the batch before."""

    stateful = True  # so that ResetStates finds it

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.lstm = layers.LSTM(units, return_state=True)

    def build(self, input_shape):
        shape = (input_shape[0], self.lstm.units)  # (batch, units)
        h, c = (self.add_weight(shape, "zeros", trainable=False) for _ in "hc")
        self.states = [h, c]
        self.lstm.build(input_shape)

    def call(self, inputs):
        # Copies: PyTorch needs the old values again for the gradient.
        before = [ops.copy(state) for state in self.states]
        outputs, *after = self.lstm(inputs, initial_state=before)
        for state, value in zip(self.states, after, strict=True):
            state.assign(value)
        return outputs

    def reset_state(self):
        for state in self.states:
            state.assign(ops.zeros(state.shape))


# %%
# The network
# -----------
# A state has a row for each row of a batch, so `Input` is told the batch size.


def build_model(layer: str, batch_size=BATCH, steps=STEPS, **options):
    """Says yes (above 0) or no to windows of shape (batch, steps, 2)."""
    recurrent = {
        "stateless": lambda: layers.LSTM(UNITS),
        "stateful": lambda: layers.LSTM(UNITS, stateful=True, **options),
        "explicit state": lambda: CarriedLSTM(UNITS),
    }
    inputs = layers.Input((steps, 2), batch_size=batch_size)
    return keras.Sequential([inputs, recurrent[layer](), layers.Dense(1)])


# %%
# One trial
# ---------
# The task is impossible without carried state: random signs, and after every
# window the question is which sign was the first of its whole sequence, the
# cue. A second feature marks it, or its place alone does. Put your own data in
# the second line: x of shape (sequences, steps, features), y of shape
# (sequences,). Accuracy is that of all windows but the first.


def train(
    seed: int,
    epochs: int,
    marked: bool,
    layer: str,
    reset: bool = True,
    shuffle: bool = False,
) -> dict:
    """Trains one variant; returns its accuracies on new sequences."""
    steps = WINDOWS * STEPS  # five windows more show how they go on
    x, y = make_distant_cue(4 * BATCH, steps + 5 * STEPS, marked, seed)
    new = make_distant_cue(5 * BATCH, steps, marked, 10_000 + seed)
    keras.utils.set_random_seed(seed)
    # PyTorch cannot train its fast LSTM with state: see below.
    options = {"use_cudnn": False} if layer == "stateful" else {}
    model = build_model(layer, **options)
    model.compile(keras.optimizers.Adam(0.015), LOSS)
    callbacks = [ResetStates(every=WINDOWS)] if reset else []
    model.fit(
        *cut_windows(x[:, :steps], y, WINDOWS, BATCH),
        batch_size=BATCH,
        epochs=epochs,
        shuffle=shuffle,  # Keras' default is True
        callbacks=callbacks,
        verbose=0,
    )
    accuracy = score(model, *new, callbacks)[1:].mean()

    # What follows on training sequences: from a fresh state, and after their
    # training windows have been predicted.
    x, y = x[:BATCH], y[:BATCH]
    cold = score(model, x[:, steps:], y, callbacks).mean()
    score(model, x[:, :steps], y, callbacks)
    gain = score(model, x[:, steps:], y, []).mean() - cold
    solved = accuracy > 0.95
    return {"accuracy": accuracy, "solved": solved, "gain by seeding": gain}


def score(model: keras.Model, x, y, callbacks: list):
    """Share of right answers after the first, second, ... window."""
    windows = x.shape[1] // STEPS
    x, y = cut_windows(x, y, windows, BATCH)
    said = model.predict(x, BATCH, callbacks=callbacks, verbose=0)[:, 0] > 0
    return (said == y).reshape(-1, windows, BATCH).mean((0, 2))


# %%
# Where state survives
# --------------------
# Four ways to run a network: 1 where its state is there afterwards, 0 where it
# is lost, -1 where there is an error. In Keras 3.15, on a CPU, TensorFlow keeps
# it. On JAX a compiled function changes only the variables that it is given,
# without the states: they are lost, and nothing says so. On PyTorch the fast
# LSTM overwrites them before its gradient has used them, and ``fit`` fails;
# ``use_cudnn=False`` takes the plain one, which copies them first.

# Direct call, predict, evaluate, fit; all are 1 on TensorFlow.
EXPECTED = {"jax": [1, 0, 0, 0], "torch": [1, 1, 1, -1]}


def survive(seed: int, layer: str) -> dict:
    """What a layer carries, and whether windows make up the sequence."""
    x = np.random.default_rng(seed).normal(size=(4, 3 * STEPS, 2))
    windows, y = cut_windows(x, np.zeros(4), 3, batch_size=4)
    keras.utils.set_random_seed(seed)
    model = build_model(layer, batch_size=4)
    model.compile("sgd", "mse")
    ways = {
        "direct call": lambda: model(windows[:4]),
        "predict": lambda: model.predict(windows, 4, verbose=0),
        "evaluate": lambda: model.evaluate(windows, y, 4, verbose=0),
        "fit": lambda: model.fit(windows, y, 4, shuffle=False, verbose=0),
    }
    found = {}
    for way, run in ways.items():
        reset_model_states(model)
        try:
            run()
            states = map(ops.convert_to_numpy, model.layers[0].states)
            found[way] = int(any(map(np.any, states)))
        except RuntimeError:
            found[way] = -1
    where = keras.config.backend() if layer == "stateful" else layer
    known = EXPECTED.get(where, [1, 1, 1, 1])

    # The same weights over whole sequences, and in a twin for batches of one.
    whole = build_model("stateless", 4, 3 * STEPS)
    twin = build_model(layer, batch_size=1)
    for other in (whole, twin):
        for number, weight in enumerate(model.trainable_variables):
            other.trainable_variables[number].assign(weight)
    outputs = call_windows(model, x)
    alone = [call_windows(twin, row[None])[0] for row in x]
    return {
        **found,
        "surprises": list(found.values()) != known,
        "whole, off": np.abs(outputs - ops.convert_to_numpy(whole(x))).max(),
        "twin, off": np.abs(outputs - alone).max(),
    }


def call_windows(model: keras.Model, x):
    """Calls a network on one window after another; the last output."""
    reset_model_states(model)
    for window in np.split(x, 3, axis=1):
        output = model(window)
    return ops.convert_to_numpy(output)


# %%
# The experiment
# --------------


def main(epochs: Count = 16, seeds: Count = 3) -> Report:
    """Compares the variants, seed by seed.

    Args:
        epochs: passes over 256 sequences of ten windows.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(survive, KINDS)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    notes = "Deep Learning Models, Needs to reset internal states"
    unmarked, marked = CONDITIONS
    costs = {"than": "stateful", "by": 0.2}
    claims = {
        "Window by window, carried state equals one whole sequence": (
            # Float32 through nine steps is good for 1e-7.
            facts.agrees("whole, off", 0.0, within=1e-6)
        ),
        "With its weights in a twin, batches of one give the same": (
            facts.agrees("twin, off", 0.0, within=1e-6)
        ),
        "stateful=True carries state where Keras 3.15 is known to": (
            facts.agrees("surprises", 0, "stateful", within=0)
        ),
        "Explicit state survives call, predict, evaluate and fit": (
            facts.agrees("surprises", 0, "explicit state", within=0)
        ),
        "A stateless network is at chance: below 0.55": (
            trials.is_below("accuracy", 0.55, "stateless")
        ),
        "A stateful one is above 0.95 in most seeds": (
            trials.share("solved", "stateful", at_least=0.5)
        ),
        "One with explicit state is above 0.95 in most seeds": (
            trials.share("solved", "explicit state", at_least=0.5)
        ),
        "State needs to be reset: never doing so costs more than 0.2": (
            trials.is_lower("accuracy", "never reset", at=unmarked, **costs)
        ),
        "Never resetting costs that where a mark says what begins, too": (
            trials.is_lower("accuracy", "never reset", at=marked, **costs)
        ),
        "Shuffled windows cost more than 0.2": (
            trials.is_lower("accuracy", "shuffled", **costs)
        ),
        "Seeding with the training windows before predicting helps": (
            trials.is_above("gain by seeding", 0.0, "explicit state")
        ),
    }
    return Report(
        trials.table("accuracy", "solved", "gain by seeding"),
        facts.table("direct call", "predict", "evaluate", "fit"),
        plot_differences(trials, "accuracy", xlabel="accuracy after window 1"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# If your sequences fit into memory, feed them whole: the gradient then reaches
# back to the start. Carry state where a series is long or still arriving, reset
# it where sequences begin, in training and in prediction, and do not shuffle.
# Two things to try: ask for the first sign after the last window only, where a
# gradient that ends at the window's edge has nothing to learn from; and make
# the state an input and an output of the model, for any batch size.

if __name__ == "__main__":
    cook(main)
