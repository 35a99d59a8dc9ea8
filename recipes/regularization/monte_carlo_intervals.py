"""
Intervals from Monte Carlo dropout in the gap of a series
=========================================================

A network that fills a gap in a series says one number for each week, and not
how far off it may be. Passes with dropout left on say many, and their spread
should be small where there was something to learn from and large where there
was nothing. The notes show a figure in which sections of a series are missing;
here four years of weekly measurements are.

The mean of :math:`T` passes :math:`y_t = f(x, m_t)` under masks :math:`m_t` is
the prediction. An interval of 95 % adds their variance to that of the noise,
:math:`\\sigma^2`, which is measured on weeks that were held out:

.. math::

   \\bar y \\pm 1.96 \\sqrt{\\eta^2 + \\sigma^2}, \\qquad
   \\eta^2 = \\frac 1 T \\sum_{t=1}^T (y_t - \\bar y)^2

The first part is what the network does not know, and shrinks with more data;
the second is inherent, and does not. What the model gets wrong in principle is
in neither.

:question: My network forecasts a number. How do I get an interval around it?
:level: intermediate
:notes: Deep Learning Models, Bayesian Neural Network (BNN)
:papers: Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142;
    Zhu and Laptev 2017, https://arxiv.org/abs/1709.01907
:backends: tensorflow, jax, torch
:before: regularization/monte_carlo_dropout
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.analysis import predict_samples
from kerasrecipes.datasets import FOLDS, load_co2
from kerasrecipes.experiment import (
    Claim,
    Count,
    Report,
    Trials,
    cook,
    run_trials,
)
from kerasrecipes.layers import MonteCarloDropout

# An interval as wide as the noise, everywhere; passes; several networks.
VARIANTS = {
    "one network": {},
    "MC dropout": {"rate": 0.1, "passes": 100},
    "ensemble": {"members": 5},
}
QUICK = {"epochs": 2, "seeds": 1, "variants": ["one network", "MC dropout"]}
FULL = {"epochs": 30, "seeds": 10}

# %%
# The network
# -----------
# Two hidden layers between a date and a concentration. The members of an
# ensemble stand side by side in one model: none sees another, and one `fit`
# trains all.


def build_model(rate: float = 0.0, members: int = 1) -> keras.Model:
    """Network from (batch, 5) dates to (batch, members) standard scores."""
    inputs = keras.Input((5,))
    outputs = []
    for _ in range(members):
        x = inputs
        for _ in range(2):
            x = layers.Dense(64, activation="relu")(x)
            x = MonteCarloDropout(rate)(x)
        outputs.append(layers.Dense(1)(x))
    return keras.Model(inputs, ops.concatenate(outputs, axis=-1))


# %%
# One trial
# ---------
# Put your own series in the first line: times and values, then those of the
# gap. Each seed misses other years. The network is given the time in decades
# and the season as waves, which is what carries it over the gap. Every fifth
# week is held out: half of these measure the noise, half test the interval.


def train(
    seed: int, epochs: int, rate: float = 0.0, passes: int = 0, members: int = 1
) -> dict:
    """Fits the series around a gap; returns errors in ppm, and coverage."""
    (weeks, co2), (gap_weeks, gap_co2) = load_co2(fold=seed)
    truth, mean, unit = np.append(co2, gap_co2), co2.mean(), co2.std()
    # Days since 1970 become years.
    years = np.append(weeks, gap_weeks).astype(float) / 365.25 + 1970
    x, number = describe(years), np.arange(len(years))
    gap = number >= len(co2)
    learned = ~gap & (number % 5 > 0)
    noisy, outside = (~gap & (number % 10 == rest) for rest in (0, 5))
    keras.utils.set_random_seed(seed)
    model = build_model(rate, members)
    steps = epochs * -(-sum(learned) // 50)
    fall = keras.optimizers.schedules.CosineDecay(0.01, steps)
    model.compile(keras.optimizers.Adam(fall), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    y = np.repeat((truth[learned, None] - mean) / unit, members, axis=1)
    model.fit(x[learned], y, batch_size=50, epochs=epochs, verbose=0)
    if passes:
        said = predict_samples(model, x, passes)[..., 0]
    else:
        said = model.predict(x, verbose=0).T
    said = said * unit + mean  # (passes or members, weeks)
    middle, spread = said.mean(0), said.std(0)
    error = np.abs(middle - truth)
    noise = size(error[noisy])
    half = 1.96 * np.hypot(spread, noise)
    # For the picture: the gap and two years on either side.
    order = np.argsort(years)
    grid = years[gap].mean() + np.linspace(-4, 4, 121)
    shown = order[
        np.searchsorted(years, grid, sorter=order).clip(max=order.size - 1)
    ]
    return {
        "error outside": size(error[outside]),
        "error in the gap": size(error[gap]),
        "one pass to the mean": size((said[0] - truth)[gap]) / size(error[gap]),
        "covered outside": np.mean((error < half)[outside]),
        "covered in the gap": np.mean((error < half)[gap]),
        "by spread alone": np.mean((error < 1.96 * spread)[gap]),
        "width in the gap": 2 * half[gap].mean(),
        "gap to outside": half[gap].mean() / half[outside].mean(),
        "curves": {
            "year": years[shown],
            "measured": truth[shown],
            "predicted": middle[shown],
            "half": half[shown],
            "ends": [years[gap].min(), years[gap].max()],
        },
    }


def size(errors) -> float:
    """Root mean square."""
    return np.sqrt(np.mean(np.square(errors)))


def describe(years):
    """Decades since 1980, and waves of a year and of half a year."""
    turns = 2 * np.pi * years, 4 * np.pi * years
    waves = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
    return np.stack([(years - 1980) / 10, *waves], axis=-1).astype("float32")


# %%
# What must hold exactly
# ----------------------
# The squared error of passes is, on the average, that of their mean and their
# variance on top. Behind dropout at a rate p, the variance of a linear unit
# with the terms :math:`w_i h_i` is p / (1 - p) times the sum of their squares.
# That of 10,000 passes comes within 1.6 % of it, of which five are allowed.


def measure(seed: int) -> dict:
    """Spread of the passes of a linear unit, against the formulas."""
    rate, truth = 0.1, 1.0
    h = np.random.default_rng(seed).normal(size=(1, 50)).astype("float32")
    keras.utils.set_random_seed(seed)
    unit = layers.Dense(1)
    dropout = MonteCarloDropout(rate, seed=seed)
    model = keras.Sequential([layers.Input((50,)), dropout, unit])
    passes = predict_samples(model, h, 10_000).ravel().astype("float64")
    terms = unit.get_weights()[0][:, 0] * h[0]
    known = rate / (1 - rate) * np.sum(np.square(terms))
    of_mean = np.square(passes.mean() - truth) + passes.var()
    return {
        "variance by formula": passes.var() / known,
        "identity, off": np.mean(np.square(passes - truth)) - of_mean,
    }


# %%
# The experiment
# --------------


def plot_gaps(trials: Trials) -> Figure:
    """The first seed's gap as each variant fills it."""
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    axes = figure.subplots(1, len(trials.variants), sharey=True, squeeze=False)
    for axis, variant in zip(axes[0], trials.variants, strict=True):
        year, measured, predicted, half = (
            trials.curves(name, variant)[0]
            for name in ("year", "measured", "predicted", "half")
        )
        axis.fill_between(
            year,
            predicted - half,
            predicted + half,
            color="#56B4E9",
            alpha=0.5,
            linewidth=0,
            label="95 % interval",
        )
        axis.plot(year, predicted, color="#0072B2", label="predicted")
        axis.plot(year, measured, "k.", ms=3, label="measured")
        for end in trials.curves("ends", variant)[0]:
            axis.axvline(end, color="#D55E00", linestyle=":")
        covered = list(trials.scores("covered in the gap", variant).values())
        low, high = min(covered), max(covered)
        axis.set_title(
            f"{variant}\n{np.mean(covered):.0%} of the gap covered "
            f"({low:.0%} to {high:.0%})",
            fontsize=10,
        )
        axis.set_xlabel("year")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("carbon dioxide in ppm")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.supxlabel(
        "between the dotted lines nothing was learned; drawn is the first "
        f"seed, the shares are the mean and range of {len(covered)} seeds",
        fontsize=8,
    )
    return figure


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares intervals from one network, from passes and from several.

    Args:
        epochs: passes over 1,600 weeks.
        seeds: paired repetitions of every variant, each with its own gap.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    notes = "Deep Learning Models, Bayesian Neural Network (BNN)"
    one, many, several = "one network", "MC dropout", "ensemble"
    claims = {
        # Rounding of numbers near one in float64.
        "The error of passes is that of their mean, and their variance": (
            facts.agrees("identity, off", 0.0, within=1e-12)
        ),
        "Of a linear unit, the variance of passes is the formula's": (
            facts.agrees("variance by formula", 1.0, within=0.08)
        ),
        "With dropout a missing part of a series is better predicted": (
            trials.is_lower("error in the gap", many, than=one)
        ),
        "The mean of 100 passes is better than one pass, by a tenth": (
            trials.is_above("one pass to the mean", 1.1, many)
        ),
        "The interval of passes is wider in the gap than outside": (
            trials.is_above("gap to outside", 1.0, many)
        ),
        "Outside the gap the interval of passes covers at least 90 %": (
            trials.is_above("covered outside", 0.9, many)
        ),
        "In the gap the interval of passes covers at least 90 %": (
            trials.is_above("covered in the gap", 0.9, many)
        ),
        "In the gap passes cover more than an interval of constant width": (
            trials.is_higher("covered in the gap", many, than=one)
        ),
        "The spread of passes covers 90 % of the gap without the noise": (
            trials.is_above("by spread alone", 0.9, many)
        ),
        "An ensemble covers more of the gap than passes": (
            trials.is_higher("covered in the gap", several, than=many)
        ),
        "An ensemble predicts the gap better than passes": (
            trials.is_lower("error in the gap", several, than=many)
        ),
    }
    return Report(
        trials.table(
            "error outside", "error in the gap", "one pass to the mean"
        ),
        trials.table(
            "covered outside",
            "covered in the gap",
            "by spread alone",
            "width in the gap",
        ),
        plot_gaps(trials),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Look at the width beside the coverage: an interval that covers everything may
# only be wide. An interval of constant width is the bar to pass, for it costs
# nothing but held-out data. How far passes differ is set by the rate, which
# nothing in the training adjusts; so choose it, as any other setting, by the
# coverage of a gap that you make yourself. Two things to try: rates of 0.02 and
# 0.3; and the waves left out of `describe`, where the network has to carry the
# season over the gap by itself.

if __name__ == "__main__":
    cook(main)
