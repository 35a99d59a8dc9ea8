"""
Where masks get lost
====================

A mask says which steps of a padded sequence are real. Keras hands it from layer
to layer beside the data, as far as each layer lets it. A layer can hand it on,
because its outputs are still one for each step; use it up, because it makes one
output of all real steps; or lose it, because its authors said nothing of masks.

What is lost is not missed: the layers behind read the padding as if it were
data, and at most a warning has been heard. With :math:`x_t` the inputs and
:math:`m_t` the mask, pooling over time ought to be

.. math::

   \\frac{\\sum_t m_t \\, x_t}{\\sum_t m_t}
   \\quad \\text{or} \\quad \\max_{t : \\, m_t = 1} x_t

and one of the two layers that do it looks at :math:`m_t`. The table is made by
running every layer of Keras that takes a sequence of numbers.

:question: Which layers hand on a mask, and which forget it?
:level: intermediate
:notes: Deep Learning Models, Masking for RNNs
:backends: tensorflow, jax, torch
:before: preparation/padding_and_masking
"""

import warnings

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import make_signed_sums
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "mask": {"between": "nothing"},
    "mask lost": {"between": "convolution"},
    "mask by hand": {"between": "convolution", "by_hand": True},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["mask", "mask lost"],
}
FULL = {"epochs": 8, "seeds": 10}

STEPS, TRAINING, TEST = 48, 500, 1000
SCORES = {
    "mask comes out": "#0072B2",
    "warns": "#E69F00",
    "padding shows": "#D55E00",
    "fails": "#000000",
}
NOTES = "Deep Learning Models, Masking for RNNs"

# %%
# Following a mask
# ----------------
# Each layer is put behind an embedding and in front of a layer that says
# whether a mask has come.


class MaskReader(layers.Layer):
    """Hands on its inputs, and remembers whether a mask came with them."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True
        self.has_mask = None

    def call(self, inputs, mask=None):
        self.has_mask = mask is not None
        return inputs


# %%
# The layers
# ----------
# These are all layers of Keras that take numbers of shape (batch, steps,
# features), apart from those for images and sound, and from Lambda, which does
# with a mask what it is told. Recurrent layers have an output at each step.

LAYER_NAMES = """
    Dense EinsumDense Activation ReLU LeakyReLU PReLU ELU Softmax Identity
    Rescaling Dropout SpatialDropout1D AlphaDropout GaussianDropout
    GaussianNoise ActivityRegularization Normalization BatchNormalization
    LayerNormalization GroupNormalization RMSNormalization UnitNormalization
    SpectralNormalization Conv1D Conv1DTranspose SeparableConv1D DepthwiseConv1D
    MaxPooling1D AveragePooling1D AdaptiveMaxPooling1D AdaptiveAveragePooling1D
    GlobalMaxPooling1D GlobalAveragePooling1D LSTM GRU SimpleRNN RNN
    Bidirectional TimeDistributed Masking Add Subtract Multiply Average Maximum
    Minimum Concatenate Dot Attention AdditiveAttention MultiHeadAttention
    GroupQueryAttention Flatten Reshape Permute Cropping1D UpSampling1D
    ZeroPadding1D
