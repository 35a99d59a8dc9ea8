"""
Sparse activity: few units for each example
===========================================

A weight penalty makes a network with few connections. A penalty on the
*activity* makes one in which few units answer to an example, others to another.
The notes express that belief with ``activity_regularizer=l1(0.2)``. With
:math:`h_{ij}` the output of unit :math:`j` for example :math:`i` of :math:`n`,
Keras 3 adds

.. math::

   \\frac \\lambda n \\sum_{i=1}^n \\sum_j |h_{ij}|

to the loss: a sum over the units, and a *mean* over the batch, so that lambda
means the same at every batch size. Ng's form for sigmoid units asks that each
of them be active at a share :math:`\\rho` of the examples, and compares this
with the batch's mean :math:`\\hat\\rho_j`:

.. math::

   \\beta \\sum_j \\rho \\log \\frac \\rho {\\hat\\rho_j}
   + (1 - \\rho) \\log \\frac {1 - \\rho} {1 - \\hat\\rho_j}

That is a mean already. Given to a layer as its ``activity_regularizer`` it is
divided by :math:`n` once more, and hardly anything is left of it.

:question: Can I have few units active at a time, and lose no accuracy?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    Sparse Representations
:papers: Ng 2011, https://web.stanford.edu/class/cs294a/;
    Glorot et al. 2011, https://proceedings.mlr.press/v15/glorot11a.html;
    Hoyer 2004, https://jmlr.org/papers/v5/hoyer04a.html
:backends: tensorflow, jax, torch
:before: regularization/weight_penalties
"""

import keras
import numpy as np
from keras import layers, ops, regularizers
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {
    "none": {},
    "L1 0.0001": {"l1": 0.0001},
    "L1 0.001": {"l1": 0.001},
    "L1 0.01": {"l1": 0.01},
    "L1 0.2": {"l1": 0.2},
    "sigmoid": {"activation": "sigmoid"},
    "sigmoid, KL": {"activation": "sigmoid", "kl": "layer"},
    "sigmoid, KL divided": {"activation": "sigmoid", "kl": "regularizer"},
}
QUICK = {"epochs": 2, "seeds": 1, "variants": ["none", "L1 0.001"]}
FULL = {"epochs": 20, "seeds": 10}

# %%
# The penalties
# -------------
# L1 is Keras' own. The notes' snippet uses `l1` and imports `l1_l2`; today one
# writes `keras.regularizers.L1`. Kullback and Leibler's needs the means of a
# batch, and a layer that adds it to the loss as it is.


class KLSparsity(regularizers.Regularizer):
    """Penalty on sigmoid units whose mean over a batch is not `share`."""

    def __init__(self, strength: float = 0.01, share: float = 0.05):
        self.strength, self.share = strength, share

    def __call__(self, h):
        """Penalty on activations of shape (batch, units)."""
        # A unit that is 0 or 1 throughout a batch would cost infinitely much.
        mean = ops.clip(ops.mean(h, axis=0), 1e-6, 1 - 1e-6)
        on = self.share * ops.log(self.share / mean)
        off = (1 - self.share) * ops.log((1 - self.share) / (1 - mean))
        return self.strength * ops.sum(on + off)

    def get_config(self) -> dict:
        """Strength and share."""
        return {"strength": self.strength, "share": self.share}


class ActivityPenalty(layers.Layer):
    """Passes on what it is given, and adds a penalty on it to the loss."""

    def __init__(self, penalty, **kwargs):
        super().__init__(**kwargs)
        self.penalty = regularizers.get(penalty)

    def call(self, inputs):
        """The inputs as they are."""
        self.add_loss(self.penalty(inputs))
        return inputs

    def get_config(self) -> dict:
        """All arguments."""
        penalty = regularizers.serialize(self.penalty)
        return {**super().get_config(), "penalty": penalty}


# %%
# The network
# -----------
# One hidden layer, whose activity is looked at. The penalty of a Dense layer is
# on its outputs, behind the activation.


