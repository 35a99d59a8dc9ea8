"""
Stacked LSTM layers and their time scales
=========================================

In a stack each LSTM reads, step by step, what the one below has to say. "Each
layer represents a higher level of abstraction in time", say the notes: the
lowest sees letters, the next one words, the top one what the text is about.
So the top layer should remember further back and change more slowly, and a
stack should do better than one layer. Does it?

The text here is artificial, so that its time scales are known. Letters make
words of three, and words belong to topics; a topic lasts for a dozen words or
so, and the network is shown the letters alone. What layer :math:`l` holds is
read off its outputs :math:`h^l_t` by linear regression: the letter :math:`k`
steps ago tells how far back it remembers. Its time scale is told by how its
units are correlated with what they were before,

.. math:: \\tau_l = 1 + 2 \\sum_{k=1}^{40} \\rho_l(k)

where :math:`\\rho_l(k)` is the autocovariance at lag :math:`k` over that at lag
zero, both added up over the units. The network is probed before training as
well: a filter behind a filter is slower than one alone, whatever it learns.

:question: Should I stack LSTM layers, and do the upper ones look further back?
:level: intermediate
:notes: Deep Learning Models, Stacked LSTM
:papers: Graves 2013, https://arxiv.org/abs/1308.0850;
    Pascanu et al. 2014, https://arxiv.org/abs/1312.6026
:backends: tensorflow, jax, torch
:before: recurrent/return_sequences
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure
from sklearn.linear_model import Ridge

from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "1 layer": {"depth": 1},
    "2 layers": {"depth": 2},
    "3 layers": {"depth": 3},
    "4 layers": {"depth": 4},
}
QUICK = {"steps": 3, "seeds": 1, "variants": ["1 layer", "2 layers"]}
FULL = {"seeds": 10}

KINDS, TOPICS, WORDS, LETTERS = 8, 4, 8, 3  # words a topic, letters a word
STAY = 0.9  # probability that the next word keeps the topic
UNITS = 64  # of the one layer that the stacks are measured by
BATCH, WINDOW = 64, 24  # in training: windows, and letters of each
ROWS, LENGTH, LAGS = 100, 120, 40  # what the probes read, and how far back
LEAST = 0.05  # share of a letter's variance that still counts as remembered

# %%
# The text
# --------
# Every topic has eight words, each as likely as the others. Who knows the words
# keeps a probability for each topic, word and place in the word, and brings it
# up to date letter by letter: the forward algorithm. On average nobody needs
# fewer bits than that.


def make_text(rows: int, length: int, words, generator):
    """Letters of shape (rows, length), and the topic behind each."""
    count = length // LETTERS + 2
    is_new = generator.random_sample((rows, count)) > STAY
    since = np.maximum.accumulate(np.where(is_new, np.arange(count), 0), 1)
    drawn = generator.randint(TOPICS, size=(rows, count))
    topics = np.take_along_axis(drawn, since, 1)
    text = words[topics, generator.randint(WORDS, size=(rows, count))]
    places = generator.randint(LETTERS, size=(rows, 1)) + np.arange(length)
    return (
        np.take_along_axis(text.reshape(rows, -1), places, 1),
        np.take_along_axis(topics.repeat(LETTERS, 1), places, 1),
    )


def least_bits(text, words):
    """Bits of each letter for one who knows the words, (rows, length)."""
    state, bits = np.full((len(text), *words.shape), 1 / words.size), []
    for letters in text.T:
        state = state * (words == letters[:, None, None, None])
        total = state.sum((1, 2, 3), keepdims=True)
        bits.append(-np.log2(total.ravel()))
        state = state / total
        ended = state[..., -1:].sum(2, keepdims=True)
        begun = STAY * ended + (1 - STAY) * ended.mean(1, keepdims=True)
        begun = np.repeat(begun / WORDS, WORDS, axis=2)
        state = np.concatenate([begun, state[..., :-1]], axis=3)
    return np.stack(bits, axis=1)


# %%
# The network
# -----------
# All layers of a stack are equally wide, and as wide as to have the parameters
# of one layer of 64 units. Every layer returns its whole sequence: that is what
# the next one reads.


def choose_units(depth: int) -> int:
    """The width at which a stack comes nearest to one layer of 64 units."""

    def count(depth, units):
        stacked = (depth - 1) * 4 * units * (2 * units + 1)
        first = 4 * units * (KINDS + units + 1)
        return first + stacked + (units + 1) * KINDS

    least = count(1, UNITS)
    return min(range(1, UNITS + 1), key=lambda n: abs(count(depth, n) - least))


def build_model(depth: int) -> keras.Model:
    """Letters (batch, steps) to logits of the letter that comes next."""
    units = choose_units(depth)
    return keras.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            # Ones and zeros to start with: what Keras draws is below 0.05, and
            # an LSTM behind an LSTM would hear next to nothing.
            layers.Embedding(KINDS, KINDS, embeddings_initializer="identity"),
            *(layers.LSTM(units, return_sequences=True) for _ in range(depth)),
            layers.Dense(KINDS),
        ]
    )


def read(model: keras.Model, text) -> tuple[np.ndarray, list[np.ndarray]]:
    """Bits of each letter but the first, and what every LSTM has to say."""
    outputs, states = ops.convert_to_tensor(text, "int32"), []
    for layer in model.layers:
        outputs = layer(outputs)
        if isinstance(layer, layers.LSTM):
            states.append(ops.convert_to_numpy(outputs))
    logits = ops.convert_to_numpy(outputs)[:, :-1].astype("float64")
    total = np.logaddexp.reduce(logits, axis=-1)
    chosen = np.take_along_axis(logits, text[:, 1:, None], axis=2)[:, :, 0]
    return (total - chosen) / np.log(2), states


# %%
# The probes
# ----------
# One ridge regression says every past letter and the topic at once, as ones and
# zeros. It is fitted to one half of the rows and judged on the other, by the
# share of the variance that it explains. A layer remembers as far back as
# that share is a twentieth at least.


def probe(state, text, topics) -> tuple[np.ndarray, float]:
    """Explained share of the letter at each lag, and accuracy of the topic."""
    past = [text[:, LAGS - k : LENGTH - k] for k in range(1, LAGS + 1)]
    letters = np.eye(KINDS)[np.stack(past, 2)].reshape(ROWS, LENGTH - LAGS, -1)
    both = [letters, np.eye(TOPICS)[topics[:, LAGS:]]]
    x, y = state[:, LAGS:].astype("float64"), np.concatenate(both, 2)
    half = ROWS // 2
    x, x_test = x[:half].reshape(-1, x.shape[2]), x[half:]
    y, y_test = y[:half].reshape(-1, y.shape[2]), y[half:]
    said = Ridge(1.0).fit(x, y).predict(x_test.reshape(-1, x.shape[1]))
    y_test = y_test.reshape(said.shape)
    left, whole = (
        np.square(y_test - guess)[:, :-TOPICS].sum(0).reshape(LAGS, KINDS)
        for guess in (said, y.mean(0))
    )
    hits = said[:, -TOPICS:].argmax(1) == y_test[:, -TOPICS:].argmax(1)
    return 1 - left.sum(1) / whole.sum(1), hits.mean()


def time_scale(state) -> float:
    """Integrated autocorrelation time of a layer's units, in steps."""
    state = state[:, LAGS:].astype("float64")
    state = state - state.mean((0, 1))
    covariances = [
        np.mean(np.sum(state[:, k:] * state[:, : state.shape[1] - k], axis=2))
        for k in range(LAGS + 1)
    ]
    return 1 + 2 * np.sum(covariances[1:]) / covariances[0]


