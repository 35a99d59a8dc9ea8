"""
Cells of one's own: ten lines, and Keras does the rest
======================================================

RecurrentShop, which the notes name, built complex recurrent networks for an
early Keras. Keras has room for that itself: a *cell* says what happens in one
step, and ``keras.layers.RNN`` runs it over a sequence. Here are four that Keras
lacks. From an input :math:`x` and a state :math:`h`, a *multiplicative* cell
lets each input have weights of its own for the state,

.. math::

   m_t = (x_t A) \\odot (h_{t-1} B), \\qquad
   h_t = \\tanh(x_t W + m_t U + b)

an *attention* cell looks back at the last :math:`s` states, by their likeness
:math:`\\alpha` to what it asks for,

.. math::

   \\alpha = \\mathrm{softmax}_{k \\leq s}(h_{t-1} Q \\cdot h_{t-k}), \\qquad
   h_t = \\tanh(x_t W + h_{t-1} U + \\sum_k \\alpha_k h_{t-k} V + b)

a *readout* cell is told what it has said, and a *hierarchical* cell has two
cells inside, of which the lower hears what the upper has made of the step
before.

:question: How do I write a recurrent cell that Keras does not have?
:level: advanced
:notes: Deep Learning Models, RNNCELLS - recurrent shop
:papers: Krause et al. 2016, https://arxiv.org/abs/1609.07959;
    Cheng et al. 2016, https://arxiv.org/abs/1601.06733
:backends: tensorflow, jax, torch
:before: recurrent/simple_rnn
"""

import tempfile
from functools import partial

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_characters, make_copy_memory
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

# Units that lead to networks of about as many weights.
VARIANTS = {
    "SimpleRNN": {"cell": "simple", "units": 48},
    "multiplicative": {"cell": "multiplicative", "units": 34},
    "attention": {"cell": "attention", "units": 32},
    "readout": {"cell": "readout", "units": 43},
    "hierarchical": {"cell": "hierarchical", "units": 28},
}
CONDITIONS = {"copy memory": {"task": "copy"}, "text": {"task": "text"}}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["SimpleRNN", "attention"],
    "conditions": ["copy memory"],
}
FULL = {"seeds": 10}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SIGNS, STEPS = 28, 16
LENGTH, GAP, SYMBOLS = 3, 2, 8  # of the copy memory

# %%
# What a cell is
# --------------
# A layer with a `state_size`, whose call gets the inputs of one step and a list
# of states, and returns an output and the new states. The first state is the
# output, which is what Keras repeats where a step is masked. `get_config` gives
# back every argument, and registering is all that loading needs beyond that.