"""
LAYERS = {name: {"name": name} for name in LAYER_NAMES.split()}
# What a constructor has to be told. Layers within layers go by their names.
ARGUMENTS = {
    "Dense": {"units": 4},
    "EinsumDense": {"equation": "abc,cd->abd", "output_shape": (8, 4)},
    "Activation": {"activation": "tanh"},
    "Rescaling": {"scale": 2.0},
    "Dropout": {"rate": 0.5},
    "SpatialDropout1D": {"rate": 0.5},
    "AlphaDropout": {"rate": 0.5},
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "GroupNormalization": {"groups": 2},
    "SpectralNormalization": {"layer": "Dense"},
    "Conv1D": {"filters": 4, "kernel_size": 3},
    "Conv1DTranspose": {"filters": 4, "kernel_size": 3},
    "SeparableConv1D": {"filters": 4, "kernel_size": 3},
    "DepthwiseConv1D": {"kernel_size": 3},
    "AveragePooling1D": {"pool_size": 2},
    "AdaptiveMaxPooling1D": {"output_size": 4},
    "AdaptiveAveragePooling1D": {"output_size": 4},
    "LSTM": {"units": 4, "return_sequences": True},
    "GRU": {"units": 4, "return_sequences": True},
    "SimpleRNN": {"units": 4, "return_sequences": True},
    "LSTMCell": {"units": 4},
    "RNN": {"cell": "LSTMCell", "return_sequences": True},
    "Bidirectional": {"layer": "LSTM"},
    "TimeDistributed": {"layer": "Dense"},
    "Dot": {"axes": 1},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 4},
    "GroupQueryAttention": {
        "head_dim": 4,
        "num_query_heads": 2,
        "num_key_value_heads": 1,
    },
    "Reshape": {"target_shape": (6, 8)},
    "Permute": {"dims": (2, 1)},
}
TWO_INPUTS = {
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
    *("Concatenate", "Dot", "Attention", "AdditiveAttention"),
}
QUERY_AND_VALUE = {"MultiHeadAttention", "GroupQueryAttention"}


def make_layer(name: str) -> layers.Layer:
    """A layer by its name, with what its constructor needs."""
    arguments = dict(ARGUMENTS.get(name, {}))
    for inner in {"layer", "cell"} & arguments.keys():
        arguments[inner] = make_layer(arguments[inner])
    return getattr(layers, name)(**arguments)


# %%
# What becomes of a mask
# ----------------------
# A sentence of six words and two padded steps is read twice. In between, the
# row of the embedding that stands for padding is changed. If the first six
# steps of the outputs follow, or anything in outputs of another length, the
# padding shows. One layer cannot do anything with such a mask, and fails.


def follow_mask(seed: int, name: str) -> dict:
    """What becomes of a mask, and of the padding, in one layer."""
    keras.utils.set_random_seed(seed)
    layer = make_layer(name)
    embedding = layers.Embedding(9, 6, mask_zero=True)
    reader = MaskReader()
    sentence = np.array([[3, 1, 4, 1, 5, 8, 0, 0]])

    def read():
        x = embedding(sentence)  # (1, 8, 6)
        if name in QUERY_AND_VALUE:
            x = layer(x, x)
        else:
            x = layer([x, x] if name in TWO_INPUTS else x)
        outputs = ops.convert_to_numpy(reader(x))
        return outputs[:, :6] if outputs.shape[1] == 8 else outputs

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            before = read()
        except ValueError:
            return dict.fromkeys(SCORES, 0.0) | {"fails": 1.0}
        table = embedding.get_weights()[0]
        table[0] += 1.0  # the word 0, which is the padding
        embedding.set_weights([table])
        after = read()
    return {
        "mask comes out": reader.has_mask,
        "warns": any("mask" in str(warning.message) for warning in heard),
        "padding shows": not np.allclose(before, after, atol=1e-6),
        "fails": 0.0,
    }


# %%
# What a lost mask costs
# ----------------------
# Is the sum of 3 to 12 numbers above zero? They are written as words from 1 to
# 11 and padded to 48 steps. Between embedding and LSTM comes a convolution over
# a single step: it mixes features, not steps, and still loses the mask. The
# mask can be carried past it by hand.


def build_model(between: str, by_hand: bool = False) -> keras.Model:
    """Says of (batch, 48) words whether their sum is positive: a logit."""
    words = keras.Input((STEPS,), dtype="int32")
    embedding = layers.Embedding(12, 8, mask_zero=True)
    x = embedding(words)  # (batch, 48, 8)
    if between == "convolution":
        x = layers.Conv1D(8, 1)(x)
    mask = embedding.compute_mask(words) if by_hand else None
    x = layers.LSTM(16)(x, mask=mask)
    return keras.Model(words, layers.Dense(1)(x))


def train(seed: int, epochs: int, between: str, by_hand: bool = False) -> dict:
    """Trains on 500 sums, tests on 1,000."""
    words, signs = make_signed_sums(TRAINING + TEST, seed=seed)
    x = keras.utils.pad_sequences(words, STEPS, padding="post")
    y = np.array([sign[-1:] for sign in signs], "float32")
    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings():
        # The very warning that this is about.
        warnings.filterwarnings("ignore", ".*destroy the mask")
        model = build_model(between, by_hand)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss)
        # With all variables there, TensorFlow traces a step once and not twice.
        model.optimizer.build(model.trainable_variables)
        model.fit(x[:TRAINING], y[:TRAINING], 50, epochs, verbose=0)
        logits = ops.convert_to_numpy(model(x[TRAINING:]))
    return {"accuracy": np.mean((logits > 0) == y[TRAINING:])}


# %%
# The experiment
# --------------


def plot_masks(fate) -> Figure:
    """A dot where a mask comes out, a layer warns, or the padding shows."""
    names = list(fate.conditions)
    figure = Figure(figsize=(9.5, 4.6), layout="constrained")
    rows = -(-len(names) // 4)
    for number, axis in enumerate(figure.subplots(1, 4)):
        part = names[number * rows : (number + 1) * rows]
        for column, (score, shade) in enumerate(SCORES.items()):
            for row, name in enumerate(part):
                for found in fate.scores(score, at=name).values():
                    face = shade if found else "none"
                    axis.plot(column, row, "o", mec=shade, mfc=face, ms=6)
        axis.set_yticks(range(len(part)), part, fontsize=7)
        axis.set_xticks(
            range(len(SCORES)), SCORES, rotation=35, ha="right", fontsize=7
        )
        axis.set_xlim(-0.5, 3.5)
        axis.set_ylim(rows - 0.5, -0.5)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.supxlabel("full: yes, empty: no", fontsize=8)
    return figure


def main(epochs: Count = 8, seeds: Count = 3) -> Report:
    """Runs each layer once, and trains with a mask and without, seed by seed.

    Args:
        epochs: passes over the 500 training sequences.
        seeds: paired repetitions of the training.
    """
    fate = run_trials(follow_mask, conditions=LAYERS)
    trials = run_trials(train, VARIANTS, seeds=seeds, epochs=epochs)
    out, warns, shows, fails = SCORES

    def holds(score, name, value):
        return fate.agrees(score, float(value), at=name, within=0.0)

    claims = {
        "A mask survives Bidirectional": holds(out, "Bidirectional", True),
        "A mask is lost in Flatten": holds(out, "Flatten", False),
        "Flatten warns that it loses the mask": holds(warns, "Flatten", True),
        "Conv1D loses the mask": holds(out, "Conv1D", False),
        "Conv1D lets the padding show": holds(shows, "Conv1D", True),
        "With a mask the padding does not show in what an LSTM says": (
            holds(shows, "LSTM", False)
        ),
        "GlobalAveragePooling1D leaves the padding out": (
            holds(shows, "GlobalAveragePooling1D", False)
        ),
        "GlobalMaxPooling1D takes the padding for data": (
            holds(shows, "GlobalMaxPooling1D", True)
        ),
        "Dot loses the mask without a warning": holds(warns, "Dot", False),
        "Softmax over the features of a step fails on a mask of steps": (
            holds(fails, "Softmax", True)
        ),
        "A lost mask costs over 10 points of accuracy at 48 steps": (
            trials.is_lower("accuracy", "mask lost", than="mask", by=0.1)
        ),
        "A mask carried by hand past the convolution restores the accuracy, "
        "within 2 points": (
            trials.is_same("accuracy", "mask by hand", than="mask", within=0.02)
        ),
    }
    return Report(
        trials.table("accuracy"),
        fate.table(*SCORES),
        plot_masks(fate),
        *(Claim(text, found, NOTES) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look for your layers in the table. Where a mask is used up, nothing is wrong.
# Where it is lost and the padding shows, pass it on by hand, as here, or
# multiply by it before steps are pooled. A convolution over several steps mixes
# the padding into the real ones at the end, which no mask behind it undoes: set
# the padding to zero in front of it. Two things to try:
# ``warnings.simplefilter("error")`` while a model is built, so that no mask is
# lost unseen; and a layer of your own, with ``supports_masking`` and without.

if __name__ == "__main__":
    cook(main)
