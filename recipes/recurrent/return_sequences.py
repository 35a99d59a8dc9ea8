"""
return_sequences and return_state: what an LSTM hands out
=========================================================

An LSTM carries two things from step to step: a *hidden state* :math:`h`, which
is its output, too, and a *cell state* :math:`c`, which it keeps to itself. With
gates :math:`f`, :math:`i` and :math:`o` between 0 and 1, and :math:`g` for what
is new,

.. math::

   c_t = f_t \\odot c_{t-1} + i_t \\odot g_t, \\qquad
   h_t = o_t \\odot \\tanh(c_t)

By default Keras hands out the last :math:`h` alone. ``return_sequences`` gives
:math:`h` of every step, ``return_state`` adds :math:`h` and :math:`c` of the
last one, and both may be asked for at the same time. The notes call the hidden
state what has been seen so far, and the cell state a selective memory: both
are asked here what they know.

:question: What do return_sequences and return_state give me, and when?
:level: beginner
:notes: Deep Learning Models, Mastery on return_sequence and return_state;
    Deep Learning Models, Hidden state vs cell state;
    Deep Learning Models, A good tutorial on LSTM
:papers: Hochreiter and Schmidhuber 1997,
    https://doi.org/10.1162/neco.1997.9.8.1735
:backends: tensorflow, jax, torch
:before: preparation/padding_and_masking
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.linear_model import LinearRegression

from kerasrecipes.datasets import make_adding_problem
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "h": {"reads": "h"},
    "c": {"reads": "c"},
    "stacked on every h": {"reads": "every h"},
    "stacked on h, repeated": {"reads": "repeated h"},
}
STATES = {"h": {"place": 0}, "c": {"place": 1}}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["h", "c"]}
FULL = {"seeds": 10}
LENGTH, UNITS = 16, 24
HALF = LENGTH // 2

# %%
# The networks
# ------------
# They differ in what the next layer is given. A second LSTM wants a sequence:
# every h, or one h repeated, as people do to be rid of the error message.


def build_model(reads: str) -> keras.Model:
    """Maps (batch, 16, 2) numbers and marks to (batch, 1)."""
    inputs = keras.Input((LENGTH, 2))
    if reads == "every h":
        sequence = layers.LSTM(UNITS, return_sequences=True)(inputs)
        found = layers.LSTM(UNITS)(sequence)
    else:
        _, h, c = layers.LSTM(UNITS, return_state=True)(inputs)
        found = c if reads == "c" else h
    if reads == "repeated h":
        found = layers.LSTM(UNITS)(layers.RepeatVector(LENGTH)(h))
    return keras.Model(inputs, layers.Dense(1)(found))


# %%
# One trial
# ---------
# The adding problem: a sequence of numbers, two of them marked, one in each
# half, and the answer is the sum of those two. Who always says 1 has an error
# of 0.41. Put your own data in the first line: x of shape (sequences, steps,
# features), y of shape (sequences, 1).


def train(seed: int, epochs: int, reads: str) -> dict:
    """Trains one network; returns its error on new sequences."""
    x, y = make_adding_problem(3000, LENGTH, seed)
    model = fit_model(x[:2000], y[:2000], seed, epochs, reads)
    error = ops.convert_to_numpy(model(x[2000:])) - y[2000:]
    return {"error": np.sqrt(np.mean(np.square(error)))}


def fit_model(x, y, seed: int, epochs: int, reads: str) -> keras.Model:
    """A trained network."""
    keras.utils.set_random_seed(seed)
    model = build_model(reads)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    return model


# %%
# What h and c know
# -----------------
# Keras hands out c of the last step alone; the formula in NumPy has them all.
# After each step a linear regression tries to read two numbers off the state:
# the first marked one, and an unmarked one of the same half, seen as long ago
# on average. Both are judged by the share of the number's variance that is
# told, on sequences that the regression was not fitted to.


def sigmoid(z):
    """A gate between 0 and 1."""
    return 1 / (1 + np.exp(-z))


def numpy_lstm(x, kernel, recurrent_kernel, bias):
    """States h and c after every step, each of shape (batch, steps, units)."""
    h = c = np.zeros((len(x), len(recurrent_kernel)))
    states = []
    for step in range(x.shape[1]):
        z = x[:, step] @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = np.split(z, 4, axis=1)  # in Keras' order
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append((h, c))
    return np.moveaxis(states, 0, 2)


def ask(seed: int, epochs: int, place: int) -> dict:
    """How much of two numbers a state of a trained LSTM tells, by step."""
    x, y = make_adding_problem(4000, LENGTH, seed)
    model = fit_model(x[:2000], y[:2000], seed, epochs, "h")
    x = x[2000:].astype("float64")
    state = numpy_lstm(x, *model.layers[1].get_weights())[place]
    marked = x[:, :HALF, 1].argmax(axis=1)

    def told(places):
        number = x[np.arange(len(x)), places, 0]
        return [
            LinearRegression()
            .fit(state[:1000, step], number[:1000])
            .score(state[1000:, step], number[1000:])
            for step in range(LENGTH)
        ]

    curves = {"marked": told(marked), "unmarked": told((marked + 1) % HALF)}
    # At half time the first half has been seen, and none of the second.
    scores = {name: curve[HALF - 1] for name, curve in curves.items()}
    more = scores["marked"] - scores["unmarked"]
    return {**scores, "marked over unmarked": more, "curves": curves}


# %%
# What must hold exactly
# ----------------------
# Layers with the same weights that hand out different things, against the
# formula. With `return_state` alone there are three outputs: h, then h again as
# a state, then c.

FACTS = {
    "every h": ("return_sequences gives h of every step, by the formula", 0),
    "c": ("return_state gives c of the last step, by the formula", 0),
    "o tanh(c)": ("The hidden state is h = o tanh(c)", 0),
    "last h": ("The last of the sequence is the state h", 0),
    "one by one": ("Both at the same time give what each of them gives", 0),
    "states of a GRU": ("A GRU returns one state: it has no c", 1),
    "refused": ("A second LSTM is refused without return_sequences", 1),
}


def run(layer, x) -> list:
    """All that a layer hands out, as a list of arrays."""
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(layer(x))]


def measure(seed: int) -> dict:
    """How far layers are from the formula, and from one another."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(20, 8, 3)).astype("float32")
    weights = [generator.normal(size=s) for s in ((3, 20), (5, 20), (20,))]

    def hand_out(**arguments):
        layer = layers.LSTM(5, **arguments)
        layer.build(x.shape)
        layer.set_weights(weights)
        return run(layer, x)

    def off(one, other):
        return np.abs(one - other).max()

    sequence, state = {"return_sequences": True}, {"return_state": True}
    every_h, h, c = hand_out(**sequence, **state)
    right_h, right_c = numpy_lstm(x, *weights)
    kernel, recurrent_kernel, bias = weights
    z = x[:, -1] @ kernel + every_h[:, -2] @ recurrent_kernel + bias
    one_by_one = [*hand_out(), *hand_out(**sequence), *hand_out(**state)]
    try:
        layers.LSTM(5)(layers.LSTM(5)(x))
        refused = False
    except ValueError:  # expected ndim=3, found ndim=2
        refused = True
    return {
        "every h": off(every_h, right_h),
        "c": off(c, right_c[:, -1]),
        "o tanh(c)": off(sigmoid(z[:, 15:]) * np.tanh(c), h),
        "last h": off(every_h[:, -1], h),
        "one by one": max(map(off, one_by_one, [h, every_h, h, h, c])),
        "states of a GRU": len(run(layers.GRU(5, **state), x)) - 1,
        "refused": refused,
        "c off h": np.linalg.norm(c - h) / np.linalg.norm(h),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 10, seeds: Count = 3) -> Report:
    """Compares what is handed out, and what it knows, seed by seed.

    Args:
        epochs: passes over 2,000 sequences.
        seeds: paired repetitions of every variant, each with new sequences.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, epochs=epochs)
    memory = run_trials(ask, STATES, seeds=seeds, epochs=epochs)
    h, c, stacked, repeated = VARIANTS
    claims = {
        "Mastery on return_sequence and return_state": {
            # Float32 through eight steps is good for 1e-6.
            text: facts.agrees(name, value, within=5e-6)
            for name, (text, value) in FACTS.items()
        },
        "Hidden state vs cell state": {
            "The two states differ by more than a tenth of h": (
                facts.is_above("c off h", 0.1)
            ),
            "h knows what has been seen: it tells half of a marked number": (
                memory.is_above("marked", 0.5, h)
            ),
            "The cell state is the memory: c tells more of it than h does": (
                memory.is_higher("marked", c, than=h)
            ),
            "c is selective: it tells a fifth more of what is marked": (
                memory.is_above("marked over unmarked", 0.2, c)
            ),
            "h is what to read out: better than c before the last layer": (
                trials.is_lower("error", h, than=c)
            ),
        },
        "A good tutorial on LSTM": {
            "Stacked LSTMs need every h: the last one, repeated, is worse": (
                trials.is_lower("error", stacked, than=repeated)
            ),
        },
    }
    return Report(
        trials.table("error"),
        memory.table("marked", "unmarked"),
        plot_curves(
            memory,
            "marked",
            "unmarked",
            xlabel=f"step (by step {HALF}, both numbers have been seen)",
            ylabel="share of a number's variance told\n"
            "(solid: marked, dashed: not marked)",
        ),
        *(
            Claim(text, found, f"Deep Learning Models, {heading}")
            for heading, group in claims.items()
            for text, found in group.items()
        ),
    )


# %%
# What to make of it
# ------------------
# Leave both off where one answer is due for a sequence. Ask for
# `return_sequences` where the next layer wants to see each step: another LSTM,
# attention, an answer for every step. Ask for `return_state` where another
# layer goes on from here: a decoder, by its `initial_state`, or the next window
# of a series. Two things to try: twice as many steps, which h and c have to
# bridge; and half the units, which leave less room for what nobody needs.

if __name__ == "__main__":
    cook(main)
