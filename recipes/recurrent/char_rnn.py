"""
A language model of characters
==============================

A recurrent network reads English text character by character and says each
time what comes next. It is trained by the text itself, and it can write: what
it draws from its probabilities is what it reads next. "Unreasonably
effective", says the article that the notes recommend. Effective against what?

A model is as good as the probabilities that it gives to what really comes, on
text that it has not seen. In bits a character,

.. math:: -\\frac 1 n \\sum_t \\log_2 P(s_t \\mid s_1, \\ldots, s_{t-1})

which is also how far the text could be compressed with the model's help. So
there are rivals that learn nothing by gradients: the 5-gram model counts which
character came after which four in the training text, and ``xz`` finds phrases
that were there before: for it, the bits are those by which the training text
grows, compressed, when the test text is put behind it.

Drawing, a temperature :math:`T` makes bold or cautious what follows from the
logits :math:`z`, :math:`P(s) \\propto \\exp(z_s / T)`: below 1 the probable
becomes more probable. *Top k* leaves all but the k best characters out.

:question: How good is a character-level LSTM, and how does it write text?
:level: intermediate
:notes: Deep Learning Models, The Unreasonable Effectiveness of Recurrent Neural
    Networks
:papers: Karpathy et al. 2015, https://arxiv.org/abs/1506.02078;
    Graves 2013, https://arxiv.org/abs/1308.0850;
    Witten and Bell 1991, https://doi.org/10.1109/18.87000
:backends: tensorflow, jax, torch
:before: recurrent/stateful_lstm
"""

import lzma

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from kerasrecipes.analysis import NGramModel
from kerasrecipes.datasets import CHARACTERS, FOLDS, load_characters
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "5-gram": {"order": 5},
    "3-gram": {"order": 3},
    "1-gram": {"order": 1},
    "xz": {"is_xz": True},
    "LSTM": {},
}
QUICK = {"steps": 3, "seeds": 1, "variants": ["5-gram", "LSTM"]}
FULL = {"steps": 1800, "seeds": 10}

KINDS, SPACE, UNITS = len(CHARACTERS), 1, 128
BATCH, WINDOW = 8, 64  # in training: windows, and characters of each
BEFORE, RUN, ROWS = 100, 200, 96  # in tests: read first, then judged, rows
WRITTEN, LINE = 400, 90  # characters of a sample, and of a line to show
# How a sample is drawn: temperature, and from how many of the best.
WAYS = {
    "0.5": (0.5, KINDS),
    "1": (1.0, KINDS),
    "1.5": (1.5, KINDS),
    "1, top 5": (1.0, 5),
}

# %%
# The network
# -----------
# One LSTM. Two models share its layers: one is trained from a state of zeros,
# the other takes a state and hands it back, with what its units are at.


def build_model() -> tuple[keras.Model, keras.Model]:
    """The model to train, (batch, steps) to logits, and the one with states."""
    signs = keras.Input((None,), dtype="int32")
    states = [keras.Input((UNITS,)) for _ in "hc"]
    embed = layers.Embedding(KINDS, 16)
    lstm = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    drop, head = layers.Dropout(0.1), layers.Dense(KINDS)
    model = keras.Model(signs, head(drop(lstm(embed(signs))[0])))
    h, *after = lstm(embed(signs), initial_state=states)
    return model, keras.Model([signs, *states], [head(h), h, *after])


def zeros(rows: int) -> list:
    """The state before anything was read."""
    return [np.zeros((rows, UNITS), "float32") for _ in "hc"]


# %%
# Reading and writing
# -------------------
# `predict_on_batch` is compiled: four hundred times it is called with a single
# character, and operation by operation that would take long.


def read(reader, text, length=BEFORE + RUN, every=RUN):
    """Bits (rows, steps) of a text cut in rows; units; the characters read."""
    count = (len(text) - length) // every + 1
    rows = text[every * np.arange(count)[:, None] + np.arange(length)]
    logits, h, _, _ = reader.predict_on_batch([rows[:, :-1], *zeros(count)])
    logits = logits.astype("float64")
    total = np.logaddexp.reduce(logits, axis=-1)
    chosen = np.take_along_axis(logits, rows[:, 1:, None], axis=2)[:, :, 0]
    return (total - chosen) / np.log(2), h, rows[:, :-1]


def draw(logits, temperature, top, uniform):
    """A character for each row, by a number from 0 to 1 that is given it."""
    logits = logits.astype("float64") / temperature
    least = np.take_along_axis(np.sort(logits), KINDS - top, axis=1)
    weights = np.exp(logits - logits.max(1, keepdims=True)) * (logits >= least)
    edges = np.cumsum(weights, axis=1)
    return np.sum(edges <= uniform[:, None] * edges[:, -1:], axis=1)


def write(reader, generator):
    """Samples by the way they were drawn, ten rows of 400 characters each."""
    ways = [way for way in WAYS.values() for _ in range(10)]
    temperature, top = np.array(ways).T[:, :, None]
    signs, states, written = np.zeros(len(ways), "int32"), zeros(len(ways)), []
    for _ in range(WRITTEN):
        inputs = [signs[:, None].astype("int32"), *states]
        logits, _, *states = reader.predict_on_batch(inputs)
        uniform = generator.random_sample(len(ways))
        signs = draw(logits[:, 0], temperature, top.astype(int), uniform)
        written.append(signs)
    parts = np.split(np.stack(written, axis=1), len(WAYS))
    return list(zip(WAYS, parts, strict=True))


