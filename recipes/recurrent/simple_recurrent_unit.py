"""
Recurrent layers that multiply once
===================================

An LSTM multiplies a matrix by its last output at every step, and cannot begin
a step before the last one is done. Two layers do without: what they multiply
is the inputs alone, in one product for the whole sequence. What remains from
step to step is a product and a sum for each unit by itself.

The simple recurrent unit (SRU), with :math:`\\sigma` for the sigmoid,

.. math::

   f_t = \\sigma(x_t W_f + v_f \\odot c_{t-1} + b_f)

   c_t = f_t \\odot c_{t-1} + (1 - f_t) \\odot x_t W

   r_t = \\sigma(x_t W_r + v_r \\odot c_{t-1} + b_r)

   h_t = r_t \\odot c_t + \\alpha \\, (1 - r_t) \\odot x_t

lets a gate :math:`r` mix what it keeps with what it reads, times a constant
:math:`\\alpha`. The quasi-recurrent layer (QRNN) has the same :math:`c`, but
takes its gates from two or more neighbouring steps, and multiplies :math:`c` by
an output gate. The notes find the first fast, are "not sure about state of the
art results", and tell of a controversy: QRNN's author said that he had these
ideas a year before. They call QRNN a "potential competitor to the transformer".

:question: My LSTM takes long over long sequences. Is there a faster layer?
:level: intermediate
:notes: Deep Learning Models, Simplified RNN, with pytorch implementation;
    Deep Learning Models, QRNN
:papers: Lei et al. 2017, https://arxiv.org/abs/1709.02755;
    Bradbury et al. 2016, https://arxiv.org/abs/1611.01576
:backends: tensorflow, jax, torch
:before: recurrent/bidirectional
"""

import time

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.cells import SRUCell
from kerasrecipes.datasets import FOLDS, load_docstrings
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import QRNN, SRU
from kerasrecipes.plotting import colours

VARIANTS = {
    "LSTM": {"kind": "LSTM"},
    "SRU": {"kind": "SRU"},
    "SRU, forget bias 2": {"kind": "SRU", "forget_bias": 2.0},
    "QRNN": {"kind": "QRNN"},
    "QRNN, forget bias 2": {"kind": "QRNN", "forget_bias": 2.0},
    "transformer": {"kind": "transformer"},
    "mean of the words": {"kind": "mean"},
}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["LSTM", "SRU"]}
FULL = {"epochs": 8, "seeds": 10}

VOCABULARY, LENGTH, WIDTH = 2000, 32, 32

# %%
# The networks
# ------------
# A docstring's words become vectors, one layer reads them, and its last output
# says which of four packages the text is from. All layers are as wide as the
# vectors. Keras' LSTM starts with a bias of 1 in its forget gate; SRU and QRNN
# were published without, and forget half of :math:`c` at each step until they
# have learned better: so there is a second start for them. The transformer is
# one block, and what comes out of it is averaged over the words, as the words
# themselves are in the last variant, which knows nothing of their order.


def build_model(
    kind: str, width: int, steps: int, words: bool = True, **arguments
) -> keras.Model:
    """Classifier of (batch, steps) words, or (batch, steps, width) numbers."""
    inputs = keras.Input((steps,) if words else (steps, width))
    x, mask = inputs, None
    if words:
        x = layers.Embedding(VOCABULARY, width, mask_zero=True)(inputs)
        mask = ops.not_equal(inputs, 0)
    if kind == "transformer":
        x = attend(x, mask)
    elif kind == "mean":
        x = layers.GlobalAveragePooling1D()(x)
    elif kind == "SRU's cell":
        x = layers.RNN(SRUCell(width))(x)
    else:
        cls = {"LSTM": layers.LSTM, "SRU": SRU, "QRNN": QRNN}[kind]
        x = cls(width, **arguments)(x)
    return keras.Model(inputs, layers.Dense(4)(x))


