"""
Encoder and decoder: sums written out as text
=============================================

One recurrent network reads a question sign by sign, ``47+85``, and hands its
last state to a second one, which writes the answer, ``132.``, each sign after
what it wrote before. All that is known of the question has to fit into that
state. With *attention* the decoder, at state :math:`s_t`, looks back at the
encoder's states :math:`h_j` behind every sign of the question:

.. math::

   a_{tj} = \\mathrm{softmax}_j \\left( v^\\top
   \\tanh(W s_t + U h_j) \\right), \\qquad
   z_t = \\sum_j a_{tj} h_j

and :math:`z_t` helps to choose the next sign. In training the decoder is as a
rule fed with the right signs, whatever it would have written: *teacher
forcing*. Afterwards it has to live with its own.

A well-known translation model was better when it read its sentences backwards.
Is an adding one? And when the sign that looked best leads nowhere, is it worth
following several answers at once, by a *beam search*?

:question: How does a network turn one sequence into another one?
:level: advanced
:notes: Deep Learning Models, Mastery on timedistributed layer and seq2seq;
    Deep Learning Models, Recurrent Neural Net (RNN)
:papers: Sutskever et al. 2014, https://arxiv.org/abs/1409.3215;
    Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473;
    Zaremba and Sutskever 2014, https://arxiv.org/abs/1410.4615
:backends: tensorflow, jax, torch
:before: recurrent/bidirectional
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.analysis import beam_search
from kerasrecipes.datasets import make_additions
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "plain": {},
    "reversed": {"is_reversed": True},
    "attention": {"attention": True},
    "free running": {"is_free": True},
}
BLANKS = {"plain": {}, "attention": {"attention": True}}
QUICK = {"steps": 2, "seeds": 1, "variants": ["plain", "attention"]}
FULL = {"steps": 500, "seeds": 10}

QUESTIONS, TEST = 8100, 500  # all pairs of two digits, and those not learned
ANSWER, DOT, BLANK, KINDS = 4, 11, 12, 13  # steps of an answer, and signs
UNITS, BATCH, BEAM = 48, 128, 4

# %%
# The network
# -----------
# Encoder and decoder are models of their own, for the decoder is used in two
# ways: over all four signs at once with a teacher, and sign by sign without.


def build_model(length: int, attention=False, is_free=False):
    """The model to train, and its parts: the encoder and the decoder."""
    question = keras.Input((length,), dtype="int32")
    read = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    encoder = keras.Model(question, read(layers.Embedding(KINDS, 16)(question)))

    signs = keras.Input((None,), dtype="int32")
    memory, h, c = map(keras.Input, [(length, UNITS), (UNITS,), (UNITS,)])
    write = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    x, *after = write(layers.Embedding(KINDS, 16)(signs), [h, c])
    if attention:
        query = layers.Dense(UNITS, use_bias=False)(x)
        key = layers.Dense(UNITS, use_bias=False)(memory)
        look = layers.AdditiveAttention()  # its scale is the v of the formula
        z, weights = look([query, memory, key], return_attention_scores=True)
        x = layers.Dense(UNITS, "tanh")(ops.concatenate([x, z], axis=-1))
        after.append(weights)
    outputs = [layers.Dense(KINDS)(x), *after]
    decoder = keras.Model([signs, memory, h, c], outputs)

    before = keras.Input((ANSWER,), dtype="int32")
    memory, *states = encoder(question)
    if not is_free:
        logits = decoder([before, memory, *states])[0]
        return keras.Model([question, before], logits), encoder, decoder
    sign, found = before[:, :1], []
    for _ in range(ANSWER):
        logits, *states = decoder([sign, memory, *states])
        found.append(logits)
        sign = ops.argmax(logits, axis=-1)
    logits = ops.concatenate(found, axis=1)
    return keras.Model([question, before], logits), encoder, decoder


# %%
# From one sign to the next
# -------------------------
# All that a beam search needs to know of a network. It goes on with the best
# beginnings of an answer, four of them here; with one, it is the greedy way,
# which takes the best sign at every step and never looks back.


def follow(decoder):
    """A step: from signs and states to log probabilities and states."""

    def step(signs, states):
        logits, h, c, *_ = decoder([signs[:, None], *states])
        return ops.log_softmax(logits[:, -1]), [states[0], h, c]

    return step


# %%
# One trial
# ---------
# Put your own pairs in the first line: x of shape (samples, steps) and y of
# shape (samples, 4), integers that stand for signs. What the decoder is fed
# with is the answer one sign later, behind a dot.


def train(
    seed: int, steps: int, length: int, is_reversed=False, **network
) -> dict:
    """Trains one variant; returns how it answers questions that are new."""
    x, y = make_additions(QUESTIONS, length=length, seed=seed)
    x = x[:, ::-1] if is_reversed else x
    before = np.insert(y[:, :-1], 0, DOT, axis=1)
    keras.utils.set_random_seed(seed)
    model, encoder, decoder = build_model(length, **network)
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    rows = TEST + np.arange(steps * BATCH) % (QUESTIONS - TEST)
    model.fit([x[rows], before[rows]], y[rows], BATCH, verbose=0)

    x, before, y = x[:TEST], ops.convert_to_tensor(before[:TEST]), y[:TEST]
    states = encoder(x)
    (said, total), (beam, totals) = (
        beam_search(follow(decoder), states, DOT, DOT, ANSWER, width)
        for width in (1, BEAM)
    )
    logits, _, _, *weights = map(
        ops.convert_to_numpy, decoder([before, *states])
    )
    right, right_taught = said[:, 0] == y, logits.argmax(-1) == y
    accuracy = right.all(1).mean()
    # Dots behind the end of an answer are no signs of it.
    there = np.insert(y[:, :-1] != DOT, 0, True, axis=1)
    return {
        "accuracy": accuracy,
        "signs right": right[there].mean(),
        "teacher's part": (right_taught[there] - 1.0 * right[there]).mean(),
        "whole, taught - own": right_taught.all(1).mean() - accuracy,
        "gain by beam": (beam[:, 0] == y).all(1).mean() - accuracy,
        "beam more probable": np.mean(totals[:, 0] > total[:, 0] + 1e-6),
        "curves": look_at(x, y, *weights) if weights else {},
    }


def look_at(x, y, weights) -> dict:
    """Mean weights of attention where an answer has three digits."""
    x, weights = x[y[:, 2] != DOT], weights[y[:, 2] != DOT]
    # Signs of a question in their order, the blanks together behind them.
    order = np.argsort(x == BLANK, axis=1, kind="stable")
    found = np.take_along_axis(weights, order[:, None], axis=2).mean(0)
    found = np.append(found[:, :5], found[:, 5:].sum(1, keepdims=True), axis=1)
    return {"weights": found.ravel().tolist()}


# %%
# What must hold exactly
# ----------------------
# With weights at random, which write different answers to most questions: a
# beam of one is the greedy way, here by hand, and a question is answered alone
# as it is among others.


def measure(seed: int) -> dict:
    """A beam of one against the greedy way; a batch against one by one."""
    keras.utils.set_random_seed(seed)
    x, _ = make_additions(50, length=10, seed=seed)
    model, encoder, decoder = build_model(10, attention=True)
    generator = np.random.default_rng(seed)
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([generator.normal(size=shape) for shape in shapes])

    def write(questions, width):
        states = encoder(questions)
        return beam_search(follow(decoder), states, DOT, DOT, ANSWER, width)

    states, signs, greedy = encoder(x), np.full(len(x), DOT, "int32"), []
    for _ in range(ANSWER):
        found, states = follow(decoder)(ops.convert_to_tensor(signs), states)
        signs = ops.convert_to_numpy(found).argmax(-1).astype("int32")
        if greedy:
            signs[greedy[-1] == DOT] = DOT  # an answer that has ended
        greedy.append(signs)
    narrow, _ = write(x, 1)
    answers, logs = write(x, BEAM)
    alone = [write(x[row : row + 1], BEAM) for row in range(5)]
    return {
        "width 1 is not greedy": np.mean(narrow[:, 0] != np.stack(greedy, 1)),
        "alone, signs differ": np.mean(
            [one[0] != answers[row] for row, (one, _) in enumerate(alone)]
        ),
        "alone, off": np.max(
            [np.abs(log[0] - logs[row]) for row, (_, log) in enumerate(alone)]
        ),
    }


# %%
# The experiment
# --------------


def plot_answers(trials, blanks, shades: dict) -> Figure:
    """Right answers by variant, and where attention looks."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    axis, *looks = figure.subplots(1, 3, width_ratios=(4, 3, 3))
    rows = {name: (trials, name) for name in trials.variants}
    rows |= {f"{name},\nblanks": (blanks, name) for name in blanks.variants}
    for row, (found, name) in enumerate(rows.values()):
        scores = 100 * np.array([*found.scores("accuracy", name).values()])
        places = row + np.linspace(-0.2, 0.2, len(scores))
        axis.plot(scores, places, "o", color=shades[name], alpha=0.5)
        if len(scores):
            axis.plot(scores.mean(), row, "D", color=shades[name])
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlim=(-3, 103), xlabel="right answers, %")
    axis.set_title("dot: a seed, diamond: the mean", fontsize=9)
    axis.invert_yaxis()
    for axis, found, title in (
        (looks[0], trials, "attention, such as in 47+85=132"),
        (looks[1], blanks, "attention, with blanks between"),
    ):
        weights = found.curves("weights", "attention")
        grid = weights.mean(0) if len(weights) else np.zeros(ANSWER * 6)
        grid = grid.reshape(ANSWER, 6)
        image = axis.imshow(grid, "Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(6), [*"47+85", "blanks"])
        axis.set_yticks(range(ANSWER), "132.")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("looks at the state behind")
    looks[0].set_ylabel("sign that is written")
    figure.colorbar(image, ax=looks, label="weight, mean of questions")
    return figure


def main(steps: Count = 240, seeds: Count = 3) -> Report:
    """Compares ways to read, to look and to be taught, seed by seed.

    Args:
        steps: training steps, of 128 questions each.
        seeds: paired repetitions of every variant, each with new questions.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, steps=steps, length=5)
    blanks = run_trials(train, BLANKS, seeds=seeds, steps=steps, length=10)
    exact = {
        "A beam of width 1 gives the greedy answers": (
            facts.agrees("width 1 is not greedy", 0.0, within=0.0)
        ),
        "A question is answered in a batch as it is alone": (
            facts.agrees("alone, signs differ", 0.0, within=0.0)
        ),
        # Logits of up to a few tens, in float32 and other orders of sums.
        "The probability of an answer is the same in a batch": (
            facts.agrees("alone, off", 0.0, within=1e-3)
        ),
        # One of 500 answers could be a tie that rounding decides.
        "As many answers are right as a whole with a teacher as without": (
            trials.agrees("whole, taught - own", 0.0, within=0.002)
        ),
    }
    accuracy = "accuracy"
    claims = {
        "Reversing the input helps": (
            trials.is_higher(accuracy, "reversed", than="plain")
        ),
        "Attention helps on short inputs": (
            trials.is_higher(accuracy, "attention", than="plain")
        ),
        "Attention helps on long inputs": (
            blanks.is_higher(accuracy, "attention", than="plain")
        ),
        "Without a teacher, over one sign more in 100 is wrong": (
            trials.is_above("teacher's part", 0.01, "plain")
        ),
        "Trained on its own signs, a network gives fewer right answers": (
            trials.is_lower(accuracy, "free running", than="plain")
        ),
        "A beam of four finds a more probable answer to 1 question of 100": (
            trials.is_above("beam more probable", 0.01, "plain")
        ),
        "A beam of four gives more right answers": (
            trials.is_above("gain by beam", 0.0, "plain")
        ),
    }
    notes = "Deep Learning Models, Mastery on timedistributed layer and seq2seq"
    return Report(
        trials.table(accuracy, "signs right", "teacher's part", "gain by beam"),
        blanks.table(accuracy, "signs right", "teacher's part", "gain by beam"),
        plot_answers(trials, blanks, colours(VARIANTS)),
        *(Claim(*claim, notes) for claim in (exact | claims).items()),
    )


# %%
# What to make of it
# ------------------
# A whole answer is right with a teacher exactly if it is right without: what
# the teacher says is then what the network said. Signs flatter, whole answers
# do not; judge by what is written without help. The weights are a picture of
# where the decoder looks, not of why: the state behind a sign knows all signs
# before it, and what was added up may be kept behind a blank. A beam finds what
# is more probable to the network, which need not be right; look at both.
# Two things to try: answers that are written from their last digit on, as on
# paper, which need no look ahead at carries; and numbers of three digits.

if __name__ == "__main__":
    cook(main)
