"""
Networks that follow a tree
===========================

An expression such as ``((1+2)-2)`` is a sequence of signs, and a recurrent
network can read it from left to right. It is a tree as well, and a tree LSTM
computes what a node says from what its parts say, whatever lies between them.

With the node's own sign :math:`x`, and states :math:`h_l, c_l` and
:math:`h_r, c_r` of its left and right part (zeros at a leaf), an LSTM becomes

.. math::

   i, f_l, f_r, o = \\sigma(W x + U^l h_l + U^r h_r + b)

   u = \\tanh(W_u x + U_u^l h_l + U_u^r h_r + b_u)

   c = i \\odot u + f_l \\odot c_l + f_r \\odot c_r, \\qquad
   h = o \\odot \\tanh c

with matrices of its own for each gate: one gate forgets what the left part
said, and one what the right part said. Tai's child-sum form has :math:`h_l +
h_r` in place of the two, for trees whose parts have no order.

Node by node a tree takes as many small products as it has nodes. Level by level
it takes a few large ones, for all nodes of a level in all trees of a batch. The
notes point to a course on tree RNNs and say no more. Here both kinds of network
are asked for values of expressions, some of them deeper than any that they were
trained on.

:question: My data are trees, such as parsed text or formulas. What reads them?
:level: advanced
:notes: Deep Learning Models, BRNN
:papers: Tai et al. 2015, https://arxiv.org/abs/1503.00075;
    Zaremba and Sutskever 2014, https://arxiv.org/abs/1410.4615
:backends: tensorflow, jax, torch
:before: recurrent/bidirectional
"""

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import expression_signs, make_expressions
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "sequence LSTM": {"reads": "sequence"},
    "tree LSTM": {"reads": "tree"},
    "child-sum tree LSTM": {"reads": "child sum"},
}
CONDITIONS = {
    "logic": {"kind": "logic"},
    "arithmetic modulo 3": {"kind": "arithmetic"},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["sequence LSTM", "tree LSTM"],
    "conditions": ["logic"],
}
FULL = {"epochs": 12, "seeds": 10}

TRAINED, DEEPEST = 3, 6  # depths of expressions
SIGNS = {kind: len(expression_signs(kind)) for kind in ("logic", "arithmetic")}
VALUES = {"logic": 2, "arithmetic": 5}

# %%
# The networks
# ------------
# Number 0 of the states is a row of zeros: what a node finds that has no part.
# A deeper tree is one more turn of the loop by the same two layers, so that
# weights fit a model of any number of levels. Widths are such that all three
# networks have about as many weights.


def build_model(reads: str, kind: str, levels=TRAINED + 1) -> keras.Model:
    """Logits of an expression's value, from its signs or from its tree."""
    # Zeros end a sequence; in a tree they are places that nobody looks up.
    way = {"mask_zero": reads == "sequence", "name": "embedding"}
    embedding = layers.Embedding(SIGNS[kind], 24, **way)
    answer = layers.Dense(VALUES[kind], name="answer")
    if reads == "sequence":
        tokens = keras.Input((None,), dtype="int32")
        h = layers.LSTM(48)(embedding(tokens))
        return keras.Model(tokens, answer(h))

    units = 32 if reads == "tree" else 48
    # As in Keras' LSTM, the gates that forget begin open.
    way = {"activation": "sigmoid", "bias_initializer": "ones"}
    gates = 2 * units if reads == "tree" else units
    forget = layers.Dense(gates, **way, name="forget")
    others = layers.Dense(3 * units, name="others")
    symbols = keras.Input((levels, None), dtype="int32")
    children = keras.Input((levels, None, 2), dtype="int32")
    x = embedding(symbols)  # (batch, levels, width, 24)
    state = ops.repeat(ops.zeros_like(x[:, 0, :, :1]), 2 * units, axis=-1)
    for level in range(levels):
        sign = x[:, level]
        known = ops.pad(state, [[0, 0], [1, 0], [0, 0]])
        (h_left, c_left), (h_right, c_right) = (
            ops.split(ops.take_along_axis(known, places, axis=1), 2, axis=-1)
            for places in ops.split(children[:, level], 2, axis=-1)
        )
        if reads == "tree":
            seen = ops.concatenate([sign, h_left, h_right], axis=-1)
            f_left, f_right = ops.split(forget(seen), 2, axis=-1)
        else:
            seen = ops.concatenate([sign, h_left + h_right], axis=-1)
            f_left, f_right = (
                forget(ops.concatenate([sign, h], axis=-1))
                for h in (h_left, h_right)
            )
        i, u, o = ops.split(others(seen), 3, axis=-1)
        c = ops.sigmoid(i) * ops.tanh(u) + f_left * c_left + f_right * c_right
        # (batch, width, 2 * units): h and c of all nodes of this level.
        state = ops.concatenate([ops.sigmoid(o) * ops.tanh(c), c], axis=-1)
    return keras.Model([symbols, children], answer(state[:, 0, :units]))


