"""
Batch sizes for an LSTM: train with many, forecast with one
===========================================================

How many sequences go into an update? The notes collect advice: larger batches
make faster progress, smaller ones can converge faster, a power of two is quick.
And they see a good case for two sizes: all of the training set in training,
"and a batch size of 1 when making predictions for one-step outputs".

An epoch over :math:`N` sequences in batches of :math:`B` has this many updates,
the last of them with what is left over:

.. math:: \\left\\lceil N / B \\right\\rceil

So there are two ways to be fair: as many epochs for each size, or as many
updates. A third is time.

For the forecasts an LSTM without state takes any batch size. One that carries
its state from call to call has a row of state for each row of a batch, and
refuses every other size. The way out is a twin: the same layers, built for a
batch of one, with the trained weights. It reads one sample at a time and needs
no window.

:question: Which batch size for an LSTM, and how do I then forecast one by one?
:level: intermediate
:notes: Deep Learning Models, Using batch size for LSTM in Keras;
    Deep Neural Nets Basics, Batch size
:papers: Masters and Luschi 2018, https://arxiv.org/abs/1804.07612
:backends: tensorflow, jax, torch
:before: recurrent/stateful_lstm
"""

import math
import time

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_eeg
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "32": {"batch": 32},
    "1": {"batch": 1},
    "8": {"batch": 8},
    "128": {"batch": 128},
    "all": {"batch": 720},  # a few more than there are
}
CONDITIONS = {
    "as many epochs": {"budget": "epochs"},
    "as many updates": {"budget": "updates"},
}
TIMED = (1, 32, 64, 65, 192)
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["32", "all"],
    "conditions": ["as many epochs"],
}
FULL = {"epochs": 2, "seeds": 10}

STEPS, UNITS = 10, 16
SHADES = ("#0072B2", "#D55E00")

# %%
# The network
# -----------
# At every sample of an EEG on four channels the next one is forecast. The twin
# has the same layers: its batch size is fixed, it carries its state, and it
# reads one step at a time.


def build_model(is_twin: bool = False, batch: int = 1) -> keras.Model:
    """Forecasts each next sample of windows (batch, steps, 4)."""
    inputs = layers.Input((None, 4))
    if is_twin:
        inputs = layers.Input((1, 4), batch_size=batch)
    lstm = layers.LSTM(UNITS, return_sequences=True, stateful=is_twin)
    return keras.Sequential([inputs, lstm, layers.Dense(4)])


def make_twin(model: keras.Model) -> keras.Model:
    """A stateful network for a batch of one with the weights of another."""
    twin = build_model(is_twin=True)
    twin.set_weights(model.get_weights())
    return twin


def forecast_live(twin: keras.Model, x):
    """What a twin says of samples (steps, 4) that come one after the other.

    It is called directly, which carries the state on every backend.
    """
    said = [ops.convert_to_numpy(twin(sample[None, None])) for sample in x]
    return np.concatenate(said)[:, 0]


# %%
# One trial
# ---------
# Put your own windows in the first line: x of shape (windows, steps, channels),
# y the same one sample later. Passes follow each other, each in a new order.
# The error is the root mean square at a window's last step, in standard
# deviations of a channel. With 32 the block that is tested on is also forecast
# live, from its first sample to its last, and by a network that forgets to
# carry its state.


def train(seed: int, epochs: int, budget: str, batch: int) -> dict:
    """Trains with one batch size; returns its error on unseen windows."""
    (x, y), (x_test, y_test) = load_eeg(STEPS, fold=seed)
    batch = min(batch, len(x))
    rows = epochs * len(x)
    if budget == "updates":  # as many as an epoch has with 32
        rows = epochs * math.ceil(len(x) / 32) * batch
    generator = np.random.default_rng(seed)
    passes = range(math.ceil(rows / len(x)))
    order = [generator.permutation(len(x)) for _ in passes]
    order = np.concatenate(order)[:rows]
    keras.utils.set_random_seed(seed)
    model = build_model()
    model.compile(keras.optimizers.Adam(0.02), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x[order], y[order], batch_size=batch, shuffle=False, verbose=0)
    right = y_test[:, -1]

    def error(said) -> float:
        return np.sqrt(np.mean((said - right) ** 2))

    scores = {"RMSE": error(model.predict_on_batch(x_test)[:, -1])}
    if batch == 32 and budget == "epochs":
        _, (series, _) = load_eeg(steps=79, fold=seed)  # the same samples
        live = forecast_live(make_twin(model), series[0])[STEPS - 1 :]
        alone = model.predict_on_batch(x_test[:, -1:])[:, 0]
        scores["live, more"] = error(live) - scores["RMSE"]
        scores["without state, more"] = error(alone) - scores["RMSE"]
    return scores