def attend(x, mask):
    """A transformer's block, and the mean of what comes out at real steps."""
    _, steps, width = x.shape
    # Waves of many lengths tell attention where in the text a word stands.
    places = np.arange(steps)[:, None] / 1e4 ** np.linspace(0, 1, width // 2)
    waves = np.concatenate([np.sin(places), np.cos(places)], axis=1)
    x = x + ops.cast(waves, "float32")
    seen = None if mask is None else mask[:, None]  # (batch, 1, steps)
    found = layers.MultiHeadAttention(2, width // 2)(x, x, attention_mask=seen)
    x = layers.LayerNormalization()(x + found)
    hidden = layers.Dense(2 * width, activation="relu")(x)
    x = layers.LayerNormalization()(x + layers.Dense(width)(hidden))
    return layers.GlobalAveragePooling1D()(x, mask=mask)


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, steps), integers
# with 0 for the padding at the end, y integers.


def train(seed: int, epochs: int, **network) -> dict:
    """Trains one variant on 3,600 docstrings, tests it on 400 others."""
    (x, y), (x_test, y_test) = load_docstrings(
        fold=seed, length=LENGTH, words=VOCABULARY
    )
    keras.utils.set_random_seed(seed)
    model = build_model(width=WIDTH, steps=LENGTH, **network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=100, epochs=epochs, verbose=0)
    logits = ops.convert_to_numpy(model(x_test))
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "weights": model.count_params() - VOCABULARY * WIDTH,
    }


# %%
# What must hold exactly
# ----------------------
# SRU against its formulas, a loop in NumPy, and against its cell in
# `keras.layers.RNN`; QRNN against itself, given one step at a time with the
# states of the last one. And what is behind the controversy: in the form that
# was published first SRU's gates do not see the state; with :math:`r` at 1 it
# is then a QRNN with windows of one step, but for the tanh of what that takes.


def sru_by_formula(x, kernel, gate_kernel, bias):
    """Outputs of SRU for one sequence, (steps, width), of that width."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    w, w_f, w_r = np.split(kernel.astype(float), 3, axis=1)
    (v_f, v_r), (b_f, b_r) = gate_kernel.reshape(2, -1), bias.reshape(2, -1)
    c, outputs = np.zeros(len(w)), []
    for x_t in x:
        f = sigmoid(x_t @ w_f + v_f * c + b_f)
        r = sigmoid(x_t @ w_r + v_r * c + b_r)
        c = f * c + (1 - f) * (x_t @ w)
        outputs.append(r * c + np.sqrt(3) * (1 - r) * x_t)
    return np.array(outputs)


def measure(seed: int) -> dict:
    """How far layers are from their formulas, their cell and each other."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(1, 10, 8)).astype("float32")

    def make(layer):
        """The layer, with weights at random, biases too."""
        layer.build(x.shape)
        shapes = [weight.shape for weight in layer.weights]
        layer.set_weights([generator.normal(size=size) for size in shapes])
        return layer

    def run(layer):
        return ops.convert_to_numpy(layer(x)[0])[0]

    whole = {"return_sequences": True, "return_state": True}
    sru, qrnn = make(SRU(8, **whole)), make(QRNN(8, **whole))
    cell = make(layers.RNN(SRUCell(8), **whole))
    cell.set_weights(sru.get_weights())
    states, outputs = qrnn.get_initial_state(1), []
    for x_t in x[0]:
        output, *states = qrnn(x_t[None, None], initial_state=states)
        outputs.append(ops.convert_to_numpy(output)[0, 0])

    first = make(SRU(8, recurrent_gates=False, **whole))
    kernel, bias = first.get_weights()
    bias[8:] = 1e3  # the sigmoid of it is 1
    first.set_weights([kernel, bias])
    narrow = make(QRNN(8, 1, pooling="f", activation=None, **whole))
    # Columns of the candidate and of the forget gate, which has the bias.
    biases = np.append(np.zeros(8), bias[:8])
    narrow.set_weights([kernel[None, :, :16], biases])

    pairs = {
        "SRU": (run(sru), sru_by_formula(x[0], *sru.get_weights())),
        "SRU's cell": (run(sru), run(cell)),
        "QRNN in steps": (run(qrnn), outputs),
        "SRU as QRNN": (run(first), run(narrow)),
    }
    return {
        f"off, {name}": np.abs(found - expected).max()
        for name, (found, expected) in pairs.items()
    }