# %%
# One trial
# ---------
# Put your own data in the first line: sequences of numbers for signs, or the
# levels of trees as `make_expressions` describes them, and integer classes.


def train(seed: int, epochs: int, kind: str, reads: str) -> dict:
    """Trains one variant on depths 1 to 3, tests it on depths 1 to 6."""
    *given, y = make_expressions(2000, TRAINED, 1, kind, seed)
    *asked, y_test = make_expressions(1000, DEEPEST, 1, kind, seed + 10_000)
    depths = (asked[1] > 0).any(axis=-1).sum(axis=-1) - 1
    given, asked = (
        part[0] if reads == "sequence" else part[1:] for part in (given, asked)
    )
    keras.utils.set_random_seed(seed)
    model = build_model(reads, kind)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(given, y, batch_size=100, epochs=epochs, verbose=0)

    deep = build_model(reads, kind, DEEPEST + 1)
    deep.set_weights(model.get_weights())
    logits = ops.convert_to_numpy(deep(asked))
    right = logits.argmax(axis=-1) == y_test
    by_depth = [right[depths == d].mean() for d in range(1, DEEPEST + 1)]
    known, deeper = by_depth[:TRAINED], by_depth[TRAINED:]
    return {
        "trained depths": np.mean(known),
        "deeper": np.mean(deeper),
        "lost": np.mean(known) - np.mean(deeper),
        "curves": {"accuracy by depth": by_depth},
    }


# %%
# What must hold exactly
# ----------------------
# The formula, node by node, in NumPy. A tree in which every node has a left
# part alone is a chain, and there the tree LSTM is an LSTM: its second gate
# that forgets has nothing to forget.


def compute_node(weights, symbols, children, level: int, number: int):
    """States (h, c) of one node, by way of all below it."""
    table, kernel_f, bias_f, kernel, bias = weights
    units = len(bias) // 3
    if number == 0:
        return np.zeros(units), np.zeros(units)
    place = number - 1
    (h_left, c_left), (h_right, c_right) = (
        compute_node(weights, symbols, children, level - 1, part)
        for part in children[level, place]
    )
    seen = np.concatenate([table[symbols[level, place]], h_left, h_right])
    f = 1 / (1 + np.exp(-(seen @ kernel_f + bias_f)))
    i, u, o = np.split(seen @ kernel + bias, 3)
    c = np.tanh(u) / (1 + np.exp(-i)) + f[:units] * c_left + f[units:] * c_right
    return np.tanh(c) / (1 + np.exp(-o)), c


