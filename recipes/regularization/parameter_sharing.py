"""
Parameter sharing: the same weights everywhere
==============================================

Who looks for a shape that may be anywhere in a series needs to learn it only
once. A convolution does: it moves one kernel along the series. A *locally
connected* layer has as small windows, but a kernel for each of them, which has
to find out by itself what the others know already; and a dense layer is free
to connect everything.

For the window at step :math:`t` and its weights :math:`W`, which are forced to
be equal or are not,

.. math::

   y_t = a\\Big(b + \\sum_{i=0}^{k-1} W_i \\, x_{t+i}\\Big)
   \\qquad \\text{or} \\qquad
   y_t = a\\Big(b_t + \\sum_{i=0}^{k-1} W_{ti} \\, x_{t+i}\\Big)

so that a shifted series has shifted outputs in the first case alone. Pooling
over all steps then forgets where the shape was. The notes' listing has no such
pooling, and says something at each of 56 steps in place of one thing.

:question: Why convolutions, if a dense layer could learn the same and more?
:level: beginner
:notes: Everything You Always Wanted to Know About Deep Learning,
    Parameter Sharing
:papers: LeCun et al. 1989, https://doi.org/10.1162/neco.1989.1.4.541
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import make_hidden_motifs
from kerasrecipes.experiment import (
    Claim,
    Count,
    Report,
    Trials,
    cook,
    run_trials,
)
from kerasrecipes.layers import LocallyConnected1D
from kerasrecipes.plotting import colours

VARIANTS = {
    "shared": {"weights": "shared"},
    "locally connected": {"weights": "local"},
    "dense": {"weights": "dense"},
}
CONDITIONS = {
    "25 series": {"examples": 25},
    "100 series": {"examples": 100},
    "400 series": {"examples": 400},
    "1,600 series": {"examples": 1600},
}
PLACES = {name: VARIANTS[name] for name in ("shared", "locally connected")}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["shared", "locally connected"],
    "conditions": ["25 series"],
}
FULL = {"epochs": 6, "seeds": 10}

STEPS, WINDOW, FILTERS = 64, 9, 16

# %%
# The networks
# ------------
# They differ in one layer. The dense one has 136 units, so that it has exactly
# as many weights as the locally connected network.


def build_model(weights: str) -> keras.Model:
    """Tells two kinds of (batch, 64, 1) series by one logit."""
    shape = {"filters": FILTERS, "kernel_size": WINDOW, "activation": "relu"}
    hidden = {
        "shared": [layers.Conv1D(**shape), layers.GlobalMaxPooling1D()],
        "local": [LocallyConnected1D(**shape), layers.GlobalMaxPooling1D()],
        "dense": [layers.Flatten(), layers.Dense(136, activation="relu")],
    }[weights]
    return keras.Sequential(
        [layers.Input((STEPS, 1)), *hidden, layers.Dense(1)]
    )


# %%
# The notes' network
# ------------------
# The listing imports two kinds of pooling and uses neither. Here they stand
# where they belong: in the middle, and over all steps at the end.


def build_notes_model(pooling: bool) -> keras.Model:
    """Classifier of (batch, 64, 100) series as in the notes."""
    middle = [layers.MaxPooling1D(3)] if pooling else []
    end = [layers.GlobalAveragePooling1D()] if pooling else []
    return keras.Sequential(
        [
            layers.Input((STEPS, 100)),
            layers.Conv1D(64, 3, activation="relu"),
            layers.Conv1D(64, 3, activation="relu"),
            *middle,
            layers.Conv1D(128, 3, activation="relu"),
            layers.Conv1D(128, 3, activation="relu"),
            *end,
            layers.Dense(1, activation="sigmoid"),
        ]
    )


# %%
# One trial
# ---------
# A ramp of nine steps is hidden in noise, anywhere in the series: does it rise
# or fall? In the second task the question is whether it comes early or late.
# Put your own series in the first line: x of shape (samples, steps, channels),
# y of zeros and ones. An epoch shows 3,200 series, however few there are.


def train(seed: int, epochs: int, examples: int, weights: str, by="shape"):
    """Trains one network; returns its accuracies on new and known series."""
    x, y = make_hidden_motifs(1000 + examples, decided_by=by, seed=seed)
    (x_test, x), (y_test, y) = (np.split(array, [1000]) for array in (x, y))
    keras.utils.set_random_seed(seed)
    model = build_model(weights)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    repeats = 3200 // examples
    x_all, y_all = np.tile(x, (repeats, 1, 1)), np.tile(y, repeats)
    model.fit(x_all, y_all, batch_size=32, epochs=epochs, verbose=0)

    def score(x, y):
        return np.mean((ops.convert_to_numpy(model(x))[:, 0] > 0) == y)

    accuracy = score(x_test, y_test)
    return {"accuracy": accuracy, "gap": score(x, y) - accuracy}


# %%
# What must hold exactly
# ----------------------
# Weights are counted, and the two layers compared, in numbers near one that
# float32 rounds at the seventh digit. The *matched filter* knows both ramps and
# looks for the one that fits better: the mark to reach.

FACTS = {
    "shared weights": ("A shared kernel takes a network of 177 weights", 177),
    "local weights": ("A kernel for each window takes 8,977", 8977),
    "dense weights": ("Dense with 136 units takes as many: 8,977", 8977),
    "zeros": ("Locally connected is dense with 8,064 weights not zero", 8064),
    "same kernels": ("Locally connected with equal kernels is Conv1D", 0),
    "pooled": ("Pooled over all steps, Conv1D does not see a shift", 0),
    "unshared": ("Pooled over all steps, locally connected sees it", 1),
    "notes' answers": ("As printed, the notes' network has 56 answers", 56),
    "pooled answers": ("With its pooling, the notes' network has one", 1),
}


def run(model, x):
    """What a model or layer makes of an array, as an array."""
    return ops.convert_to_numpy(model(x.astype("float32")))


def share(layer, conv) -> None:
    """Gives a locally connected layer a convolution's weights everywhere."""
    kernel, bias = conv.get_weights()
    count = layer.bias.shape[0]
    layer.set_weights([np.stack([w] * count) for w in (kernel, bias)])