# %%
# The time of a step
# ------------------
# A layer of 128 units reads 8 sequences of as many numbers, and its weights are
# updated. The harness gives a backend one core of the processor, where nothing
# is gained by doing several things at once: what is timed is the work, and what
# the loop around it costs. SRU's cell in `keras.layers.RNN` is the pitfall: the
# same function, multiplied step by step.

TIMED = ["LSTM", "SRU", "QRNN", "transformer", "SRU's cell"]
LENGTHS = {
    "32 steps": {"steps": 32},
    "181 steps": {"steps": 181},
    "1,024 steps": {"steps": 1024},
}


def time_steps(seed: int, steps: int) -> dict:
    """Milliseconds of a training step of each layer, by length."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(8, steps, 128)).astype("float32")
    y = generator.normal(size=(8, 4)).astype("float32")
    models = [build_model(kind, 128, steps, words=False) for kind in TIMED]
    for model in models:
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    seconds = np.zeros((4, len(TIMED)))  # in turn, so that chances are equal
    for turn, number in np.ndindex(*seconds.shape):
        start = time.perf_counter()
        models[number].train_on_batch(x, y)
        seconds[turn, number] = time.perf_counter() - start
    # The first turn compiles.
    best = dict(zip(TIMED, 1000 * seconds[1:].min(axis=0), strict=True))
    return {
        **{f"ms, {kind}": best[kind] for kind in TIMED},
        "LSTM / SRU": best["LSTM"] / best["SRU"],
        "LSTM / QRNN": best["LSTM"] / best["QRNN"],
        "transformer / QRNN": best["transformer"] / best["QRNN"],
        "SRU's cell / SRU": best["SRU's cell"] / best["SRU"],
    }


# %%
# The experiment
# --------------


def plot_times(times, trials, shades) -> Figure:
    """Time of a step by length, and accuracy as difference to the LSTM."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[5, 4])
    lengths = [each["steps"] for each in LENGTHS.values()]
    for kind in TIMED if times.trials else ():
        found = [times.scores(f"ms, {kind}", at=name) for name in LENGTHS]
        found = [list(values.values()) or [np.nan] for values in found]
        means, shade = [np.mean(values) for values in found], shades[kind]
        left.loglog(lengths, means, "-o", color=shade, ms=4, label=kind)
        edges = [[f(values) for values in found] for f in (min, max)]
        left.fill_between(lengths, *edges, color=shade, alpha=0.15)
        left.legend(frameon=False, fontsize=8)
    left.set_xticks(lengths, [f"{length:,}" for length in lengths])
    left.minorticks_off()
    left.set(xlabel="steps of a sequence", ylabel="milliseconds")
    engine = keras.config.backend()
    left.set_title(f"time of a training step, {engine}", fontsize=10)
    _, *names = trials.variants
    for row, name in enumerate(names):
        points = 100 * np.array(trials.differences("accuracy", name, "LSTM"))
        places = row + np.linspace(-0.2, 0.2, len(points))
        shade = shades.get(VARIANTS[name]["kind"], "grey")
        right.plot(points, places, "o", color=shade, ms=3, alpha=0.5)
        found = trials.is_same("accuracy", name, than="LSTM", within=0.02)
        line = 100 * np.array([found.low, found.effect, found.high], float)
        right.plot(line, [row] * 3, "-D", color=shade, markevery=[1])
    right.axvspan(-2, 2, color="grey", alpha=0.12, linewidth=0)
    right.axvline(0, color="black", linewidth=0.8, linestyle=":")
    right.set_yticks(range(len(names)), names)
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_title("accuracy: difference to the LSTM", fontsize=10)
    right.set_xlabel("points of accuracy; grey: within 2 points")
    figure.supxlabel(
        "left: mean of the runs and their range; right: a dot is a seed, "
        "diamond and line are mean and 95 % interval",
        fontsize=8,
    )
    return figure