# %%
# The time of an epoch
# --------------------
# Once everything is compiled, and in turn, so that chances are equal. Two sizes
# are beside each other of which one is a power of two.


def time_epochs(seed: int) -> dict:
    """Milliseconds of an epoch over 192 windows, by the batch size."""
    (x, y), _ = load_eeg(STEPS, fold=seed)
    x, y = x[:192], y[:192]  # 3 updates with 64 as with 65
    keras.utils.set_random_seed(seed)
    models = [build_model() for _ in TIMED]
    for model in models:
        model.compile(keras.optimizers.Adam(0.02), "mse")
    seconds = np.zeros((3, len(TIMED)))
    for turn, number in np.ndindex(*seconds.shape):
        start = time.perf_counter()
        models[number].fit(x, y, batch_size=TIMED[number], verbose=0)
        seconds[turn, number] = time.perf_counter() - start
    best = 1000 * seconds[1:].min(axis=0)  # the first turn compiles
    names = [f"ms with {size}" for size in TIMED]
    took = dict(zip(TIMED, best, strict=True))
    return {
        **dict(zip(names, best, strict=True)),
        "1 to 32": took[1] / took[32],
        "all to 32": took[192] / took[32],
        "64 to 65": took[64] / took[65],
        "curves": {"ms": best},
    }


# %%
# What must hold exactly
# ----------------------
# Updates are counted by the optimizer. What is forecast must not depend on who
# else is in the batch, and the twin's forecasts not on being asked one by one.
# A network that carries state for a batch of four is given one sequence, and
# then eight by `predict`, which takes 32 at a time unless it is told otherwise.


def measure(seed: int) -> dict:
    """Numbers of updates, and what other batch sizes change."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x, updates = np.zeros((1050, 1)), {}
    for batch in (100, 1050):
        counted = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
        counted.compile("sgd", "mse")
        counted.fit(x, x, batch_size=batch, verbose=0)
        updates[batch] = int(counted.optimizer.iterations)
    model = build_model()
    x = generator.normal(size=(20, STEPS, 4)).astype("float32")
    together = model.predict(x, batch_size=20, verbose=0)
    alone = model.predict(x, batch_size=1, verbose=0)
    live = forecast_live(make_twin(model), x[0])
    refused = 0
    stateful = build_model(is_twin=True, batch=4)
    for ask in (stateful, lambda x: stateful.predict(x, verbose=0)):
        try:
            ask(x[: 1 if ask is stateful else 8, :1])
        except ValueError:
            refused += 1
    return {
        "updates, 100": updates[100],
        "updates, all": updates[1050],
        "alone, off": np.abs(alone - together).max(),
        "twin, off": np.abs(live - together[0]).max(),
        "refused": refused,
    }


# %%
# The experiment
# --------------


def plot_sizes(trials, times) -> Figure:
    """Error and time of an epoch over the batch size."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    ticks = {name: one["batch"] for name, one in trials.variants.items()}
    ordered = sorted(ticks, key=ticks.get)
    sizes = [ticks[name] for name in ordered]
    drawn = []
    for condition, shade in zip(trials.conditions, SHADES, strict=False):
        found = [
            [*trials.scores("RMSE", name, condition).values()]
            for name in ordered
        ]
        drawn.append((left, sizes, np.array(found), shade, condition))
    if times.trials:  # a quick run takes none
        drawn.append((right, TIMED, times.curves("ms").T, "black", None))
    for axis, x, found, shade, label in drawn:
        axis.plot(x, found.mean(1), "o-", color=shade, label=label)
        ends = found.min(1), found.max(1)
        axis.fill_between(x, *ends, color=shade, alpha=0.15, lw=0)
    for axis in (left, right):
        axis.set(xscale="log", xlabel="batch size")
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    left.set_xticks([*ticks.values()], ticks)
    right.set_xticks(TIMED[:2] + TIMED[3:], TIMED[:2] + TIMED[3:])
    left.set_ylabel("RMSE in standard deviations of a channel")
    left.legend(frameon=False, fontsize=8)
    right.set(yscale="log", ylabel="milliseconds of an epoch, 192 windows")
    figure.supxlabel("line: mean of the seeds, band: their range", fontsize=8)
    return figure