def measure(seed: int) -> dict:
    """A tree LSTM against its formula, and against an LSTM on chains."""
    keras.utils.set_random_seed(seed)
    trees = make_expressions(20, TRAINED, 1, "arithmetic", seed)[1:3]
    model = build_model("tree", "arithmetic")
    generator = np.random.default_rng(seed)
    model.set_weights(
        [generator.normal(0, 0.3, w.shape) for w in model.weights]
    )
    weights, (head, offset) = (
        [w for name in names for w in model.get_layer(name).get_weights()]
        for names in (("embedding", "forget", "others"), ("answer",))
    )
    one_by_one = [
        compute_node(weights, symbols, children, TRAINED, 1)[0] @ head + offset
        for symbols, children in zip(*trees, strict=True)
    ]
    together = ops.convert_to_numpy(model(list(trees)))
    # Two more places in every level, and as many more levels before the rest.
    more = [
        np.pad(part, [(0, 0), (2, 0), (0, 2), (0, 0)][: part.ndim])
        for part in trees
    ]
    deeper = build_model("tree", "arithmetic", TRAINED + 3)
    deeper.set_weights(model.get_weights())
    with_empty = ops.convert_to_numpy(deeper(more))

    steps = 12
    signs = generator.integers(1, SIGNS["arithmetic"], (5, steps, 1))
    parts = np.tile([1, 0], (5, steps, 1, 1))
    parts[:, 0] = 0  # the first node of a chain is its leaf
    chain = build_model("tree", "arithmetic", steps)
    chain.set_weights(model.get_weights())
    table, kernel_f, bias_f, kernel, bias = weights
    units = len(bias) // 3
    # The order of Keras' LSTM: i, f, u, o. What a right part says stays out.
    rows, biases = (
        np.concatenate([a[..., :units], f[..., :units], a[..., units:]], -1)
        for a, f in ((kernel, kernel_f), (bias, bias_f))
    )
    lstm = layers.LSTM(units)
    lstm.build((5, steps, 24))
    lstm.set_weights([rows[:24], rows[24 : 24 + units], biases])
    by_lstm = ops.convert_to_numpy(lstm(table[signs[:, :, 0]])) @ head + offset
    by_tree = ops.convert_to_numpy(chain([signs, parts]))

    counts = [
        build_model(**network, kind="logic").count_params()
        for network in VARIANTS.values()
    ]
    return {
        "off the formula": np.abs(together - one_by_one).max(),
        "off with empty places": np.abs(with_empty - together).max(),
        "off an LSTM": np.abs(by_tree - by_lstm).max(),
        "weights, most by fewest": max(counts) / min(counts),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 3, seeds: Count = 3) -> Report:
    """Compares reading signs with following the tree, seed by seed.

    Args:
        epochs: passes over 2,000 expressions.
        seeds: paired repetitions of every variant, each with new expressions.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    notes = "Deep Learning Models, BRNN"
    sequence, tree, summed = VARIANTS
    logic, arithmetic = CONDITIONS
    claims = {
        "Level by level, a tree LSTM says what it says node by node": (
            # Sums of some dozens of numbers near one, in float32.
            facts.agrees("off the formula", 0.0, within=1e-5)
        ),
        "Empty places and levels change nothing": (
            facts.agrees("off with empty places", 0.0, within=1e-6)
        ),
        "On a chain, a tree LSTM is an LSTM": (
            facts.agrees("off an LSTM", 0.0, within=1e-5)
        ),
        "All networks have as many weights, within 5 %": (
            facts.agrees("weights, most by fewest", 1.0, within=0.05)
        ),
        **{
            f"On deeper {kind}, the tree LSTM beats the sequence LSTM": (
                trials.is_higher("deeper", tree, than=sequence, at=at)
            )
            for kind, at in (("logic", logic), ("arithmetic", arithmetic))
        },
        "At the trained depths, the tree LSTM is better as well": (
            trials.is_higher("trained depths", tree, than=sequence)
        ),
        "From trained depths to deeper ones, the tree LSTM loses less": (
            trials.is_lower("lost", tree, than=sequence)
        ),
        "On deeper logic, the tree LSTM is right in over 95 %": (
            trials.is_above("deeper", 0.95, tree, at=logic)
        ),
        "On deeper arithmetic, the sequence LSTM is right in less than half": (
            trials.is_below("deeper", 0.5, sequence, at=arithmetic)
        ),
        "Where order matters, adding up the parts costs over 10 points": (
            trials.is_lower("deeper", summed, than=tree, at=arithmetic, by=0.1)
        ),
        "Where order does not matter, adding up costs at most 2 points": (
            trials.is_higher("deeper", summed, than=tree, at=logic, by=-0.02)
        ),
    }
    return Report(
        trials.table("trained depths", "deeper", "lost"),
        facts.table(
            "off the formula", "off an LSTM", "weights, most by fewest"
        ),
        plot_curves(
            trials,
            "accuracy by depth",
            xlabel="depth of the expression (trained on 1 to 3)",
            ylabel="share of values told right",
        ),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Follow the tree where there is one and the answer is made of its parts'
# answers: parsed sentences, formulas, programs, folders. The curves say how far
# each network carries what it learned. Who has no tree must learn one: a
# sequence LSTM has to keep open brackets in mind, as many as the expression is
# deep. Keep the two parts apart unless swapping them changes nothing.
#
# Two things to try: train on depths 1 to 4 with four times the expressions, and
# see how far the sequence LSTM gets; and put each tree's parts in random order
# for training alone, which should cost arithmetic and not logic.

if __name__ == "__main__":
    cook(main)