def main(epochs: Count = 2, seeds: Count = 3) -> Report:
    """Compares the layers on text, seed by seed, and times them.

    Args:
        epochs: passes over 3,600 docstrings.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    times = run_trials(
        time_steps, conditions=LENGTHS, seeds=max(seeds // 3, 1), timing=True
    )
    *_, long = LENGTHS
    exact = {
        "SRU computes its formulas": "SRU",
        "SRU does at once what its cell does step by step": "SRU's cell",
        "QRNN can be given one step at a time": "QRNN in steps",
        "SRU's first form is a narrow QRNN, but for a tanh": "SRU as QRNN",
    }
    claims = {
        # Ten steps with sums of sixteen products of about one, in float32.
        text: facts.agrees(f"off, {pair}", 0.0, within=1e-5)
        for text, pair in exact.items()
    }
    for kind in ("SRU", "QRNN"):
        ratio, later = f"LSTM / {kind}", f"{kind}, forget bias 2"
        claims |= {
            f"{kind} is faster than an LSTM at 1,024 steps": (
                times.is_above(ratio, 1.0, at=long)
            ),
            f"{kind} is three times as fast at 1,024 steps": (
                times.is_above(ratio, 3.0, at=long)
            ),
            f"On text, {kind} is within 2 points of an LSTM": (
                trials.is_same("accuracy", kind, than="LSTM", within=0.02)
            ),
            f"Forget bias 2 brings {kind} within 2 points of an LSTM": (
                trials.is_same("accuracy", later, than="LSTM", within=0.02)
            ),
        }
    claims |= {
        "The lead of SRU over an LSTM grows with the length": (
            times.trend("LSTM / SRU", over="steps", log=True)
        ),
        "Run step by step, SRU's cell takes twice the layer's time": (
            times.is_above("SRU's cell / SRU", 2.0, at=long)
        ),
        "QRNN competes with a transformer: within 2 points or better": (
            trials.is_higher("accuracy", "QRNN", than="transformer", by=-0.02)
        ),
        "QRNN is faster than a transformer at 1,024 steps": (
            times.is_above("transformer / QRNN", 1.0, at=long)
        ),
        "Order counts: an LSTM beats the mean of the words": (
            trials.is_higher("accuracy", "LSTM", than="mean of the words")
        ),
    }
    notes = "Simplified RNN, with pytorch implementation", "QRNN"
    return Report(
        trials.table("accuracy", "weights"),
        times.table(*(f"ms, {kind}" for kind in TIMED)),
        plot_times(times, trials, colours(TIMED)),
        *(
            Claim(text, found, f"Deep Learning Models, {notes['QRNN' in text]}")
            for text, found in claims.items()
        ),
    )


# %%
# What to make of it
# ------------------
# What SRU and QRNN save is the matrix product at each step. How much of an
# LSTM's time that is depends on the width, the backend and the machine: a loop
# that only multiplies and adds is still a loop, and each round of it has to be
# started. On a graphics card the authors run all rounds in one kernel of their
# own, which Keras does not have. Look at the forget bias before you judge what
# such a layer can learn. The notes advise to read the papers on PixelRNN, QRNN
# and SRU in the order in which they appeared, and to "use the most optimal
# solution". Two things to try: 512 units in place of 128 in `time_steps`; and
# `Bidirectional(SRU(16))` on text, which takes it as it takes an LSTM.

if __name__ == "__main__":
    cook(main)