def main(epochs: Count = 1, seeds: Count = 3) -> Report:
    """Compares batch sizes, seed by seed.

    Args:
        epochs: passes over some seven hundred windows, or as many updates as
            they have with 32.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    times = run_trials(time_epochs, seeds=seeds, timing=True)
    by_epochs, by_updates = CONDITIONS
    usual = {"variant": "32", "at": by_epochs}
    lstm = {
        "1,050 windows in batches of 100 are 11 updates": (
            facts.agrees("updates, 100", 11, within=0)
        ),
        "All windows in one batch are 1 update": (
            facts.agrees("updates, all", 1, within=0)
        ),
        "Without state a forecast does not depend on the batch": (
            # Float32, and sums in another order.
            facts.agrees("alone, off", 0, within=1e-6)
        ),
        "A twin for one, asked step by step, says what the window is told": (
            facts.agrees("twin, off", 0, within=1e-6)
        ),
        "With state every other batch size is refused, in call and predict": (
            facts.agrees("refused", 2, within=0)
        ),
        "A twin that is never reset is as good as windows, within 0.02": (
            trials.is_below("live, more", 0.02, **usual)
        ),
        "Forecasting one by one without state adds 0.05 to the error": (
            trials.is_above("without state, more", 0.05, **usual)
        ),
    }
    sizes = {
        "Training on all in one batch is as good as 32, within 0.02": (
            trials.is_lower("RMSE", "all", than="32", at=by_epochs, by=-0.02)
        ),
        "Smaller batches can converge faster: 1 beats 32 in as many epochs": (
            trials.is_lower("RMSE", "1", than="32", at=by_epochs)
        ),
        "Smaller batches can converge faster: 32 beats all in as many epochs": (
            trials.is_lower("RMSE", "32", than="all", at=by_epochs)
        ),
        "Larger batches progress faster: all beat 32 in as many updates": (
            trials.is_lower("RMSE", "all", than="32", at=by_updates)
        ),
        "A small batch has an effect: 1 is worse in as many updates": (
            trials.is_higher("RMSE", "1", than="32", at=by_updates)
        ),
        "An epoch in batches of 1 takes ten times as long as with 32": (
            times.is_above("1 to 32", 10.0)
        ),
        "An epoch of all in one batch takes less time than with 32": (
            times.is_below("all to 32", 1.0)
        ),
        "A power of two is faster: an epoch with 64 beats one with 65": (
            times.is_below("64 to 65", 1.0)
        ),
    }
    using = "Deep Learning Models, Using batch size for LSTM in Keras"
    advice = "Deep Neural Nets Basics, Batch size"
    return Report(
        trials.table("RMSE"),
        times.table(*(f"ms with {size}" for size in TIMED)),
        plot_sizes(trials, times),
        *(Claim(text, found, using) for text, found in lstm.items()),
        *(Claim(text, found, advice) for text, found in sizes.items()),
    )


# %%
# What to make of it
# ------------------
# Say what is held equal before you compare batch sizes: in as many epochs small
# batches have more updates, in as many updates large ones have seen more, and
# the clock depends on the machine. A batch of all is one update: give it as
# many epochs as others have updates, or it has not begun to learn. For
# forecasts the size is no question of quality, only of who waits for whom. A
# twin that carries its state reads each sample once, where windows read it ten
# times over; reset it where a new series begins. Two things to try: a rate of
# 0.005 for batches of 1, since small batches ask for small steps; and a twin
# for a batch of four that forecasts four series side by side.

if __name__ == "__main__":
    cook(main)