class Cell(layers.Layer):
    """What the cells below have in common: units, and how to make weights."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = self.output_size = units
        self.state_size = [units]

    def add_matrix(self, inputs: int, start: str = "glorot_uniform"):
        """Weights from so many inputs to the units."""
        return self.add_weight((inputs, self.units), start)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("custom_cells")
class MultiplicativeCell(Cell):
    """A state whose weights depend on the input."""

    def build(self, input_shape):
        self.from_x = self.add_matrix(input_shape[-1])
        self.from_h = self.add_matrix(self.units, "orthogonal")
        self.kernel = self.add_matrix(input_shape[-1])
        self.recurrent = self.add_matrix(self.units, "orthogonal")
        self.bias = self.add_weight((self.units,), "zeros")

    def call(self, inputs, states):
        (h,) = states
        m = ops.matmul(inputs, self.from_x) * ops.matmul(h, self.from_h)
        total = ops.matmul(inputs, self.kernel) + ops.matmul(m, self.recurrent)
        h = ops.tanh(total + self.bias)
        return h, [h]


@keras.saving.register_keras_serializable("custom_cells")
class AttentionCell(Cell):
    """A state that is told of the past states that it asks for."""

    def __init__(self, units: int, size: int = 8, **kwargs):
        super().__init__(units, **kwargs)
        self.size = size
        self.state_size = [units, size * units]  # the last states, in a row

    def build(self, input_shape):
        self.kernel = self.add_matrix(input_shape[-1])
        self.recurrent = self.add_matrix(self.units, "orthogonal")
        self.query = self.add_matrix(self.units)
        self.value = self.add_matrix(self.units)
        self.bias = self.add_weight((self.units,), "zeros")

    def call(self, inputs, states):
        h, kept = states
        past = ops.reshape(kept, (-1, self.size, self.units))
        query = ops.matmul(h, self.query)
        weights = ops.softmax(ops.einsum("bu,bku->bk", query, past))
        found = ops.einsum("bk,bku->bu", weights, past)
        total = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent)
        h = ops.tanh(total + ops.matmul(found, self.value) + self.bias)
        return h, [h, ops.concatenate([kept[:, self.units :], h], axis=-1)]

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("custom_cells")
class ReadoutCell(Cell):
    """A cell of Keras that has its last answer among its inputs."""

    def __init__(self, units: int, outputs: int, **kwargs):
        super().__init__(units, **kwargs)
        self.outputs = self.output_size = outputs
        self.state_size = [outputs, units]
        self.inner = layers.SimpleRNNCell(units, dtype=self.dtype_policy)
        self.answer = layers.Dense(outputs, "tanh", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.inner.build((None, input_shape[-1] + self.outputs))
        self.answer.build((None, self.units))

    def call(self, inputs, states):
        said, h = states
        h, _ = self.inner(ops.concatenate([inputs, said], axis=-1), [h])
        said = self.answer(h)
        return said, [said, h]

    def get_config(self):
        return {**super().get_config(), "outputs": self.outputs}


@keras.saving.register_keras_serializable("custom_cells")
class HierarchicalCell(Cell):
    """Two cells of Keras: what the upper says goes to the lower, a step on."""

    def __init__(self, units: int, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, units]
        self.lower = layers.SimpleRNNCell(units, dtype=self.dtype_policy)
        self.upper = layers.SimpleRNNCell(units, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.lower.build((None, input_shape[-1] + self.units))
        self.upper.build((None, self.units))

    def call(self, inputs, states):
        above, below = states
        below, _ = self.lower(ops.concatenate([inputs, above], -1), [below])
        above, _ = self.upper(below, [above])
        return above, [above, below]


def make_cell(cell: str, units: int) -> layers.Layer:
    """A cell by its name."""
    cells = {
        "simple": layers.SimpleRNNCell,
        "multiplicative": MultiplicativeCell,
        "attention": partial(AttentionCell, size=16),
        "readout": partial(ReadoutCell, outputs=16),
        "hierarchical": HierarchicalCell,
    }
    return cells[cell](units)


def build_model(cell: str, units: int) -> keras.Model:
    """Logits of a sign at each step, from signs: (batch, steps)."""
    spread = keras.initializers.RandomNormal(stddev=1.0)
    return keras.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(SIGNS, 16, embeddings_initializer=spread),
            layers.RNN(make_cell(cell, units), return_sequences=True),
            layers.Dense(SIGNS),
        ]
    )


# %%
# One trial
# ---------
# Put your own sequences into `load`: integers x and y of the shape (samples,
# steps). A text is asked for its next character at each step. Of the copy
# memory, three symbols and a wait of two steps, only the last three answers
# count. Who only guesses needs 4.81 bits a character, or 3 bits a symbol.


def load(task: str, seed: int) -> tuple:
    """Training part and test part, each of sequences x and y."""
    if task == "copy":
        x, y = make_copy_memory(3000, GAP, LENGTH, SYMBOLS, seed=seed)
        return (x[:2000], y[:2000]), (x[2000:], y[2000:])
    x, _, x_test = load_characters(2000 * STEPS + 1, fold=seed)
    return tuple(
        (part[:-1].reshape(-1, STEPS), part[1:].reshape(-1, STEPS))
        for part in (x, x_test[: 1000 * STEPS + 1])
    )


def train(seed: int, epochs: int, task: str, cell: str, units: int) -> dict:
    """Trains one cell on one task; returns bits for each answer on new data."""
    (x, y), (x_test, y_test) = load(task, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(cell, units)
    model.compile(keras.optimizers.Adam(0.01), LOSS)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=100, epochs=epochs, verbose=0)
    asked = slice(-LENGTH, None) if task == "copy" else slice(None)
    nats = LOSS(y_test[:, asked], model(x_test)[:, asked])
    return {"bits": ops.convert_to_numpy(nats) / np.log(2)}


# %%
# What must hold exactly
# ----------------------
# Whatever the cell: `RNN` calls it step by step, passes over padding, and is
# the same once it is saved and loaded. Three ways to go wrong: a `get_config`
# that leaves an argument out, so that loading takes its default; none at all;
# and a state that is kept in an attribute, where Keras does not set it back for
# the next batch. The notes' Lambda layers wrap a function, which Keras does not
# load in its safe mode: registered classes take their place here.

FACTS = {
    "steps": "In RNN each cell is a loop over its call by hand",
    "mask": "Each cell passes over masked padding",
    "loaded": "Each cell is the same once it is saved and loaded",
    "no config": "Without any get_config a cell of plain arguments is loaded",
}


@keras.saving.register_keras_serializable("custom_cells")
class ForgetfulCell(AttentionCell):
    """Leaves the size of its memory out of the config."""

    get_config = Cell.get_config


@keras.saving.register_keras_serializable("custom_cells")
class BareCell(MultiplicativeCell):
    """Has what Keras makes up in place of a config."""

    get_config = layers.Layer.get_config


class AttributeCell(MultiplicativeCell):
    """Keeps its state to itself."""

    kept = None

    def call(self, inputs, states):
        states = states if self.kept is None else [self.kept]
        self.kept, _ = super().call(inputs, states)
        return self.kept, states


def reload(cell, x):
    """What a cell says of sequences before it is saved, and once loaded."""
    model = keras.Sequential([layers.Input(x.shape[1:]), layers.RNN(cell)])
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    return [ops.convert_to_numpy(one(x)) for one in (model, loaded)]


def measure(seed: int) -> dict:
    """How far each cell is off what it should be, and what mistakes cost."""
    keras.utils.set_random_seed(seed)
    x = np.random.default_rng(seed).normal(size=(6, 20, 5)).astype("float32")
    padded = np.pad(x, ((0, 0), (0, 4), (0, 0)), constant_values=9)
    mask = ops.convert_to_tensor(np.arange(24) < np.full((6, 1), 20))
    off = {"steps": [], "mask": [], "loaded": []}
    for arguments in [*VARIANTS.values()][1:]:
        cell = make_cell(**arguments)
        said, again = reload(cell, x)
        rnn = layers.RNN(cell)
        states = rnn.get_initial_state(len(x))
        for step in range(20):
            output, states = cell(x[:, step], states)
        masked = rnn(padded, mask=mask)
        off["steps"].append(ops.convert_to_numpy(output) - said)
        off["mask"].append(ops.convert_to_numpy(masked) - said)
        off["loaded"].append(again - said)
    whole, forgotten = reload(ForgetfulCell(8, size=20), x)
    off["no config"] = [np.subtract(*reload(BareCell(8), x))]
    # Unrolled: from within a compiled loop JAX lets nothing out.
    leaking = layers.RNN(AttributeCell(8), unroll=True)
    first, second = (ops.convert_to_numpy(leaking(x[:, :3])) for _ in range(2))
    counts = [build_model(**one).count_params() for one in VARIANTS.values()]
    return {
        **{n: max(np.abs(one).max() for one in off[n]) for n in off},
        "weights": max(counts) / min(counts) - 1,
        "forgotten": np.linalg.norm(forgotten - whole) / np.linalg.norm(whole),
        "leak": np.linalg.norm(second - first) / np.linalg.norm(first),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 6, seeds: Count = 3) -> Report:
    """Compares four cells with a plain one, seed by seed.

    Args:
        epochs: passes over 2,000 sequences.
        seeds: paired repetitions of every cell on both tasks.
    """
    facts = run_trials(measure, seeds=seeds)
    # All intervals are widened for the folds of the text.
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    notes = "Deep Learning Models, RNNCELLS - recurrent shop"
    claims = {
        # Float32, through twenty steps.
        text: facts.agrees(name, 0, within=1e-5)
        for name, text in FACTS.items()
    }
    claims |= {
        "The networks have equal weights within 3 %": (
            facts.agrees("weights", 0, within=0.03)
        ),
        "An argument that get_config leaves out is lost: off by a tenth": (
            facts.is_above("forgotten", 0.1)
        ),
        "A state in an attribute puts the next batch off by a tenth": (
            facts.is_above("leak", 0.1)
        ),
    }
    plain, *others = VARIANTS
    for name in others:
        for task in CONDITIONS:
            text = f"With equal weights {name} beats {plain} on {task}"
            claims[text] = trials.is_lower("bits", name, than=plain, at=task)
    return Report(
        trials.table("bits"),
        facts.table("forgotten", "leak"),
        plot_differences(trials, "bits", xlabel="bits (fewer are better)"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Write a cell where an idea is about one step: all else comes with `RNN`. Test
# it by a loop, by a mask, and by loading it in another process, before you
# train it. What helps on one of the two tasks need not help on the other. Two
# things to try: ``layers.GRUCell`` inside of the hierarchical cell, whose
# output is its state as well; and an attention cell with ``size=4``.

if __name__ == "__main__":
    cook(main)