def build_model(activation="relu", l1=0.0, kl="") -> keras.Model:
    """Classifier of (batch, 64) digits with a penalty on its hidden layer."""
    penalty = regularizers.L1(l1) if l1 else None
    if kl == "regularizer":  # the mistake
        penalty = KLSparsity()
    return keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(
                128, activation=activation, activity_regularizer=penalty
            ),
            *([ActivityPenalty(KLSparsity())] if kl == "layer" else []),
            layers.Dense(10),
        ]
    )


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 64), y integers. A
# ReLU unit is active above 0, a sigmoid above a half. L1 can be made small
# without any zero, by small activations and large weights behind them; Hoyer's
# measure does not see the size. It is 0 where all units are equal, and 1 where
# a single one is active.


def train(seed: int, epochs: int, **network) -> dict:
    """Trains one variant; returns its accuracy and its hidden activity."""
    (x, y), (x_test, y_test) = load_digits(200, fold=seed, flat=True)
    keras.utils.set_random_seed(seed)
    model = build_model(**network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.002), loss=loss)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    x_all, y_all = np.tile(x, (10, 1)), np.tile(y, 10)
    model.fit(x_all, y_all, batch_size=50, epochs=epochs, verbose=0)
    logits = ops.convert_to_numpy(model(x_test))
    h = ops.convert_to_numpy(model.layers[0](x_test))  # (samples, 128)
    active = h > (0.5 if network.get("activation") == "sigmoid" else 0.0)
    return {
        "accuracy": np.mean(logits.argmax(-1) == y_test),
        "active": active.mean(),
        "dead": np.mean(~active.any(axis=0)),
        "mean activity": h.mean(),
        "Hoyer": hoyer(h).mean(),
    }


def hoyer(h) -> np.ndarray:
    """Hoyer's sparsity of each row; of a row of zeros, 1."""
    sums, norms = np.abs(h).sum(1), np.sqrt(np.square(h).sum(1))
    ratio = np.divide(sums, norms, out=np.ones_like(sums), where=norms > 0)
    root = np.sqrt(h.shape[1])
    return (root - ratio) / (root - 1)


# %%
# What must hold exactly
# ----------------------
# What Keras adds to the loss, against the formula, for batches of several
# sizes; a convolution sums over its pixels as well. Then the KL penalty, by
# the layer and as an `activity_regularizer`.


def added(layer, x) -> tuple:
    """A layer's outputs, and what it adds to the loss for a batch."""
    h = ops.convert_to_numpy(layer(x)).astype("float64")
    return h, float(ops.convert_to_numpy(layer.losses[0]))


def measure(seed: int) -> dict:
    """Penalties of batches of 1, 7 and 50 examples, against the formulas."""
    generator = np.random.default_rng(seed)
    images = generator.normal(size=(50, 8, 8, 1)).astype("float32")
    keras.utils.set_random_seed(seed)
    way = {"activation": "relu", "activity_regularizer": regularizers.L1(0.2)}
    dense, conv = layers.Dense(20, **way), layers.Conv2D(4, 3, **way)
    sigmoid = layers.Dense(20, activation="sigmoid")
    divided = layers.Dense(
        20, activation="sigmoid", activity_regularizer=KLSparsity(1.0)
    )
    divided.build((None, 64))
    sigmoid.build((None, 64))
    divided.set_weights(sigmoid.get_weights())
    off, kl_off, left = [], [], []
    for n in (1, 7, 50):
        x = images[:n]
        for layer, batch in ((dense, x.reshape(n, 64)), (conv, x)):
            h, penalty = added(layer, batch)
            off.append(penalty / (0.2 * np.abs(h).sum() / n) - 1)
        h, penalty = added(
            ActivityPenalty(KLSparsity(1.0)), sigmoid(x.reshape(n, 64))
        )
        mean = h.mean(0)
        formula = 0.05 * np.log(0.05 / mean)
        formula += 0.95 * np.log(0.95 / (1 - mean))
        kl_off.append(penalty / formula.sum() - 1)
        left.append(added(divided, x.reshape(n, 64))[1] / penalty)
    return {
        "L1, off": np.abs(off).max(),
        "KL by a layer, off": np.abs(kl_off).max(),
        "KL left at batch 50": left[-1],
    }


