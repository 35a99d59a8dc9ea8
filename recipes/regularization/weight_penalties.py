"""
Weight penalties: L1, L2, elastic net and decoupled weight decay
================================================================

A penalty adds the size of the weights to what training makes small. Of two
networks that explain the data equally well, the one with the smaller or fewer
weights then wins. With weights :math:`w` and a strength :math:`\\lambda`,

.. math::

   \\tilde J(w) = J(w) + \\lambda \\Omega(w), \\qquad
   \\Omega_{L1} = \\sum_i |w_i|, \\qquad \\Omega_{L2} = \\sum_i w_i^2

and the elastic net is a sum of both. L1 pulls every weight by the same amount;
only L2 pulls it in proportion to its value. Weight decay does without
:math:`\\Omega` and takes a share off each weight beside the update. For plain
SGD at rate :math:`\\eta`, and for no other optimizer, this is L2 with a decay
of :math:`2 \\lambda`:

.. math::

   w - \\eta \\, (\\nabla J + 2 \\lambda w) =
   (1 - \\eta \\cdot 2 \\lambda) \\, w - \\eta \\nabla J

Adam divides the gradient by its usual size, and the penalty's part with it.
The notes' ``l1_l2(0.2)`` lacks a parenthesis, and its one number is L1's: L2
stays 0 until it is given as ``l1_l2(l1=..., l2=...)``.

:question: Which weight penalty should I use, and how strong?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    Parameter Norm Penalties;
    Everything You Always Wanted to Know About Deep Learning,
    Regularization for DL;
    Deep learning, wiki notes, Regularization
:papers: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101;
    Duchi and Singer 2009, https://jmlr.org/papers/v10/duchi09a.html;
    Zou and Hastie 2005, https://doi.org/10.1111/j.1467-9868.2005.00503.x
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import functools

import keras
import numpy as np
from keras import layers, ops, regularizers
from matplotlib.figure import Figure
from sklearn.linear_model import Lasso

from kerasrecipes.datasets import FOLDS, load_diabetes
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

LAMBDAS = (0.0002, 0.002, 0.02, 0.2)  # up to the notes' own
VARIANTS = {
    "none": {},
    "right size": {"sizes": (2, 4, 8, 16)},
    "L2": {"penalty": "L2"},
    "L1": {"penalty": "L1"},
    "elastic net": {"penalty": "elastic net"},
    "L1, proximal": {"penalty": "L1, proximal"},
    "Adam": {"optimizer": "Adam"},
    "Adam, L2": {"optimizer": "Adam", "penalty": "L2"},
    "AdamW": {"optimizer": "AdamW", "penalty": "decay"},
}
# What each penalised network is compared with.
AGAINST = {
    "none": ("L2", "L1", "elastic net", "L1, proximal"),
    "Adam": ("Adam, L2", "AdamW"),
}
QUICK = {"epochs": 1, "seeds": 1, "variants": ["none", "L2"]}
FULL = {"epochs": 8, "seeds": 10}

SPARSE = "zeros", "near zeros"
RATES = {"SGD": 0.05, "Adam": 0.001, "AdamW": 0.001}
# Shares of L1 and L2 in the penalty that is added to the loss.
SHARES = {"L1": (1, 0), "L2": (0, 1), "elastic net": (0.5, 0.5)}

# %%
# The proximal step
# -----------------
# The slope of :math:`|w|` is 1 right up to zero, where a step of SGD leaps
# over to the other side. A proximal step moves each weight towards zero and
# stops there. Keras applies a constraint after each update, which is the place
# for it; the threshold is rate times lambda, so the rate has to be constant.


class SoftThreshold(keras.constraints.Constraint):
    """Moves each weight towards zero by a threshold, and not beyond."""

    def __init__(self, threshold: float):
        self.threshold = threshold

    def __call__(self, w):
        return ops.sign(w) * ops.relu(ops.abs(w) - self.threshold)

    def get_config(self) -> dict:
        """The threshold."""
        return {"threshold": self.threshold}


# %%
# The network
# -----------
# The notes' 64 units, twice: fifteen weights for each patient. Kernels are
# penalised and biases are not, neither by decay, which would take them too.


def build_model(units=64, penalty="", strength=0.0) -> keras.Model:
    """Network for (batch, 10) measures of a patient, penalised or not."""
    l1, l2 = np.multiply(SHARES.get(penalty, (0, 0)), strength)
    ways = {"kernel_regularizer": regularizers.L1L2(float(l1), float(l2))}
    if penalty == "L1, proximal":
        ways["kernel_constraint"] = SoftThreshold(RATES["SGD"] * strength)
    relu = {"activation": "relu", **ways}
    hidden = [layers.Dense(units, **relu), layers.Dense(units, **relu)]
    output = layers.Dense(1, **ways)
    return keras.Sequential([layers.Input((10,)), *hidden, output])


def make_optimizer(name: str, decay: float | None):
    """An optimizer that takes a share of its rate off each kernel."""
    make = getattr(keras.optimizers, name)
    optimizer = make(RATES[name], weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


# %%
# One trial
# ---------
# Put your own data in the first line of `load`: x of shape (samples, features),
# y numbers. As in the notes, a fifth of what is known is held out, and the
# strength (or size) with the lowest error there is taken. Decay is a share of
# the rate: AdamW's is fifty times larger, for its rate is fifty times smaller,
# so that a step takes off as much as one of SGD with L2.


def load(seed: int):
    """Patients known, held out and of the test; and the unit of y."""
    (x, y), test = load_diabetes(fold=seed)
    known = len(x) * 4 // 5
    parts = [(x[:known], y[:known]), (x[known:], y[known:]), test]
    x, y = parts[0]
    scaled = [
        ((a - x.mean(0)) / x.std(0), (b - y.mean()) / y.std()) for a, b in parts
    ]
    return scaled, y.std()


def train(seed, epochs, optimizer="SGD", penalty="", sizes=()) -> dict:
    """Trains with every strength; returns the scores of the one to choose."""
    parts, unit = load(seed)
    x, y = (np.concatenate([array] * 10) for array in parts[0])
    grid = sizes or (LAMBDAS if penalty else (0.0,))
    rows = []
    for value in grid:
        keras.utils.set_random_seed(seed)
        model = build_model(*([value] if sizes else [64, penalty, value]))
        decay = 2 * value * RATES["SGD"] / RATES[optimizer]
        decay = decay if penalty == "decay" else None
        model.compile(make_optimizer(optimizer, decay), "mse")
        model.fit(x, y, batch_size=53, epochs=epochs, verbose=0)
        off = [ops.convert_to_numpy(model(a))[:, 0] - b for a, b in parts]
        errors = [unit * np.sqrt(np.mean(np.square(array))) for array in off]
        kernels = [w.ravel() for w in model.get_weights() if w.ndim == 2]
        size = np.abs(np.concatenate(kernels))
        rows.append([*errors, np.mean(size == 0), np.mean(size < 1e-3)])
    training, held_out, test, zeros, near_zeros = np.transpose(rows)
    best = held_out.argmin()
    guessing = unit * np.sqrt(np.mean(np.square(parts[2][1])))
    return {
        "error": test[best],
        "training error": training[best],
        "chosen": grid[best],
        "cost of the last": test[-1] - test[best],
        "last above guessing": test[-1] - guessing,
        "zeros": zeros.mean(),
        "near zeros": near_zeros.mean(),
        "curves": {"error": test, "zeros": zeros, "near zeros": near_zeros},
    }


# %%
# What must hold exactly
# ----------------------
# The added loss by the formula, and ten steps of this network with L2 and with
# decay. The rest is shown on a linear regression, whose slope is known: any
# optimizer can be given that of the penalty, and the lasso has the answer.


def descend(optimizer, x, y, start, l1=0.0, l2=0.0, threshold=0.0, steps=60):
    """Weights of a linear regression after some steps from a start."""
    weights = keras.Variable(start, dtype="float32")
    for _ in range(steps):
        w = ops.convert_to_numpy(weights)
        slope = 2 * x.T @ (x @ w - y) / len(x) + 2 * l2 * w + l1 * np.sign(w)
        optimizer.apply([ops.convert_to_tensor(slope, "float32")], [weights])
        weights.assign(SoftThreshold(threshold)(weights))
    return ops.convert_to_numpy(weights).astype("float64")


def measure(seed: int) -> dict:
    """Added losses, decay against L2 by optimizer, zeros against the lasso."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, 53, 10)).astype("float32")
    ends, off = [], []
    for penalty, decay in (("L2", None), ("decay", 0.4)):
        keras.utils.set_random_seed(seed)
        model = build_model(64, penalty, 0.2)
        model.compile(make_optimizer("SGD", decay), "mse")
        for _ in range(10):
            model.train_on_batch(x, y[:, :1])
        ends.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    for penalty, (l1, l2) in SHARES.items():
        model = build_model(64, penalty, 0.2)
        kernels = [w for w in model.get_weights() if w.ndim == 2]
        omega = sum(l1 * np.abs(w).sum() + l2 * (w**2).sum() for w in kernels)
        added = ops.convert_to_numpy(sum(model.losses))
        off.append(added / (0.2 * omega) - 1)

    # Ten weights, every second of them without any use.
    x, noise = generator.normal(size=(200, 10)), generator.normal(size=200)
    y = x @ ([1, 0] * 5 * generator.uniform(0.5, 2, 10)) + noise
    start = generator.uniform(0.5, 2, 10) * generator.choice([-1, 1], 10)
    lasso = Lasso(alpha=0.1, fit_intercept=False, tol=1e-10).fit(x, y).coef_
    sgd, adam = keras.optimizers.SGD, keras.optimizers.Adam
    leaping = descend(sgd(0.2), x, y, start, l1=0.2)
    stopping = descend(sgd(0.2), x, y, start, threshold=0.2 * 0.2)
    away = {"momentum": functools.partial(sgd, 0.005, momentum=0.9)}
    away["Adam"] = functools.partial(adam, 0.05)
    for name, make in away.items():
        by_l2 = descend(make(), x, y, start, l2=0.02)
        by_decay = descend(make(weight_decay=0.04), x, y, start)
        effect = np.linalg.norm(by_l2 - descend(make(), x, y, start))
        away[name] = np.linalg.norm(by_decay - by_l2) / effect
    # With no data, all that moves the weights is the penalty.
    nothing = np.zeros_like(x), np.zeros_like(y), start
    ways = {"l2": 0.1, "steps": 1}, {"l2": 1.0, "steps": 1}
    steps = [start - descend(adam(0.1), *nothing, **way) for way in ways]
    return {
        "added loss, off": np.abs(off).max(),
        "decay of 2 lambda, off": np.abs(ends[0] - ends[1]).max(),
        "Adam's first step, off": np.abs(steps - 0.1 * np.sign(start)).max(),
        "l2 of l1_l2(0.2)": regularizers.l1_l2(0.2).l2,
        "zeros unlike lasso's": np.sum((stopping == 0) != (lasso == 0)),
        "zeros by SGD": np.sum(leaping == 0),
        "decay off L2, momentum": away["momentum"],
        "decay off L2, Adam": away["Adam"],
    }


