"""
A forecast that knows how far off it may be
===========================================

Who watches the demand for taxis in many cities wants to be told when something
is wrong, and not on every holiday. That takes a forecast with an interval. Zhu
and Laptev build it in two steps. An *encoder* reads a window of days, and a
decoder has to write the days after it. Then the encoder is frozen, and a
*prediction network* forecasts the next day from its last states and from what
is known of that day.

The interval is to cover *model uncertainty*, which would shrink with more data,
and *misspecification*, where the series does what it has never done: dropout
stays on, in the encoder :math:`g` and the prediction network :math:`h`, for
:math:`B` passes :math:`y_b`. *Inherent noise* is measured on :math:`V` windows
that were held out, without dropout:

.. math::

   \\eta_1^2 = \\frac{1}{B} \\sum_{b=1}^B (y_b - \\bar y)^2, \\qquad
   \\eta_2^2 = \\frac{1}{V} \\sum_{v=1}^V (h(g(x_v)) - y_v)^2, \\qquad
   \\eta^2 = \\eta_1^2 + \\eta_2^2

The interval of 95 % is :math:`\\bar y \\pm 1.96 \\, \\eta`; a day outside is an
anomaly. The vanilla LSTM beside it has the same layers, trained in one go.

:question: How far off may my forecast be, and when is a day an anomaly?
:level: advanced
:notes: Deep Learning Models, BNN according to Uber
:papers: Zhu and Laptev 2017, https://arxiv.org/abs/1709.01907;
    Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287
:backends: tensorflow, jax, torch
:before: recurrent/series_forecast, regularization/monte_carlo_intervals
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.metrics import roc_auc_score

from kerasrecipes.analysis import predict_samples
from kerasrecipes.datasets import FOLDS, load_eeg_ahead, make_demand_windows
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import MonteCarloDropout

VARIANTS = {
    "naive": {"kind": "naive"},  # as a week ago, or in the sample before
    "vanilla LSTM": {"kind": "vanilla"},
    "encoder-decoder": {"kind": "pretrained"},
}
CONDITIONS = {
    "demand": {"task": "demand", "lag": 7, "targets": 1},
    # Of fewer windows, smaller batches and more passes.
    "EEG": {"task": "EEG", "lag": 1, "targets": 4, "batch": 16, "times": 3},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["naive", "vanilla LSTM"],
    "conditions": ["demand"],
}
FULL = {"epochs": 4, "seeds": 10}
STEPS, AHEAD = 28, 7  # of a window, and what the decoder writes
UNITS, RATE, PASSES = 32, 0.05, 50

# %%
# The data
# --------
# Put your own windows in `load`: what is to be forecast in the first columns,
# and behind it signals that are known a step ahead: calendar and weather for
# the demand of six cities, nothing for the EEG's four channels.


def load(task: str, seed: int) -> tuple:
    """Windows to learn, held out, to test, and with anomalies; labels."""
    if task == "demand":
        return make_demand_windows(STEPS, AHEAD, seed)
    past, ahead = load_eeg_ahead(fold=seed)
    series, origin = np.concatenate([past, ahead]), len(past) - STEPS
    windows = sliding_window_view(series, STEPS + 1, axis=0).swapaxes(1, 2)
    longer = sliding_window_view(past[:-100], STEPS + AHEAD, axis=0)
    held, test = windows[origin - 100 : origin], windows[origin:]
    return longer.swapaxes(1, 2), held, test, test[:0], None


def split(windows, targets: int):
    """What a network reads, steps and the signals ahead; and what comes."""
    steps, then = windows[:, :STEPS], windows[:, STEPS]
    return [steps, then[:, targets:]], then[:, :targets]


# %%
# The networks
# ------------
# With other masks at each step an LSTM could look up at the next one what it
# missed; so all steps share one. A dense layer mixes the signals first: it has
# units to spare, and four channels have not.


def build_model(columns: int, targets: int, dropout=layers.Dropout, rate=RATE):
    """The forecaster and its parts, encoder and prediction network."""
    mix, lstm = layers.Dense(UNITS), layers.LSTM(UNITS, return_state=True)
    hidden = [layers.Dense(units, "tanh") for units in (64, 16)]
    output = layers.Dense(targets)
    steps = keras.Input((STEPS, columns))
    x = dropout(rate, (None, 1, UNITS), name="mask")(mix(steps))
    encoder = keras.Model(steps, ops.concatenate(lstm(x)[1:], axis=-1))
    states, known = keras.Input((2 * UNITS,)), keras.Input((columns - targets,))
    x = ops.concatenate([dropout(rate)(states), known], axis=-1)
    for layer in hidden:
        x = dropout(rate)(layer(x))
    head = keras.Model([states, known], output(x))
    model = keras.Model([steps, known], head([encoder(steps), known]))
    return model, encoder, head


def fit(model: keras.Model, x, y, **options):
    """Trains a model."""
    model.compile(keras.optimizers.Adam(0.003), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, verbose=0, **options)


def pretrain(encoder: keras.Model, windows, targets: int, **options):
    """Trains an encoder with a decoder behind it, and freezes it."""
    x = [windows[:, :STEPS], windows[:, STEPS - AHEAD : STEPS]]
    steps, guide = (keras.Input(part.shape[1:]) for part in x)
    lstm = layers.LSTM(UNITS, return_sequences=True)
    states = ops.split(encoder(steps), 2, axis=-1)
    written = layers.Dense(targets)(lstm(guide, initial_state=states))
    y = windows[:, STEPS:, :targets]
    fit(keras.Model([steps, guide], written), x, y, **options)
    encoder.trainable = False


# %%
# The interval
# ------------
# Dropout is silent in `predict`. For the passes, the weights are put into the
# same network with layers that stay random.


def size(errors):
    """Root mean square of each column."""
    return np.sqrt(np.mean(np.square(errors), axis=0))


def find_width(passes, noise=0.0):
    """Algorithm 2 of the paper: eta, from passes and inherent noise."""
    return np.hypot(passes.std(axis=0), noise)


def run(model, x):
    """What a model says of arrays, its dropout silent."""
    return ops.convert_to_numpy(model(x))


def forecast(windows, targets: int, kind: str, lag: int, **options):
    """What is said of three sets of windows; then passes over the last one.

    The passes are those with dropout everywhere, and in the head alone.
    """
    x = [split(part, targets)[0] for part in windows]
    if kind == "naive":
        said = [steps[:, -lag, :targets] for steps, _ in x]
        return said, said[2][None], said[2][None]
    shape = windows[0].shape[-1], targets
    model, encoder, _ = build_model(*shape)
    if kind == "pretrained":
        pretrain(encoder, windows[0], targets, **options)
    fit(model, *split(windows[0], targets), **options)
    random, _, head = build_model(*shape, MonteCarloDropout)
    random.set_weights(model.get_weights())
    passes = predict_samples(random, x[2], PASSES, batch_size=4096)
    states = [run(encoder, x[2][0]), x[2][1]]
    by_head = predict_samples(head, states, PASSES, batch_size=4096)
    return [run(model, part) for part in x], passes, by_head


# %%
# One trial
# ---------
# What is tested are windows as they come, windows with anomalies, and some
# whose steps are in another order: a series such as there never was. Flagged is
# an error that is large for its width, a large error, or, by a fixed threshold,
# a day far from the mean of its window; the area under the ROC curve judges
# each. Errors and widths are in the logarithm of demand, or in standard
# deviations of a channel.


def train(seed, epochs, task, targets, lag, kind, batch=128, times=1) -> dict:
    """Trains one variant; returns its error, coverage and what it finds."""
    *windows, test, odd, labels = load(task, seed)
    order = np.random.default_rng(seed).permutation(STEPS)
    other = np.concatenate([test[:50, order], test[:50, STEPS:]], axis=1)
    windows.append(np.concatenate([test, odd, other]))
    keras.utils.set_random_seed(seed)
    options = {"batch_size": batch, "epochs": times * epochs}
    said, passes, by_head = forecast(windows, targets, kind, lag, **options)
    truth = [split(part, targets)[1] for part in windows]
    of_training, noise = (size(said[part] - truth[part]) for part in (0, 1))
    error = np.abs(passes.mean(0) - truth[2])
    spread, width = find_width(passes), find_width(passes, noise)
    here = slice(len(test))
    terms = {
        "head": find_width(by_head),
        "encoder, head": spread,
        "all terms": width,
        "noise alone": 0 * width + noise,
        "noise of training": find_width(passes, of_training),
    }
    inside = {name: (error < 1.96 * eta)[here] for name, eta in terms.items()}
    covered = {name: found.mean() for name, found in inside.items()}
    head, both, everything, constant, flattered = covered.values()
    scores = {
        "error": size(error[here].ravel()),
        "width": 2 * 1.96 * width[here].mean(),
        **covered,
        "off 95 %": abs(everything - 0.95),
        "by encoder": both - head,
        "by noise": everything - both,
        "by passes": everything - constant,
        "by holding out": everything - flattered,
        "by order": spread[-len(other) :].mean() - spread[: len(other)].mean(),
    }
    if labels is None:
        return scores
    days = slice(len(test), len(test) + len(odd))
    steps, known = split(windows[2], targets)[0]
    is_holiday = known[here, 7:9].any(axis=1)  # a quiet or a busy one
    usual = steps[days, :, 0].mean(axis=1)
    found, middle = truth[2][days, 0] - usual, passes.mean(0)[days, 0] - usual
    half = 1.96 * width[days, 0]
    signs = error[days, 0] / half, error[days, 0], np.abs(found)
    by_width, by_error, by_day = (roc_auc_score(labels, s) for s in signs)
    first_city = np.stack([found, middle, half, labels])[:, :60]
    return {
        **scores,
        "on holidays": inside["all terms"][is_holiday].mean(),
        "over error": by_width - by_error,
        "over demand": by_width - by_day,
        "curves": {"days": first_city.ravel()},
    }


# %%
# What must hold exactly
# ----------------------
# Of an untrained network that drops every other unit.


def measure(seed: int) -> dict:
    """Algorithm 2 by its formula, the masks, and passes of `predict`."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(20, STEPS, 13)).astype("float32")
    known = generator.normal(size=(20, 12)).astype("float32")
    errors = generator.normal(size=(30, 1))
    keras.utils.set_random_seed(seed)
    model, encoder, _ = build_model(13, 1, MonteCarloDropout, rate=0.5)
    passes = np.array([run(model, [steps, known]) for _ in range(8)], float)
    eta_1 = sum((one - sum(passes) / 8) ** 2 for one in passes) / 8
    eta_2 = sum(error**2 for error in errors) / 30
    off = find_width(passes, size(errors)) ** 2 - (eta_1 + eta_2)
    mask = encoder.get_layer("mask")
    masks = run(mask, np.ones((20, STEPS, UNITS), "float32"))
    silent, *_ = build_model(13, 1, rate=0.5)
    said = [silent.predict([steps, known], verbose=0) for _ in range(2)]
    return {
        "algorithm, off": np.abs(off).max(),
        "masks, by step": np.ptp(masks, axis=1).max(),
        "by predict": np.ptp(said, axis=0).max(),
    }


