"""
Missing values: filling them in, or telling the network
=======================================================

Some measurements of some patients are not there. A network can do nothing with
a hole: one NaN makes the loss NaN, and after one step all that it says. So the
holes are filled: with the column's mean, with what similar patients have
(k-NN), with what the other columns say about it (iterative, or an autoencoder).
Or the network is told where they were, by a column of zeros and ones for each
column, the missingness indicators.

With standardised columns the mean is zero, and a missing value :math:`m_j = 0`
is as good as one that adds nothing. A first layer can make up for what is not
added,

.. math::

   h = W \\, (m \\odot x) \\, \\frac{d}{\\sum_j m_j} + b

which is dropout of the inputs, done by the data: the masked network.

What is right depends on why values are missing. At random, a hole says nothing;
but where a large value goes unrecorded, the hole is information.

:question: My table has holes. How do I train on it?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning, Task
:papers: van Buuren and Groothuis-Oudshoorn 2011,
    https://doi.org/10.18637/jss.v045.i03;
    Josse et al. 2019, https://arxiv.org/abs/1902.06931
:backends: tensorflow, jax, torch
:before: preparation/scaling
"""

import keras
import numpy as np
import sklearn.experimental.enable_iterative_imputer
from keras import layers, ops
from sklearn.impute import KNNImputer, SimpleImputer

from kerasrecipes.datasets import FOLDS, load_breast_cancer
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "mean": {"way": "mean"},
    "k-NN": {"way": "k-NN"},
    "iterative": {"way": "iterative"},
    "autoencoder": {"way": "autoencoder"},
    "mean, indicators": {"way": "indicators"},
    "masked network": {"way": "masked"},
}
CONDITIONS = {
    "30 % missing": {"share": 0.3},
    "60 % missing": {"share": 0.6},
}
SOME = {"30 % missing": {"share": 0.3}}
QUICK = {
    "epochs": 2,
    "seeds": 1,
    "variants": ["mean", "mean, indicators"],
    "conditions": ["30 % missing"],
}
FULL = {"epochs": 15, "seeds": 10}

COLUMNS = 10
NAMES = {
    "k-NN": "k-NN",
    "iterative": "The iterative imputer",
    "autoencoder": "The autoencoder",
}
TASK = "Everything You Always Wanted to Know About Deep Learning, Task"

# %%
# Holes
# -----
# Each value is lost with the same probability; or those of the upper tenths of
# their column are, which is a sign of malignancy. As many are lost either way.


def make_holes(x, share: float, are_large: bool, generator):
    """The same numbers, of shape (samples, columns), with NaN in them."""
    if are_large:
        # Only the upper half of a column can be lost.
        share = 2 * share * (x > np.median(x, axis=0))
    return np.where(generator.random(x.shape) < share, np.nan, x)


# %%
# Filling them
# ------------
# Whoever fills has seen the training part alone. The autoencoder learns to
# restore what is there from a part of it: every second value, drawn anew for
# each of twenty copies, is taken from its inputs, and its loss counts the
# values that are known. The iterative imputer is still on trial, so that
# scikit-learn wants to hear that one knows it, by an import.


def fill(way: str, x, x_test, seed: int) -> tuple:
    """Both parts without NaN; `x` standardised where it is known."""
    if way == "autoencoder":
        model = train_autoencoder(x, seed)
        parts = (x, x_test)
        said = [ops.convert_to_numpy(model(np.nan_to_num(p))) for p in parts]
        return tuple(
            np.where(np.isnan(part), one, part)
            for part, one in zip(parts, said, strict=True)
        )
    imputer = {
        "k-NN": KNNImputer(n_neighbors=10),
        # Ten rounds leave a little to change; more would be a little better.
        "iterative": sklearn.impute.IterativeImputer(
            max_iter=10, tol=0.1, random_state=0
        ),
    }.get(way, SimpleImputer())
    return imputer.fit_transform(x), imputer.transform(x_test)