def spell(codes) -> str:
    """Text for characters."""
    return "".join(CHARACTERS[int(code)] for code in codes)


# %%
# Rivals
# ------
# The n-gram model of the helper mixes every context with the shorter ones, so
# that nothing is impossible. LZMA2 is what is in a file of ``xz``, here without
# the file's head and at its best setting.


def packed_bits(text, before) -> float:
    """Bits that xz takes for each character of text, given the one before."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]

    def size(codes):
        letters = spell(codes).encode()
        return len(lzma.compress(letters, lzma.FORMAT_RAW, filters=filters))

    return 8 * (size(np.append(before, text)) - size(before)) / len(text)


# %%
# A unit to look at
# -----------------
# Of 128 units, which one follows how many letters there were since the last
# space? It is chosen on validation text, and judged and drawn on test text;
# before training too, for among 128 random units there is always a best one.


def follow_words(reader, validation, test) -> tuple[float, np.ndarray]:
    """A unit's correlation on test text, and what it does in the first row."""
    found = []
    for text in (validation, test):
        _, h, rows = read(reader, text)
        places = np.arange(rows.shape[1])
        last = np.maximum.accumulate(np.where(rows > SPACE, 0, places), axis=1)
        letters = (places - last)[:, BEFORE:].ravel()
        units = h[:, BEFORE:].reshape(-1, UNITS)
        units, letters = units - units.mean(0), letters - letters.mean()
        sizes = np.linalg.norm(units, axis=0) * np.linalg.norm(letters)
        found.append(letters @ units / sizes)
    unit = np.argmax(np.abs(found[0]))
    sign = np.sign(found[0][unit])
    return sign * found[1][unit], sign * h[0, :, unit]


# %%
# One trial
# ---------
# Put your own text in the first line: integers from 0 to 27, one for each
# character. All rivals are judged on the same 19,200 characters of test text;
# the network has read at least a hundred characters before each of them.