# %%
# The experiment
# --------------


def plot_intervals(trials, shown: str) -> Figure:
    """Two months of a city with their intervals, and coverage by terms."""
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplot_mosaic("aa;bc", height_ratios=[5, 4])
    top, *bottom = axes.values()
    lines = trials.curves("days", shown, "demand")[:1].reshape(4, -1)
    found, middle, half, label = lines
    days, low, high = np.arange(len(found)), middle - half, middle + half
    ends = np.exp(low), np.exp(high)
    outside, labelled = (found < low) | (found > high), label > 0
    found = np.exp(found)
    top.fill_between(days, *ends, color="#A6D8F2", label="95 % interval")
    top.plot(np.exp(middle), color="#0072B2", label="forecast")
    top.plot(found, "k.", ms=5, label="demand")
    look = {"ms": 10, "mfc": "none"}
    top.plot(days[outside], found[outside], "rx", label="outside", **look)
    top.plot(days[labelled], found[labelled], "ro", label="anomaly", **look)
    top.set(xlabel="day", ylabel="demand / its mean of 28 days before")
    top.legend(frameon=False, ncols=5, fontsize=9, loc="upper center")
    top.margins(x=0.02, y=0.2)
    top.set_title(f"{shown}: two months of a city, first seed", fontsize=10)
    names = ("head", "encoder, head", "all terms")
    names += ("noise of training", "noise alone")
    for axis, task in zip(bottom, CONDITIONS, strict=True):
        for row, term in enumerate(names):
            for share in trials.scores(term, shown, task).values():
                axis.plot(100 * share, row, "o", color="C0", alpha=0.4)
        axis.axvline(95, color="grey", linestyle=":")
        axis.set_yticks(range(len(names)), names)
        axis.set(xlim=(0, 103), xlabel="covered, % (dotted: 95 %)")
        axis.set_title(f"{task}: coverage by terms (a dot a seed)", fontsize=10)
        axis.invert_yaxis()
    return figure