def matched_filter(x):
    """Whether a rising ramp fits better somewhere than a falling one does."""
    windows = np.lib.stride_tricks.sliding_window_view(x[:, :, 0], WINDOW, 1)
    fits = windows @ np.linspace(-1, 1, WINDOW)  # a falling ramp's are negative
    return fits.max(1) > -fits.min(1)


def measure(seed: int) -> dict:
    """Counts of weights and answers, and how the layers are related."""
    generator = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    models = {name: build_model(name) for name in ("shared", "local", "dense")}
    conv, local = (models[name].layers[0] for name in ("shared", "local"))
    x = np.zeros((20, STEPS, 1))
    x[:, 10:50] = generator.normal(size=(20, 40, 1))
    later = np.roll(x, 5, axis=1)  # zeros come round from its end
    shared, unshared = (
        np.abs(run(layer, later).max(1) - run(layer, x).max(1)).max()
        for layer in (conv, local)
    )
    linear = LocallyConnected1D(FILTERS, WINDOW)
    matrix = run(linear, np.eye(STEPS)[:, :, None])  # (64, positions, filters)
    conv.bias.assign(generator.normal(size=FILTERS))
    share(local, conv)
    notes = [build_notes_model(pooling).output_shape for pooling in (0, 1)]
    ramps, rises = make_hidden_motifs(20_000, seed=seed)
    return {
        **{f"{name} weights": m.count_params() for name, m in models.items()},
        "zeros": np.count_nonzero(matrix),
        "same kernels": np.abs(run(local, x) - run(conv, x)).max(),
        "pooled": shared,
        "unshared": unshared > 0.01,  # far more than rounding
        "notes' answers": np.prod(notes[0][1:]),
        "pooled answers": np.prod(notes[1][1:]),
        "matched filter": np.mean(matched_filter(ramps) == rises),
    }


