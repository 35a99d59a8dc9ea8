"""
Forecasting a series, and the baselines that are hard to beat
=============================================================

A forecast has a rival that costs nothing: *persistence* says that the next
value is the last one. A network that does worse has learned nothing, however
well its curve follows the series in a plot. Beside it stand a linear
autoregression and a small dense network on the same lags.

With *walk-forward validation* nobody looks ahead: a model is fitted to all
values before an origin, then forecasts one step after another, and is told the
truth after each. Ten origins make ten trials. What is forecast is the change
:math:`x_t`, and the notes scale it to the range of tanh:

.. math::

   x_t = y_t - y_{t-1}, \\qquad
   \\tilde x_t = 2 \\, \\frac{x_t - \\min x}{\\max x - \\min x} - 1

with minimum and maximum of what was known at the origin. Whoever takes those of
the whole series tells the model what is to come: that is tried as well.

:question: Does my LSTM forecast better than saying that nothing will change?
:level: intermediate
:notes: Deep Learning Models, A good tutorial on LSTM;
    Deep Learning Models, Scale to -1,1;
    Deep Learning Models, Needs to reset internal states
:papers: Tashman 2000, https://doi.org/10.1016/S0169-2070(00)00065-0
:backends: tensorflow, jax, torch
:before: recurrent/return_sequences, recurrent/stateful_lstm
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import LinearRegression

from kerasrecipes.callbacks import ResetStates, reset_model_states
from kerasrecipes.datasets import (
    FOLDS,
    cut_windows,
    load_eeg_ahead,
    load_monthly_stocks,
)
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {  # on the EEG
    "persistence": {"model": "persistence"},
    "linear autoregression": {"model": "linear", "scale": "none"},
    "MLP on lags": {"model": "MLP"},
    "LSTM": {"model": "LSTM"},
    "LSTM, not scaled": {"model": "LSTM", "scale": "none"},
    "stateful LSTM": {"model": "stateful"},
    "stateful, never reset": {"model": "stateful", "reset": False},
}
STOCKS = {  # on monthly prices, the last two as they are, without differences
    "persistence": {"model": "persistence"},
    "linear autoregression": {"model": "linear", "scale": "none"},
    "MLP on lags": {"model": "MLP"},
    "LSTM": {"model": "LSTM"},
    "stateful LSTM": {"model": "stateful"},
    "LSTM, prices": {"model": "LSTM", "prices": True},
    "LSTM, prices, leak": {"model": "LSTM", "prices": True, "scale": "whole"},
}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["persistence", "LSTM"]}
FULL = {"epochs": 10, "seeds": 10}
LAGS, UNITS = 12, 16
SHARES = ["IBM", "AAPL", "MSFT", "XRX", "ADBE", "^GSPC", "^IXIC"]

# %%
# The series
# ----------
# Put your own series in `load`: what came before the origin and what is to be
# forecast, both of shape (steps, series). The four channels of the EEG, or the
# logarithms of seven prices, are examples of one kind, for one model.


def load(series: str, seed: int):
    """What is known at the origin, and what comes after it."""
    if series == "EEG":
        return load_eeg_ahead(fold=seed)
    (_, past), (_, ahead) = load_monthly_stocks(SHARES, fold=seed)
    return np.log(past), np.log(ahead)


def find_range(values, origin: int, scale: str):
    """Middle and half of the range that becomes -1 to 1, for each series."""
    if scale == "none":
        return 0.0, 1.0
    seen = values if scale == "whole" else values[:, :origin]
    low, high = seen.min(1, keepdims=True), seen.max(1, keepdims=True)
    return (high + low) / 2, (high - low) / 2


# %%
# The models
# ----------
# Models on lags see a window of twelve values and say the next one. A stateful
# LSTM is given one window after another, each series a row of the batch, and
# says the next value at every step. To forecast, its weights are put into a
# twin that reads a series at once: with carried state, one step after another
# is the same. On JAX, where `fit` carries no state, it is stateless after all.


def build_model(kind: str, batch_size: int | None = None) -> keras.Model:
    """Forecasts from (batch, steps, 1), stateful where the batch has a size."""
    if kind == "MLP":
        hidden = [layers.Flatten(), layers.Dense(32, activation="relu")]
    else:
        lstm = layers.LSTM(
            UNITS,
            return_sequences=kind == "stateful",
            stateful=batch_size is not None,
            use_cudnn=False,  # or PyTorch cannot train it with states
        )
        hidden = [lstm]
    steps = None if kind == "stateful" else LAGS
    inputs = layers.Input((steps, 1), batch_size=batch_size)
    return keras.Sequential([inputs, *hidden, layers.Dense(1)])


def fit(model: keras.Model, x, y, **options) -> keras.Model:
    """The model, trained."""
    model.compile(keras.optimizers.Adam(0.005), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, verbose=0, **options)
    return model


def run(model: keras.Model, x):
    """What a model says of an array, without the axis for its one number."""
    return ops.convert_to_numpy(model(x))[..., 0]


def cut_lags(x, origin: int):
    """Windows of twelve values and the next one, known ones and new ones."""
    windows = sliding_window_view(x, LAGS + 1, axis=1)[..., None]
    known, new = np.split(windows, [origin - LAGS], axis=1)
    return known.reshape(-1, LAGS + 1, 1), new.reshape(-1, LAGS + 1, 1)


def from_lags(x, origin: int, kind: str, epochs: int):
    """Forecasts from the origin on, of shape (series, steps)."""
    known, new = cut_lags(x, origin)
    lags, target = known[:, :-1], known[:, -1]
    if kind == "linear":
        model = LinearRegression().fit(lags[..., 0], target[:, 0])
        said = model.predict(new[:, :-1, 0])
    else:
        model = build_model(kind)
        fit(model, lags, target, batch_size=64, epochs=epochs)
        said = run(model, new[:, :-1])
    return said.reshape(len(x), -1)


def train_twin(x, origin: int, epochs: int, reset: bool) -> keras.Model:
    """A twin of a stateful LSTM that was trained up to the origin."""
    windows = (origin - 1) // LAGS
    pairs = np.stack([x[:, : origin - 1], x[:, 1:origin]], axis=-1)
    pairs = pairs[:, -windows * LAGS :]
    pairs, _ = cut_windows(pairs, np.zeros(len(x)), windows, len(x))
    model = fit(
        build_model("stateful", batch_size=len(x)),
        pairs[..., :1],
        pairs[..., 1:],
        batch_size=len(x),
        epochs=epochs,
        shuffle=False,
        callbacks=[ResetStates()] if reset else [],  # where an epoch begins
    )
    twin = build_model("stateful")
    twin.set_weights(model.get_weights())
    return twin


# %%
# One trial
# ---------
# Errors are given as multiples of what persistence makes of the same steps, for
# some years are harder than others. The stateful LSTM forecasts in three ways:
# from the state in which the past has left it (the notes' seeding), from a
# fresh one, and from a fresh one at every step.


def train(
    seed, epochs, series, model, scale="past", prices=False, reset=True
) -> dict:
    """Fits one model to the past; returns the error of its forecasts."""
    past, ahead = load(series, seed)
    keras.utils.set_random_seed(seed)
    origin = len(past)
    truth = np.concatenate([past, ahead]).T  # (series, steps)
    changes = np.diff(truth, prepend=truth[:, :1])
    values = truth if prices else changes
    middle, half = find_range(values, origin, scale)
    x = (values - middle) / half

    def error(said):
        off = said * half + middle - values[:, origin:]
        return np.linalg.norm(off) / np.linalg.norm(changes[:, origin:])

    if model == "persistence":
        return {"error": 1.0}
    if model != "stateful":
        return {"error": error(from_lags(x, origin, model, epochs))}
    twin = train_twin(x, origin, epochs, reset)
    seeded = error(run(twin, x[:, :-1, None])[:, origin - 1 :])
    new = x[:, origin - 1 : -1, None]
    single = run(twin, new.reshape(-1, 1, 1)).reshape(len(x), -1)
    return {
        "error": seeded,
        "fresh costs": error(run(twin, new)) - seeded,
        "resets cost": error(single) - seeded,
    }


# %%
# What must hold exactly
# ----------------------
# The last value of a random walk is changed, and nobody who forecasts may
# notice. Whoever scales by the whole series does. Then the twin: one pass over
# a series, and a stateful LSTM that is given it step by step.


def measure(seed: int) -> dict:
    """Who sees the future, and whether one pass equals step by step."""
    keras.utils.set_random_seed(seed)
    walk = np.random.default_rng(seed).normal(size=(4, 60)).cumsum(axis=1)
    changed = walk + 50.0 * (np.arange(60) == 59)
    model = build_model("LSTM")  # an untrained one serves as well

    def forecast(series, scale):
        middle, half = find_range(series, 40, scale)
        _, new = cut_lags((series - middle) / half, 40)
        return run(model, new[:, :-1]).reshape(4, -1) * half + middle

    moved = {
        scale: np.abs(forecast(changed, scale) - forecast(walk, scale)).max()
        for scale in ("past", "whole")
    }
    stateful, twin = build_model("stateful", 4), build_model("stateful")
    twin.set_weights(stateful.get_weights())
    reset_model_states(stateful)
    x = walk[..., None].astype("float32")
    steps = [run(stateful, x[:, step : step + 1]) for step in range(60)]
    off = np.abs(np.hstack(steps) - run(twin, x)).max()
    return {**moved, "step by step": off}


# %%
# The experiment
# --------------


def plot_errors(panels) -> Figure:
    """Box plots of the errors, a panel for each kind of series."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, len(panels))
    for axis, (title, trials) in zip(axes, panels.items(), strict=True):
        names = [*trials.variants][1:]
        found = [[*trials.scores("error", name).values()] for name in names]
        axis.axvline(1, color="grey", linestyle=":")
        axis.boxplot(found, orientation="horizontal", tick_labels=names)
        for row, values in enumerate(found, start=1):
            axis.plot(values, [row] * len(values), "o", color="#0072B2", ms=3)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(
        "error of the forecasts, as a multiple of persistence's (dotted)\n"
        "dot: an origin, box: the middle half of them, line: the median",
        fontsize=9,
    )
    return figure