# %%
# The experiment
# --------------


def plot_strengths(trials) -> Figure:
    """What each strength does to the error, and to the number of weights."""
    figure = Figure(figsize=(10, 3.9), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[2].set_title("zeros (solid), below 0.001 (dashed)", fontsize=10)
    axes[2].set(ylabel="% of all weights")

    def draw(axis, values, colour, style, label=None):
        if values.size:
            axis.plot(LAMBDAS, values.mean(0), style, color=colour, label=label)
            band = {"color": colour, "alpha": 0.1, "linewidth": 0}
            axis.fill_between(LAMBDAS, values.min(0), values.max(0), **band)
            axis.legend(frameon=False, fontsize=8)

    for axis, (base, names) in zip(axes, AGAINST.items(), strict=False):
        axis.axhline(0, color="black", linestyle=":", linewidth=0.8)
        axis.set_title(f"test error less that of {base}", fontsize=10)
        axis.set(ylabel="RMSE in points of the score")
        plain = trials.curves("error", base)
        for number, name in enumerate(names):
            look = f"C{number}", "-." if name == "L1, proximal" else "-"
            values = trials.curves("error", name)
            if len(values) == len(plain):
                draw(axis, values - plain, *look, name)
            if name in ("L2", "L1", "L1, proximal"):
                zeros, near = (100 * trials.curves(s, name) for s in SPARSE)
                draw(axes[2], zeros, look[0], "-", name)
                draw(axes[2], near, look[0], "--")
    for axis in axes:
        axis.set(xlabel="lambda", xscale="log", xlim=(LAMBDAS[0], LAMBDAS[-1]))
    axes[1].set_xlabel("lambda (AdamW's decay: 100 lambda)")
    figure.supxlabel("line: mean of the seeds, band: their range", fontsize=8)
    return figure


def main(epochs: Count = 5, seeds: Count = 3) -> Report:
    """Compares the penalties, each at the strength that the data choose.

    Args:
        epochs: ten passes each over the patients.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    lower, higher, above = trials.is_lower, trials.is_higher, trials.is_above
    exact, proximal = facts.agrees, "L1, proximal"
    claims = {
        # Of four thousand weights, summed in float32.
        "The loss grows by lambda times the norm": (
            exact("added loss, off", 0, within=1e-5)
        ),
        "The notes' l1_l2(0.2) leaves L2 at zero": (
            exact("l2 of l1_l2(0.2)", 0, within=0.0)
        ),
        "With the notes' l1_l2(0.2) a network is no better than guessing": (
            above("last above guessing", -1.0, "L1")
        ),
        # Rounding of weights of about one, ten times over.
        "SGD with L2 is weight decay of 2 lambda": (
            exact("decay of 2 lambda, off", 0, within=1e-6)
        ),
        # Epsilon takes off 3e-5 of 0.1 where the slope is smallest.
        "With L2, Adam's first step is its rate, whatever lambda": (
            exact("Adam's first step, off", 0, within=1e-5)
        ),
        "With momentum, decay is off by more than half of what L2 does": (
            facts.is_above("decay off L2, momentum", 0.5)
        ),
        "With Adam, decay is off by more than half of what L2 does": (
            facts.is_above("decay off L2, Adam", 0.5)
        ),
        "Adam with L2 is a point worse than AdamW, each as chosen": (
            higher("error", "Adam, L2", than="AdamW", by=1.0)
        ),
        "Proximal steps arrive at the lasso's zeros": (
            exact("zeros unlike lasso's", 0, within=0.0)
        ),
        "SGD with L1 arrives at not one zero": (
            exact("zeros by SGD", 0, within=0.0)
        ),
        "In the network, proximal steps make 10 points more zeros": (
            higher("zeros", proximal, than="L1", by=0.1)
        ),
        "With SGD, L1 makes more weights nearly zero than L2": (
            higher("near zeros", "L1", than="L2")
        ),
        "Zeros do no harm: proximal is within a point of L1": (
            trials.is_same("error", proximal, than="L1", within=1.0)
        ),
        "Penalties are not meant for the training error: L2 raises that": (
            higher("training error", "L2", than="none")
        ),
        "A lambda of 0.2 is too strong: L2 loses to the chosen one": (
            above("cost of the last", 0.0, "L2")
        ),
    }
    for base, names in AGAINST.items():
        for name in names:
            text = f"{name}, as strong as chosen, lowers the test error"
            claims[text] = lower("error", name, than=base)
    general = {
        "A large network with L2 is better than one of the right size": (
            lower("error", "L2", than="right size")
        ),
        "Left alone, a large network is worse than one of the right size": (
            higher("error", "none", than="right size")
        ),
    }
    book = "Everything You Always Wanted to Know About Deep Learning"
    norms, deep = "Parameter Norm Penalties", "Regularization for DL"
    return Report(
        trials.table("error", "training error", "chosen", *SPARSE),
        facts.table("decay off L2, momentum", "decay off L2, Adam"),
        plot_strengths(trials),
        *(Claim(*claim, f"{book}, {norms}") for claim in claims.items()),
        *(Claim(*claim, f"{book}, {deep}") for claim in general.items()),
    )


# %%
# What to make of it
# ------------------
# Take the strength from data that were held out, and look over several powers
# of ten. Under Adam, L2 and AdamW are two penalties and not one: what was found
# for lambda says nothing about decay. Who wants zeros, to leave weights out,
# needs a proximal step: with SGD weights swing about zero as far as rate times
# lambda. Two things to try: `keras.optimizers.Ftrl`, which has such a step in
# `l1_regularization_strength`; and ten columns of noise, for L1 to leave out.

if __name__ == "__main__":
    cook(main)