# %%
# One trial
# ---------
# Put your own text in the first lines: integers from 0 to 7. Every window that
# the network is trained on is new, so that nothing can be learned by heart.


def train(seed: int, steps: int, depth: int) -> dict:
    """Trains one stack; probes each of its layers, before and after."""
    generator = np.random.RandomState(seed)
    words = generator.randint(KINDS, size=(TOPICS, WORDS, LETTERS))
    text, topics = make_text(ROWS, LENGTH, words, generator)
    windows, _ = make_text(steps * BATCH, WINDOW + 1, words, generator)
    keras.utils.set_random_seed(seed)
    model = build_model(depth)
    _, before = read(model, text)
    rate = keras.optimizers.schedules.CosineDecay(0.02, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(windows[:, :-1], windows[:, 1:], BATCH, shuffle=False, verbose=0)
    bits, after = read(model, text)

    shares, hits = zip(*(probe(h, text, topics) for h in after), strict=True)
    reach = [np.argmin(np.append(share >= LEAST, False)) for share in shares]
    scales = np.array([time_scale(h) for h in after])
    at_first = np.array([time_scale(h) for h in before])
    grown = scales - at_first
    bits = bits[:, LAGS - 1 :].mean()
    return {
        "bits a letter": bits,
        "over the least": bits - least_bits(text, words)[:, LAGS:].mean(),
        "parameters": model.count_params() / build_model(1).count_params(),
        "reach": reach[0],
        "reach, top - first": reach[-1] - reach[0],
        "time scale": scales[0],
        "time scale, top - first": scales[-1] - scales[0],
        "scales rise": np.all(np.diff(scales) > 0),
        "gained by training": grown[-1] - grown[0],
        "topic": hits[0],
        "topic, top - first": hits[-1] - hits[0],
        "curves": {
            "time scales after": scales,
            "time scales before": at_first,
            **{f"layer {i}": share for i, share in enumerate(shares, 1)},
        },
    }


# %%
# What must hold exactly
# ----------------------
# A stack can be written as one `RNN` layer over a list of cells as well: there
# the loop over the steps is around the loop over the layers, which changes
# nothing. And what a lower layer has to return is all of its steps.


def measure(seed: int) -> dict:
    """A stack of layers against one of cells; a layer that says too little."""
    keras.utils.set_random_seed(seed)
    x = np.random.default_rng(seed).normal(size=(4, 20, 3)).astype("float32")
    stack = [layers.LSTM(units, return_sequences=True) for units in (6, 5, 4)]
    cells = [layers.LSTMCell(units) for units in (6, 5, 4)]
    at_once = layers.RNN(cells, return_sequences=True)
    by_layer = x
    for layer in stack:
        by_layer = layer(by_layer)
    at_once.build(x.shape)
    at_once.set_weights([w for layer in stack for w in layer.get_weights()])
    try:
        keras.Sequential([layers.Input((20, 3)), layers.LSTM(6), stack[1]])
        refused = 0.0
    except ValueError:
        refused = 1.0
    return {
        "cells off layers": np.abs(
            ops.convert_to_numpy(at_once(x)) - ops.convert_to_numpy(by_layer)
        ).max(),
        "refused": refused,
    }


# %%
# The experiment
# --------------


def plot_stack(trials, shades: dict) -> Figure:
    """What the layers of the highest stack remember; time scales of all."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    memory, scales = figure.subplots(1, 2)
    *_, highest = trials.variants
    depth = trials.variants[highest]["depth"]
    lines = {"1 layer": ("1 layer", "layer 1")}
    for i in range(1, depth + 1):
        lines[f"layer {i} of {depth}"] = (highest, f"layer {i}")
    lags = np.arange(1, LAGS + 1)
    for (label, (variant, curve)), shade in zip(
        lines.items(), shades.values(), strict=False
    ):
        shares = trials.curves(curve, variant)
        if len(shares):
            memory.plot(lags, shares.mean(0), color=shade, label=label)
            low, high = shares.min(0), shares.max(0)
            memory.fill_between(lags, low, high, color=shade, alpha=0.12, lw=0)
    memory.axhline(LEAST, color="#8C8C8C", linestyle=":", label="remembered")
    memory.set(yscale="log", ylim=(0.003, 1), xlabel="letters ago")
    memory.set_ylabel("share of the letter's variance that the layer tells")

    for shift, variant in enumerate(trials.variants):
        bits = [*trials.scores("bits a letter", variant).values()]
        for curve, style in (("after", "o-"), ("before", "o:")):
            found = trials.curves(f"time scales {curve}", variant)
            if not len(found):
                continue
            places = np.arange(1, found.shape[1] + 1) + 0.06 * shift - 0.09
            mean = found.mean(0)
            spread = np.abs(np.stack([found.min(0), found.max(0)]) - mean)
            label = f"{variant}: {np.mean(bits):.3f} bits a letter"
            look = {"label": label} if curve == "after" else {"mfc": "white"}
            scales.errorbar(
                places, mean, spread, fmt=style, color=shade, **look
            )
    scales.set(xticks=range(1, depth + 1), xlabel="layer, from below")
    scales.set(ylim=(0, None), ylabel="time scale, letters")
    for axis in (memory, scales):
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    figure.supxlabel(
        "mean over the seeds; band, bar: their range; "
        "dotted with open circles: before training",
        fontsize=9,
    )
    return figure


def main(steps: Count = 200, seeds: Count = 3) -> Report:
    """Compares stacks with one layer, and layers of a stack, seed by seed.

    Args:
        steps: training steps, of 64 windows each.
        seeds: paired repetitions, each with a language of its own.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, steps=steps)
    notes = "Deep Learning Models, Stacked LSTM"
    reach, scale = "reach, top - first", "time scale, top - first"
    claims = {
        # The nearest whole width is off by half a unit at most, of 25.
        "The stacks have as many parameters as one layer, within 3 %": (
            trials.agrees("parameters", 1.0, within=0.03)
        ),
        # Twenty steps of sigmoids and sums in float32.
        "One RNN layer over three LSTM cells is a stack of three LSTMs": (
            facts.agrees("cells off layers", 0.0, within=1e-5)
        ),
        "A lower LSTM that returns its last state alone is refused": (
            facts.agrees("refused", 1.0, within=0.0)
        ),
    }
    for stack in ("2 layers", "3 layers", "4 layers"):
        claims |= {
            f"Of {stack} the top one remembers further back than the first": (
                trials.is_above(reach, 0.0, stack)
            ),
            f"Of {stack} the top one has a longer time scale than the first": (
                trials.is_above(scale, 0.0, stack)
            ),
            f"Of {stack} the top one knows the topic better than the first": (
                trials.is_above("topic, top - first", 0.0, stack)
            ),
            f"At equal parameters {stack} need fewer bits than one": (
                trials.is_lower("bits a letter", stack, than="1 layer")
            ),
        }
    claims |= {
        "In most stacks of four the time scale rises from layer to layer": (
            trials.share("scales rise", "4 layers", at_least=0.5)
        ),
        "Training makes the top of four slower by more than the first": (
            trials.is_above("gained by training", 0.0, "4 layers")
        ),
    }
    return Report(
        trials.table("bits a letter", "over the least", "parameters"),
        trials.table("reach", reach, "topic", "topic, top - first"),
        trials.table("time scale", scale, "gained by training"),
        plot_stack(trials, colours([*VARIANTS, "top layer"])),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Depth comes at a price that has nothing to do with time: at equal parameters
# the layers of a stack are narrower, and each one learns from what the layers
# below have not learned yet. Where a stack is behind, look first whether it has
# been trained for long enough. The dotted lines are a warning to whoever reads
# meaning into a time scale: a stack of random layers has a hierarchy of them
# already, and what training adds is to be measured from there. Two things to
# try: feed every layer the letters as well, as Graves does, by `Concatenate`;
# and probe the states `c`, which `return_state` hands out, in place of `h`.

if __name__ == "__main__":
    cook(main)