def main(epochs: Count = 5, seeds: Count = 3) -> Report:
    """Compares forecasts, origin by origin.

    Args:
        epochs: passes over what came before the origin.
        seeds: origins, from which every model forecasts.
    """
    facts = run_trials(measure, seeds=seeds)
    eeg = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs, series="EEG"
    )
    stocks = run_trials(
        train, STOCKS, seeds=seeds, folds=FOLDS, epochs=epochs, series="stocks"
    )
    linear, stateful = "linear autoregression", "stateful LSTM"
    prices, leak = [*STOCKS][-2:]
    claims = {
        "A good tutorial on LSTM": {
            "On the EEG an LSTM beats persistence": (
                eeg.is_lower("error", "LSTM", than="persistence")
            ),
            "On monthly stocks an LSTM is no better than persistence by 1 %": (
                stocks.is_higher("error", "LSTM", than="persistence", by=-0.01)
            ),
            "On the EEG an LSTM beats a linear autoregression": (
                eeg.is_lower("error", "LSTM", than=linear)
            ),
            "On the EEG an LSTM beats a dense network on the same lags": (
                eeg.is_lower("error", "LSTM", than="MLP on lags")
            ),
        },
        "Scale to -1,1": {
            "Scaled by the past, no forecast depends on what comes later": (
                facts.agrees("past", 0.0, within=0.0)
            ),
            "Scaled by the whole series, all forecasts move with its end": (
                facts.is_above("whole", 0.1)
            ),
            "A scale of -1 to 1 helps the LSTM on the EEG": (
                eeg.is_lower("error", "LSTM", than="LSTM, not scaled")
            ),
            "On prices the leak looks like skill: over a tenth less error": (
                stocks.is_lower("error", leak, than=prices, by=0.1)
            ),
        },
        "Needs to reset internal states": {
            "One pass over the series equals step by step with carried state": (
                # Float32 through sixty steps is good for 1e-6.
                facts.agrees("step by step", 0.0, within=5e-6)
            ),
            "Stateful is better than stateless on the EEG": (
                eeg.is_lower("error", stateful, than="LSTM")
            ),
            "A stateful LSTM needs its states reset in training": (
                eeg.is_lower("error", stateful, than="stateful, never reset")
            ),
            "Seeding with the past before forecasting helps": (
                eeg.is_above("fresh costs", 0.0, stateful)
            ),
            "Resetting before each forecast costs a hundredth or more": (
                eeg.is_above("resets cost", 0.01, stateful)
            ),
        },
    }
    return Report(
        eeg.table("error"),
        stocks.table("error"),
        plot_errors({"EEG, half a second": eeg, "monthly stocks": stocks}),
        *(
            Claim(text, found, f"Deep Learning Models, {heading}")
            for heading, group in claims.items()
            for text, found in group.items()
        ),
    )


# %%
# What to make of it
# ------------------
# Report persistence's error beside yours, over several origins, before you show
# a plot. Prices are close to a random walk, whose past says nothing of its next
# change; an EEG has rhythms. Take differences where a series has a trend: what
# lies outside of the range that was seen, no network has learned. Fit all of
# the pipeline on the past alone, the scale, the mean, what fills gaps, and look
# for leaks by changing a value: nothing before it may move. Two things to try:
# two steps ahead, where persistence gets worse; and each EEG channel forecast
# from all four.

if __name__ == "__main__":
    cook(main)