# %%
# The picture
# -----------


def plot_sizes(found: dict, shades: dict, best: list) -> Figure:
    """Accuracy by the number of examples: mean and range over the seeds.

    `found` has for each variant {number of examples: accuracies}.
    """
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.set(xscale="log", ylabel="accuracy on 1,000 new series")
    axis.minorticks_off()
    for name, by_size in found.items():
        sizes = [size for size, values in by_size.items() if values]
        low, mean, high = (
            [function(by_size[size]) for size in sizes]
            for function in (min, np.mean, max)
        )
        axis.plot(sizes, mean, "o-", color=shades[name], label=name)
        axis.fill_between(sizes, low, high, color=shades[name], alpha=0.15)
        axis.set_xticks([*by_size], [f"{size:,}" for size in by_size])
    for value in best[:1]:
        axis.axhline(
            value, color="grey", linestyle="--", label="matched filter"
        )
    axis.axhline(0.5, color="grey", linestyle=":", label="chance")
    notice = "line: mean, band: range of the seeds"
    axis.set_xlabel(f"series to learn from\n{notice}")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    return figure


# %%
# The experiment
# --------------


def main(epochs: Count = 6, seeds: Count = 3) -> Report:
    """Compares shared weights with others, by the number of examples.

    Args:
        epochs: passes over 3,200 series, most of them the same.
        seeds: paired repetitions of every variant, each with new series.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    places = run_trials(
        train, PLACES, seeds=seeds, epochs=epochs, examples=1600, by="place"
    )
    shared, local, dense = VARIANTS
    _, few, _, many = CONDITIONS
    # A sixteenth of the examples for a shared kernel, in the same seeds.
    found = trials.select(shared, few)
    found += trials.select(local, many) + trials.select(dense, many)
    fewer = Trials([{**t, "condition": ""} for t in found], VARIANTS, {"": {}})
    claims = {
        text: facts.agrees(name, value, within=1e-5)
        for name, (text, value) in FACTS.items()
    }
    claims |= {
        f"With {at}, shared is better than {other}": (
            trials.is_higher("accuracy", shared, than=other, at=at)
        )
        for at in CONDITIONS
        for other in (local, dense)
    }
    claims |= {
        **{
            f"Fewer examples do: shared with {few} beats {other} with {many}": (
                fewer.is_higher("accuracy", shared, than=other)
            )
            for other in (local, dense)
        },
        "Sharing narrows the gap between known and new series": (
            trials.is_lower("gap", shared, than=dense)
        ),
        "Small windows alone help: locally connected is better than dense": (
            trials.is_higher("accuracy", local, than=dense)
        ),
        "Where the place decides, shared and pooled is at chance": (
            places.is_below("accuracy", 0.53, shared)
        ),
        "Where the place decides, locally connected is 20 points better": (
            places.is_higher("accuracy", local, than=shared, by=0.2)
        ),
    }
    accuracies = {
        name: {
            condition["examples"]: [
                *trials.scores("accuracy", name, at).values()
            ]
            for at, condition in trials.conditions.items()
        }
        for name in trials.variants
    }
    best = [*facts.scores("matched filter").values()]
    book = "Everything You Always Wanted to Know About Deep Learning"
    return Report(
        trials.table("accuracy", "gap"),
        places.table("accuracy"),
        plot_sizes(accuracies, colours(VARIANTS), best),
        *(
            Claim(*claim, f"{book}, Parameter Sharing")
            for claim in claims.items()
        ),
    )


# %%
# What to make of it
# ------------------
# Share weights where what you look for means the same everywhere, and pool
# over the places where it does not matter which one it was. If the place does
# matter, pooling over all of them is what has to go: flatten instead, or give
# the convolution the place as a second channel. Locally connected layers are
# for series and images that are always aligned, such as days that begin at
# midnight. Two things to try: `Flatten` in place of the pooling, in all
# networks; and ramps that begin at one of three places only.

if __name__ == "__main__":
    cook(main)