# %%
# The experiment
# --------------


def plot_activity(trials) -> Figure:
    """Accuracy against the share of active units, seed by seed."""
    figure = Figure(figsize=(7.4, 4.0), layout="constrained")
    axis = figure.subplots()
    for number, name in enumerate(trials.variants):
        points = [
            100 * np.array([*trials.scores(score, name).values()])
            for score in ("active", "accuracy")
        ]
        marker = "s" if name.startswith("sigmoid") else "o"
        way = {"color": f"C{number}", "marker": marker, "linestyle": ""}
        means = [values.mean() for values in points if values.size]
        if means:
            axis.plot(*points, markersize=3, **way)
            way |= {"fillstyle": "none", "label": name}
            axis.plot(*means, markersize=11, markeredgewidth=1.5, **way)
    axis.set(
        xlabel="active units in % (ReLU: above 0, sigmoid: above 0.5)",
        ylabel="test accuracy in %",
    )
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc="outside right")
    figure.supxlabel(
        "small and filled: a seed, large: mean of the seeds", fontsize=8
    )
    return figure


def main(epochs: Count = 10, seeds: Count = 3) -> Report:
    """Compares penalties on the hidden activity, seed by seed.

    Args:
        epochs: ten passes each over 200 digits.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    higher, lower = trials.is_higher, trials.is_lower
    against = dict.fromkeys(("L1 0.0001", "L1 0.001", "L1 0.01"), "none")
    against["sigmoid, KL"] = "sigmoid"
    claims = {
        # Sums of up to ten thousand float32 numbers.
        "Keras adds L1's sum over units as a mean over the batch": (
            facts.agrees("L1, off", 0.0, within=1e-5)
        ),
        "A layer with add_loss adds the KL penalty as it is": (
            facts.agrees("KL by a layer, off", 0.0, within=1e-5)
        ),
        "As an activity_regularizer, a fiftieth is left at batch 50": (
            facts.agrees("KL left at batch 50", 1 / 50, within=1e-6)
        ),
    }
    for name, base in against.items():
        claims[f"With {name}, fewer units are active"] = lower(
            "active", name, than=base
        )
        claims[f"With {name}, at most a point of accuracy is lost"] = higher(
            "accuracy", name, than=base, by=-0.01
        )
    claims |= {
        "The notes' L1 of 0.2 is too much: no better than 15 % are right": (
            trials.is_below("accuracy", 0.15, "L1 0.2")
        ),
        "Activity not only shrinks: L1 0.01 is sparser by Hoyer's measure": (
            higher("Hoyer", "L1 0.01", than="none")
        ),
        "Silent units are not dead: with L1 0.01, under a tenth are": (
            trials.is_below("dead", 0.1, "L1 0.01")
        ),
        "KL brings the mean activity below a tenth": (
            trials.is_below("mean activity", 0.1, "sigmoid, KL")
        ),
        "Divided by the batch, KL leaves twice that activity at least": (
            trials.is_above("mean activity", 0.2, "sigmoid, KL divided")
        ),
    }
    notes = (
        "Everything You Always Wanted to Know About Deep Learning, "
        "Sparse Representations"
    )
    return Report(
        trials.table("accuracy", "active", "dead", "mean activity", "Hoyer"),
        plot_activity(trials),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Lambda multiplies a sum over all units: what is mild for ten is a flood for
# a thousand, so divide it by the width when you change that. Look at the share
# of dead units beside that of active ones, and beside that of the plain
# network; who only wants a smaller layer gets it cheaper. KL pulls at the mean,
# which can stay far from its target while units no longer cross a half.
# `evaluate` counts the penalty in, so that losses of two lambdas cannot be
# compared. Two things to try: a batch size of 10, which leaves L1 as it is and
# makes KL's means rough; and L1 on a layer without an activation, as in the
# notes' snippet, where outputs swing about zero and seldom are zero.

if __name__ == "__main__":
    cook(main)