def main(epochs: Count = 2, seeds: Count = 3) -> Report:
    """Compares forecasts and the terms of their intervals, seed by seed.

    Args:
        epochs: passes over 4,000 windows of demand; three times as many over
            the few hundred of the EEG.
        seeds: paired repetitions, with other cities and another span of EEG.
    """
    facts = run_trials(measure)
    # Widened for the folds of the EEG, which is more than demand would need.
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    vanilla, full = "vanilla LSTM", "encoder-decoder"
    exact = {
        "The width is that of the paper's Algorithm 2": "algorithm, off",
        "All steps of a window share the encoder's mask": "masks, by step",
        "With Dropout, passes of predict have no variance": "by predict",
    }
    # Rounding of numbers near one in float64.
    claims = {t: facts.agrees(s, 0.0, within=1e-12) for t, s in exact.items()}
    above = {
        "encoder dropout adds 5 points of coverage": ("by encoder", 0.05),
        "inherent noise adds 5 points of coverage": ("by noise", 0.05),
        "passes cover a point more than noise alone": ("by passes", 0.01),
        "noise of training windows loses 2 points": ("by holding out", 0.02),
        "passes differ more where steps are out of order": ("by order", 0.0),
    }
    only = {
        "the interval covers 90 % of holidays": ("on holidays", 0.9),
        "the interval flags better than the error alone": ("over error", 0.0),
        "the interval beats a fixed threshold by ROC AUC": ("over demand", 0.0),
    }
    for task in CONDITIONS:
        claims |= {
            f"{task}: a vanilla LSTM does not work, it is worse than naive": (
                trials.is_higher("error", vanilla, than="naive", at=task)
            ),
            f"{task}: an encoder-decoder errs less than a vanilla LSTM": (
                trials.is_lower("error", full, than=vanilla, at=task)
            ),
            f"{task}: with all terms coverage is within 3 points of 95 %": (
                trials.is_below("off 95 %", 0.03, full, at=task)
            ),
        }
        bounds = above | only if task == "demand" else above
        for text, (score, value) in bounds.items():
            found = trials.is_above(score, value, full, at=task)
            claims[f"{task}: {text}"] = found
    notes = "Deep Learning Models, BNN according to Uber"
    return Report(
        trials.table("error", "width", "all terms", "noise alone"),
        trials.table("head", "by encoder", "by noise", "by passes", "by order"),
        plot_intervals(trials, full),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Report the coverage of an interval, on windows that nothing was fitted to, and
# its width beside it. Dropout alone knows nothing of the noise in the data;
# noise that is measured where a network has learned knows nothing of how much
# worse it does elsewhere. The inherent noise of Algorithm 2 is one number for
# all days: where holidays are noisier, the coverage of all days can be right
# while that of holidays is not. Nor can one number tell an anomaly from a noisy
# day. A frozen encoder keeps what a decoder needed; a network that is trained
# in one go is the bar to pass. Two things to try: noise of weekdays, weekends
# and holidays apart; and a quarter of the windows, for what more data does.

if __name__ == "__main__":
    cook(main)