def train(
    seed: int, steps: int, order: int | None = None, is_xz: bool = False
) -> dict:
    """Bits a character of one rival; what the network writes, if it is that."""
    text, validation, test = load_characters(fold=seed)
    test = test[: BEFORE + RUN * ROWS]
    keras.utils.set_random_seed(seed)
    if order:
        bits = NGramModel(text, order, KINDS).bits(test[BEFORE - order + 1 :])
        return {"bits a character": bits.mean()}
    if is_xz:
        before = np.append(text, test[:BEFORE])
        return {"bits a character": packed_bits(test[BEFORE:], before)}

    model, reader = build_model()
    at_first, _ = follow_words(reader, validation, test)
    rate = keras.optimizers.schedules.CosineDecay(0.015, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    generator = np.random.RandomState(seed)
    starts = generator.randint(0, len(text) - WINDOW, steps * BATCH)
    windows = text[starts[:, None] + np.arange(WINDOW + 1)]
    model.fit(windows[:, :-1], windows[:, 1:], BATCH, verbose=0)

    bits = read(reader, test)[0][:, BEFORE - 1 :].mean()
    cold = read(reader, test[BEFORE - 1 :], WINDOW + 1, WINDOW)[0].mean()
    follows, unit = follow_words(reader, validation, test)
    samples = write(reader, generator)
    known = {*spell(np.concatenate([text, validation, test])).split()}
    real, different = {}, {}
    for name, codes in samples:
        # The last word of a sample may have been cut off.
        words = [word for row in codes for word in spell(row).split()[:-1]]
        words = words[:400]
        real[name] = sum(word in known for word in words) / max(len(words), 1)
        different[name] = len({*words}) / max(len(words), 1)
    shown = slice(BEFORE, BEFORE + 2 * LINE)
    return {
        "bits a character": bits,
        "lost by a cold start": cold - bits,
        "real words, 0.5 - 1": real["0.5"] - real["1"],
        "real words, top 5 - all": real["1, top 5"] - real["1"],
        "different words, 0.5 - 1": different["0.5"] - different["1"],
        "unit follows the word": follows,
        "gained by training": follows - at_first,
        "curves": {
            "text": test[shown].tolist(),
            "unit": unit[shown].tolist(),
            **{name: codes[0, :LINE].tolist() for name, codes in samples},
        },
    }


# %%
# What must hold exactly
# ----------------------


def measure(seed: int) -> dict:
    """Sums of an n-gram model's probabilities, and shares of what is drawn."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    text, _, test = load_characters(10_000, fold=seed)
    contexts = generator.integers(KINDS, size=(500, 4))  # most of them new
    contexts[:400] = test[: 4 * 400].reshape(400, 4)
    sums = NGramModel(text, 5, KINDS).predict(contexts).sum(1)

    # Numbers from 0 to 1 as even as can be, so that shares are probabilities.
    logits, uniform = generator.normal(size=KINDS), (np.arange(1e4) + 0.5) / 1e4
    off = []
    for temperature, top in WAYS.values():
        drawn = draw(logits[None], temperature, np.array([[top]]), uniform)
        expected = np.exp(logits) ** (1 / temperature)
        expected[np.argsort(-logits)[top:]] = 0.0
        shares = np.bincount(drawn, minlength=KINDS) / len(uniform)
        off.append(np.abs(shares - expected / expected.sum()).max())
    return {"sum off 1": np.abs(sums - 1).max(), "shares off": max(off)}


# %%
# The experiment
# --------------


def plot_text(trials, shades: dict) -> Figure:
    """Bits of all rivals; a unit over a text; samples."""
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    bits, unit, samples = figure.subplots(3, 1, height_ratios=(5, 3, 4))
    for row, name in enumerate(trials.variants):
        scores = np.array([*trials.scores("bits a character", name).values()])
        places = row + np.linspace(-0.2, 0.2, len(scores))
        bits.plot(scores, places, "o", color=shades[name], alpha=0.5)
        if len(scores):
            bits.plot(scores.mean(), row, "D", color=shades[name])
    bits.set_yticks(range(len(trials.variants)), trials.variants)
    bits.set_xlabel("bits a character (dot: a seed, diamond: the mean)")
    bits.invert_yaxis()

    found = trials.curves("unit", "LSTM")
    samples.axis("off")
    if not len(found):
        return figure
    shown = found[0].reshape(-1, LINE)
    image = unit.imshow(shown, "PuOr", vmin=-1, vmax=1, alpha=0.6)
    style = {"family": "monospace", "fontsize": 8, "va": "center"}
    lines = {
        name: spell(trials.curves(name, "LSTM")[0]).replace("\n", "|")
        for name in ("text", *WAYS)
    }
    for place, sign in enumerate(lines.pop("text")):
        row, column = divmod(place, LINE)
        unit.text(column, row, sign, ha="center", **style)
    unit.set(xticks=[], yticks=[], aspect="auto")
    unit.set_title("Test text, and the unit that follows its words best")
    figure.colorbar(image, ax=unit, label="output")
    for row, (name, line) in enumerate(lines.items()):
        samples.text(0, -row, f"{name:>8}: {line}", **style)
    samples.set(xlim=(0, 1), ylim=(-len(WAYS), 1))
    samples.set_title("Written by the LSTM, by temperature (|: a line ends)")
    return figure


def main(steps: Count = 600, seeds: Count = 3) -> Report:
    """Compares an LSTM with its rivals, seed by seed.

    Args:
        steps: training steps of the LSTM, of eight windows each.
        seeds: paired repetitions, each with other parts of the text.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(train, VARIANTS, seeds=seeds, folds=FOLDS, steps=steps)
    bits = "bits a character"
    exact = {
        # Twenty-eight numbers in float64.
        "The probabilities of an n-gram model add up to one": (
            facts.agrees("sum off 1", 0.0, within=1e-12)
        ),
        # Each end of a share is off by half a step of 1/10,000 at most.
        "Characters are drawn as often as temperature and top k say": (
            facts.agrees("shares off", 0.0, within=1.01e-4)
        ),
    }
    claims = {
        "An LSTM needs fewer bits than a 5-gram model": (
            trials.is_lower(bits, "LSTM", than="5-gram")
        ),
        "An LSTM needs fewer bits than xz": (
            trials.is_lower(bits, "LSTM", than="xz")
        ),
        "A 5-gram model needs fewer bits than xz": (
            trials.is_lower(bits, "5-gram", than="xz")
        ),
        "An LSTM that starts anew every 64 characters loses over 0.05 bits": (
            trials.is_above("lost by a cold start", 0.05, "LSTM")
        ),
        "At temperature 0.5 more words are real ones than at 1": (
            trials.is_above("real words, 0.5 - 1", 0.0, "LSTM")
        ),
        "At temperature 0.5 fewer words are different ones than at 1": (
            trials.is_below("different words, 0.5 - 1", 0.0, "LSTM")
        ),
        "Of the best five characters alone, more words are real ones": (
            trials.is_above("real words, top 5 - all", 0.0, "LSTM")
        ),
        "In training a unit learns to follow the word": (
            trials.is_above("gained by training", 0.0, "LSTM")
        ),
    }
    notes = (
        "Deep Learning Models, "
        "The Unreasonable Effectiveness of Recurrent Neural Networks"
    )
    return Report(
        trials.table(bits),
        plot_text(trials, colours(VARIANTS)),
        *(Claim(*claim, notes) for claim in (exact | claims).items()),
    )


# %%
# What to make of it
# ------------------
# Count before you train. A 5-gram model takes a second and no settings, and
# on a short text it is hard to beat; what it cannot do is remember more than
# four characters, and with a longer memory it has seen ever fewer of its
# contexts before. Carry the state along when you judge and when you write. A
# unit that seems to know something is a finding only where a random one does
# not. Two things to try: 400,000 characters of text with as many more steps;
# and the mean of the two models' probabilities.

if __name__ == "__main__":
    cook(main)