def train_autoencoder(x, seed: int) -> keras.Model:
    """Restores (batch, columns) numbers from some of them."""
    generator = np.random.default_rng(seed)
    known = np.tile(x, (20, 1))
    shown = np.where(generator.random(known.shape) < 0.5, known, 0)
    model = keras.Sequential(
        [
            layers.Input((x.shape[1],)),
            layers.Dense(32, activation="relu"),
            layers.Dense(x.shape[1]),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), error_of_known)
    model.fit(np.nan_to_num(shown), known, 100, epochs=5, verbose=0)
    return model


def error_of_known(y_true, y_pred):
    """The squared error, where there is something to compare with."""
    is_known = ops.logical_not(ops.isnan(y_true))
    y_true = ops.where(is_known, y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


# %%
# The network
# -----------


class MaskedDense(layers.Dense):
    """A Dense layer of inputs of which NaN are left out."""

    def call(self, inputs):
        is_known = ops.logical_not(ops.isnan(inputs))
        known = ops.sum(ops.cast(is_known, inputs.dtype), -1, keepdims=True)
        scale = inputs.shape[-1] / ops.maximum(known, 1.0)
        return super().call(ops.where(is_known, inputs * scale, 0.0))


def build_model(features: int, is_masked: bool) -> keras.Model:
    """Classifier of (batch, features) numbers; NaN are for the masked one."""
    first = MaskedDense if is_masked else layers.Dense
    return keras.Sequential(
        [
            layers.Input((features,)),
            first(32, activation="relu"),
            layers.Dense(1),
        ]
    )


# %%
# One trial
# ---------
# Put your own table in the first line: x of shape (samples, columns), y of
# zeros and ones. Only ten columns are taken, the mean size and shape of the
# cells. Values are missing in the test part as well. What is lost is known
# here, so that the imputed values can be compared with it.


def train(
    seed: int, epochs: int, way: str, share: float, are_large: bool = False
) -> dict:
    """Trains on a table with holes; accuracy, and errors of what was filled."""
    (x, y), (x_test, y_test) = load_breast_cancer(fold=seed)
    x, x_test = x[:, :COLUMNS].astype("float64"), x_test[:, :COLUMNS]
    generator = np.random.default_rng(seed)
    holes, holes_test = (
        make_holes(part, share, are_large, generator) for part in (x, x_test)
    )
    mean, deviation = np.nanmean(holes, axis=0), np.nanstd(holes, axis=0)
    holes, holes_test, truth = (
        (part - mean) / deviation for part in (holes, holes_test, x_test)
    )
    keras.utils.set_random_seed(seed)
    filled, filled_test = fill(way, holes, holes_test, seed)
    lost = np.isnan(holes_test)
    error = np.sqrt(np.mean((filled_test - truth)[lost] ** 2))
    if way == "indicators":
        filled = np.hstack([filled, np.isnan(holes)])
        filled_test = np.hstack([filled_test, lost])
    elif way == "masked":
        filled, filled_test = holes, holes_test
    keras.utils.set_random_seed(seed)
    model = build_model(filled.shape[1], way == "masked")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(filled, y[:, None], epochs=epochs, verbose=0)
    logits = ops.convert_to_numpy(model(filled_test))[:, 0]
    return {
        "accuracy": np.mean((logits > 0) == y_test),
        "log loss": np.mean(np.logaddexp(0, logits) - y_test * logits),
        "imputation error": error,
    }


# %%
# What must hold exactly
# ----------------------
# The masked layer against its formula, with a row of holes only. A linear model
# with indicators, filled once with 0 and once with 5: where the weight of each
# indicator makes up for the difference, it is the same function, so that what
# is filled in does not matter. And a single NaN that is fed to a network.


def measure(seed: int) -> dict:
    """Holes in a layer, in a linear model, and in a training step."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(20, 6))
    holes = make_holes(x, 0.4, False, generator)
    holes[0] = np.nan
    is_known = ~np.isnan(holes)

    layer, plain = MaskedDense(4), layers.Dense(4)
    said = ops.convert_to_numpy(layer(holes))
    kernel, bias = layer.get_weights()
    plain.build((None, 6))
    plain.set_weights([kernel, bias])
    whole = ops.convert_to_numpy(layer(x) - plain(x))
    scale = 6 / np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    expected = np.nan_to_num(holes) * scale @ kernel + bias

    weights, indicators = generator.normal(size=(2, 6))
    with_0 = np.where(is_known, x, 0) @ weights + ~is_known @ indicators
    made_up = indicators - 5 * weights
    with_5 = np.where(is_known, x, 5) @ weights + ~is_known @ made_up

    mean = SimpleImputer().fit(holes).transform(np.full((1, 6), np.nan))
    model = build_model(6, is_masked=False)
    model.compile("sgd", "mse")
    spoilt = x.copy()
    spoilt[3, 2] = np.nan
    model.fit(spoilt, np.zeros((20, 1)), batch_size=20, verbose=0)
    later = ops.convert_to_numpy(model(x))
    return {
        "masked": np.max(np.abs(said - expected)),
        "nothing missing": np.max(np.abs(whole)),
        "filled otherwise": np.max(np.abs(with_0 - with_5)),
        "mean": np.max(np.abs(mean - np.nanmean(holes, axis=0))),
        "answers lost": np.mean(np.isnan(later)),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 15, seeds: Count = 3) -> Report:
    """Compares ways to deal with holes, seed by seed.

    Args:
        epochs: passes over the training part.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    large = run_trials(
        train,
        VARIANTS,
        SOME,
        seeds=seeds,
        folds=FOLDS,
        epochs=epochs,
        are_large=True,
    )
    mean, *fillings, indicators, masked = VARIANTS
    *_, many = CONDITIONS
    claims = {
        # Sums of a few float32 numbers; the others are of float64.
        "The masked layer equals its formula, for a row of holes too": (
            facts.agrees("masked", 0.0, within=1e-5)
        ),
        "The masked layer is a Dense layer where nothing is missing": (
            facts.agrees("nothing missing", 0.0, within=1e-5)
        ),
        "With indicators a linear model can make up for any filling": (
            facts.agrees("filled otherwise", 0.0, within=1e-12)
        ),
        "SimpleImputer fills in the means of the training part": (
            facts.agrees("mean", 0.0, within=1e-12)
        ),
        "A single NaN in a training step turns all later answers into NaN": (
            facts.agrees("answers lost", 1.0, within=0.0)
        ),
        "Filled with the mean, accuracy falls with the share that is missing": (
            trials.trend("accuracy", mean, over="share", falls=True)
        ),
    }
    for name in fillings:
        claims |= {
            f"{NAMES[name]} restores values better than the mean, {many}": (
                trials.is_lower("imputation error", name, than=mean, at=many)
            ),
            f"{NAMES[name]} leads to a lower log loss than the mean": (
                trials.is_lower("log loss", name, than=mean)
            ),
        }
    claims |= {
        "The masked network has a lower log loss than filling with the mean": (
            trials.is_lower("log loss", masked, than=mean)
        ),
        "Indicators help where large values are missing: lower log loss": (
            large.is_lower("log loss", indicators, than=mean)
        ),
        "Indicators help where large values are missing: over a point of "
        "accuracy": (
            large.is_higher("accuracy", indicators, than=mean, by=0.01)
        ),
        "Indicators change accuracy by less than 2 points where values are "
        "missing at random": (
            trials.is_same("accuracy", indicators, than=mean, within=0.02)
        ),
    }
    return Report(
        trials.table("accuracy", "log loss", "imputation error"),
        large.table("accuracy", "log loss", "imputation error"),
        plot_differences(trials, "log loss", xlabel="log loss, nats"),
        plot_differences(
            large, "log loss", xlabel="log loss, large values missing"
        ),
        *(Claim(text, found, TASK) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# First ask why values are missing, for no imputer restores what is missing for
# being large. If the reason may be in the value, add indicators: they cost one
# column each and hardly anything else. If columns tell each other, an imputer
# that looks at the other columns is the better one. Two things to try: all 30
# columns, of which some are all but copies of others; and columns that are
# complete in training and have holes in the test part only.

if __name__ == "__main__":
    cook(main)
