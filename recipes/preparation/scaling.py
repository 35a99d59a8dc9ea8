"""
Scaling the inputs
==================

Wine is told by its chemistry: phenols are counted in tenths, proline in
hundreds. A network begins with weights of one size for all of them, so that it
sees proline and little else, and gradient descent has to take steps that are
small enough for the largest column. Scaling brings the columns to one size:

.. math::

   \\text{standard:} \\; \\frac{x - \\bar x}{s}, \\qquad
   \\text{min-max:} \\; \\frac{x - x_{\\min}}{x_{\\max} - x_{\\min}}, \\qquad
   \\text{robust:} \\; \\frac{x - q_{50}}{q_{75} - q_{25}}

Robust takes the median and the quartiles, which outliers do not move. For an
LSTM the notes say to scale to the range from -1 to 1, that of its tanh.

The numbers :math:`\\bar x`, :math:`x_{\\min}` and so on belong to the model:
they come from the training data. Where a series drifts, whoever takes them
from all of it tells the network how far it will go.

:question: Do I have to scale my features, and how?
:level: beginner
:notes: Everything You Always Wanted to Know About Deep Learning,
    Center and scale inputs; Deep learning, wiki notes, Standard normalization;
    Deep learning, wiki notes, MinMax normalization;
    Deep Learning Models, Scale to -1,1
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn import preprocessing
from sklearn.svm import SVC

from kerasrecipes.analysis import epochs_to
from kerasrecipes.datasets import (
    FOLDS,
    load_eeg,
    load_monthly_stocks,
    load_wine,
)
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_curves

VARIANTS = {
    "raw": {"scaling": "raw"},
    "standard": {"scaling": "standard"},
    "min-max": {"scaling": "min-max"},
    "robust": {"scaling": "robust"},
}
CONDITIONS = {"EEG": {"series": "EEG"}, "S&P 500": {"series": "S&P 500"}}
RANGES = {
    "min-max": {"low": 0},
    "-1 to 1": {"low": -1},
    "-1 to 1, taken from all": {"low": -1, "leaks": True},
}
QUICK = {
    "epochs": 5,
    "seeds": 1,
    "variants": ["raw", "min-max"],
    "conditions": ["EEG"],
}
FULL = {"epochs": 30, "seeds": 10}

INPUTS = (
    "Everything You Always Wanted to Know About Deep Learning, "
    "Center and scale inputs"
)
STANDARD = "Deep learning, wiki notes, Standard normalization"
MIN_MAX = "Deep learning, wiki notes, MinMax normalization"
RANGE = "Deep Learning Models, Scale to -1,1"

# %%
# The network, and a machine beside it
# ------------------------------------
# The scaler learns from the training part and changes both. A support vector
# machine is as sensitive, for it measures distances.


def scale(scaling: str, x, x_test) -> tuple:
    """Both parts, scaled by what the first one has."""
    if scaling == "raw":
        return x, x_test
    scaler = {
        "standard": preprocessing.StandardScaler(),
        "min-max": preprocessing.MinMaxScaler(),
        "robust": preprocessing.RobustScaler(),
    }[scaling].fit(x)
    return scaler.transform(x), scaler.transform(x_test)


def build_model(features: int, classes: int) -> keras.Model:
    """Classifier of (batch, features) numbers."""
    return keras.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(classes),
        ]
    )


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, features), y
# integers.


def train(seed: int, epochs: int, scaling: str) -> dict:
    """Trains a network and a support vector machine on one scaling."""
    (x, y), (x_test, y_test) = load_wine(fold=seed)
    x, x_test = scale(scaling, x, x_test)
    keras.utils.set_random_seed(seed)
    model = build_model(x.shape[1], 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    curve = model.fit(x, y, 16, epochs, verbose=0).history["accuracy"]
    said = ops.convert_to_numpy(model(x_test)).argmax(axis=-1)
    return {
        "accuracy": np.mean(said == y_test),
        "epochs to 95 %": epochs_to(0.95, curve),
        "accuracy of an SVM": SVC().fit(x, y).score(x_test, y_test),
        "curves": {"training accuracy": curve},
    }


# %%
# An LSTM, and a series that drifts
# ---------------------------------
# One step ahead is forecast from twelve. The EEG swings about one level; the
# S&P 500 rises, and the test months lie above those of the training. Errors are
# given as a part of that of saying that nothing changes. The third scaler looks
# at the test part as well, as it does where a whole table is scaled before it
# is split.


def load_windows(series: str, seed: int) -> tuple:
    """Windows of 13 steps: (n, 13, channels) to train on, and to test on."""
    if series == "EEG":
        parts = load_eeg(steps=12, every=2, fold=seed)
        return tuple(np.concatenate([x, y[:, -1:]], 1) for x, y in parts)
    (_, past), (_, future) = load_monthly_stocks(["^GSPC"], fold=seed)
    values = np.log(np.concatenate([past, future]))
    windows = np.lib.stride_tricks.sliding_window_view(values, 13, axis=0)
    windows = np.moveaxis(windows, -1, 1)  # (n, 13, 1)
    return windows[: -len(future)], windows[-len(future) :]


def train_lstm(
    seed: int, epochs: int, series: str, low: int, leaks: bool = False
) -> dict:
    """Forecasts a series that is scaled to a range from `low` to 1."""
    past, future = load_windows(series, seed)
    seen = np.concatenate([past, future]) if leaks else past
    smallest, largest = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    unit = (largest - smallest) / (1 - low)
    past, scaled = (low + (x - smallest) / unit for x in (past, future))
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input((12, past.shape[-1])),
            layers.LSTM(16),
            layers.Dense(past.shape[-1]),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(past[:, :-1], past[:, -1], 16, epochs, verbose=0)
    said = ops.convert_to_numpy(model(scaled[:, :-1]))
    said = smallest + (said - low) * unit
    truth, before = future[:, -1], future[:, -2]
    error, still = (np.sqrt(np.mean((x - truth) ** 2)) for x in (said, before))
    return {
        "error": error / still,
        "beyond the range": np.mean((scaled < low) | (scaled > 1)),
    }


# %%
# What must hold exactly
# ----------------------


def measure(seed: int) -> dict:
    """Keras' and scikit-learn's scalers, and the moments of their outputs."""
    keras.utils.set_random_seed(seed)
    (x, _), (x_test, _) = load_wine(fold=seed)
    normalization = layers.Normalization()
    normalization.adapt(x)
    ours = ops.convert_to_numpy(normalization(x_test))
    standard, theirs = scale("standard", x, x_test)
    small, _ = scale("min-max", x, x_test)
    robust, _ = scale("robust", x, x_test)
    return {
        "Normalization": np.max(np.abs(ours - theirs)),
        "means": np.max(np.abs(standard.mean(axis=0))),
        "deviations": np.max(np.abs(standard.std(axis=0) - 1)),
        "range": np.max(np.abs(np.ptp(small, axis=0) - 1)),
        "medians": np.max(np.abs(np.median(robust, axis=0))),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 30, seeds: Count = 3) -> Report:
    """Compares ways of scaling, seed by seed.

    Args:
        epochs: passes over the training part.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    forecasts = run_trials(
        train_lstm, RANGES, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    raw, *scalings = VARIANTS
    standard, _, robust = scalings
    zero, minus, leak = RANGES
    eeg, stocks = CONDITIONS
    # Thirteen columns of float32 numbers up to 1,680, brought to about 1.
    close = 1e-5
    claims = [
        Claim(
            "keras.layers.Normalization equals scikit-learn's StandardScaler",
            facts.agrees("Normalization", 0.0, within=close),
            STANDARD,
        ),
        Claim(
            "Standard scaling gives every column the mean 0",
            facts.agrees("means", 0.0, within=close),
            STANDARD,
        ),
        Claim(
            "Standard scaling gives every column the standard deviation 1",
            facts.agrees("deviations", 0.0, within=close),
            STANDARD,
        ),
        Claim(
            "Min-max scaling makes every column one wide",
            facts.agrees("range", 0.0, within=close),
            MIN_MAX,
        ),
        *(
            Claim(
                f"Fewer epochs are needed to 95 % with scaling: {name}",
                trials.is_lower("epochs to 95 %", name, than=raw),
                INPUTS,
            )
            for name in scalings
        ),
        *(
            Claim(
                f"Scaling adds over 5 points of accuracy: {name}",
                trials.is_higher("accuracy", name, than=raw, by=0.05),
                INPUTS,
            )
            for name in scalings
        ),
        Claim(
            "Scaling adds over 5 points to a support vector machine: standard",
            trials.is_higher("accuracy of an SVM", standard, than=raw, by=0.05),
            INPUTS,
        ),
        Claim(
            "Robust and standard scaling are as accurate, within 2 points",
            trials.is_same("accuracy", robust, than=standard, within=0.02),
            INPUTS,
        ),
        *(
            Claim(
                f"An LSTM forecasts better from -1 to 1 than from 0 to 1: "
                f"{name}",
                forecasts.is_lower("error", minus, than=zero, at=name),
                RANGE,
            )
            for name in CONDITIONS
        ),
        Claim(
            "A scaler that has seen the test months of the S&P 500 makes the "
            "error look smaller",
            forecasts.is_lower("error", leak, than=minus, at=stocks),
            RANGE,
        ),
        Claim(
            "A scaler that has seen the test part of the EEG changes the error "
            "by less than 5 % of standing still",
            forecasts.is_same("error", leak, than=minus, at=eeg, within=0.05),
            RANGE,
        ),
    ]
    return Report(
        trials.table("accuracy", "epochs to 95 %", "accuracy of an SVM"),
        forecasts.table("error", "beyond the range"),
        plot_curves(
            trials,
            "training accuracy",
            ylabel="share of training wines that are told right",
        ),
        *claims,
    )


# %%
# What to make of it
# ------------------
# Scale, and keep the scaler with the model: a ``Normalization`` layer that has
# been adapted to the training part is saved with it. Which scaling it is
# matters less than that there is one. For a series that drifts no range holds
# for long: forecast the change instead of the level. Two things to try:
# ``BatchNormalization`` in front of the first layer, which finds the scale
# while it trains; and a single value of a million among the training wines,
# which is what robust scaling is for.

if __name__ == "__main__":
    cook(main)
