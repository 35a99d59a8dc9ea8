"""
Model averaging: ten networks against one
=========================================

Networks that start from other weights make other mistakes, and what they all
say is more often right than what one of them says. The notes promise a lot from
averaging "at the price of increased computation and memory", and show boosted
stumps on Hastie's data: ten normal numbers, and whether their squares sum to
more than usual. Here networks are put beside them.

Let :math:`p_i` be the probability that member :math:`i` of :math:`k` gives, and
:math:`\\bar p` their mean. For a target :math:`y` of 0 or 1, and any members,

.. math::

   (\\bar p - y)^2 = \\frac 1 k \\sum_i (p_i - y)^2
   - \\frac 1 k \\sum_i (p_i - \\bar p)^2

The average is better than the members are by as much as they disagree. Bagging
makes them disagree by giving each a sample of the examples, drawn with
replacement. Snapshots are taken from one run whose rate rises again and again;
EMA and SWA average the *weights* of one run, late steps and late epochs, and
answer with one network. To average weights of different runs is a mistake:
their hidden units stand in another order.

:question: I can pay for ten networks. Is their average better than one?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    Model Averaging;
    Everything You Always Wanted to Know About Deep Learning, Dropout
:papers: Breiman 1996, https://doi.org/10.1007/BF00058655;
    Huang et al. 2017, https://arxiv.org/abs/1704.00109;
    Izmailov et al. 2018, https://arxiv.org/abs/1803.05407
:backends: tensorflow, jax, torch
:before: regularization/dropout
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import make_hastie_10_2
from sklearn.ensemble import GradientBoostingClassifier

from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "one network": {},
    "boosted stumps": {"stumps": True},
    "one large": {"units": 1000},
    "ten starts": {"members": 10},
    "bagging": {"members": 10, "bootstrap": True},
    "snapshots": {"cycles": 5},
    "EMA": {"average": "EMA"},
    "SWA": {"average": "SWA"},
    "dropout": {"rate": 0.5},
}
# What is compared on the notes' own split as well.
STARTS = {"one network": {}, "ten starts": {"members": 10}}
QUICK = {"epochs": 5, "seeds": 1, "variants": ["one network", "ten starts"]}
FULL = {"epochs": 30, "seeds": 10}

BATCH = 100
# A sum, so that no member's gradient depends on how many others there are.
LOSS = keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")

# %%
# Ten networks as one model
# -------------------------
# An `EinsumDense` layer with a kernel for each member trains ten networks in
# one `fit`, in little more time than one. It counts the members among its
# outputs, so that its default start, which looks at these, is too small for
# each of them; `he_normal` looks at the inputs alone. For networks of another
# kind, `keras.Model(x, [network(x) for network in networks])` does the same.


def build_model(members=1, units=100, rate=0.0) -> keras.Model:
    """Logits (batch, members, 1) of networks for (batch, 10) numbers."""

    def dense(width, activation=None):
        return layers.EinsumDense(
            "bmi,mio->bmo",
            output_shape=(members, width),
            bias_axes="mo",
            activation=activation,
            kernel_initializer="he_normal",
        )

    # Before Dropout draws a seed, so that all variants start from one state.
    hidden, outputs = dense(units, "relu"), dense(1)
    return keras.Sequential(
        [
            layers.Input((10,)),
            layers.RepeatVector(members),  # (batch, members, 10)
            hidden,
            layers.Dropout(rate),
            outputs,
        ]
    )


def probabilities(model: keras.Model, x) -> np.ndarray:
    """What each member says of each example, (members, samples)."""
    answers = ops.convert_to_numpy(ops.sigmoid(model(x)))
    return answers[:, :, 0].T.astype("float64")


# %%
# One trial
# ---------
# Put your own data in place of `load`: x of shape (samples, features), y of
# zeros and ones. Like the notes, it trains on the first 2,000 of 12,000
# examples; every seed draws new ones.


def load(split: int):
    """Hastie's data, split as in the notes; theirs is split 0."""
    x, y = make_hastie_10_2(random_state=split)
    x, y = x.astype("float32"), (y > 0).astype("float32")
    return (x[:2000], y[:2000]), (x[2000:], y[2000:])


def boost(x, y) -> GradientBoostingClassifier:
    """The notes' line: a hundred trees of one question each."""
    return GradientBoostingClassifier(
        n_estimators=100, learning_rate=1.0, max_depth=1, random_state=0
    ).fit(x, y)


def train(
    seed: int,
    epochs: int,
    split: int | None = None,
    stumps: bool = False,
    members: int = 1,
    bootstrap: bool = False,
    cycles: int = 0,
    average: str = "",
    **network,
) -> dict:
    """Trains one variant; scores its members and their average."""
    (x, y), (x_test, y_test) = load(seed if split is None else split)
    keras.utils.set_random_seed(seed)
    if stumps:
        p = boost(x, y).predict_proba(x_test)[:, 1][None]
        return score(p, p, y_test)
    model = build_model(members, **network)
    counts = None
    if bootstrap:  # how often an example is in a member's sample
        n = len(x)
        counts = np.random.multinomial(n, np.full(n, 1 / n), members).T
    states = fit(model, x, y, epochs, counts, cycles, ema=average == "EMA")
    if average == "SWA":
        late = states[-max(epochs // 3, 1) :]
        model.set_weights([np.mean(w, axis=0) for w in zip(*late, strict=True)])
    p = probabilities(model, x_test)
    if cycles:
        every = max(epochs // cycles, 1)
        p = []
        for state in states[every - 1 :: every]:
            model.set_weights(state)
            p.append(probabilities(model, x_test)[0])
    # The mistake: one network whose weights are the mean of all members'.
    mean = [w.mean(0, keepdims=True) for w in model.get_weights()]
    model.set_weights([np.repeat(w, members, axis=0) for w in mean])
    return score(np.array(p), probabilities(model, x_test)[:1], y_test)


def fit(model, x, y, epochs, weights=None, cycles=0, ema=False) -> list:
    """Trains all members at once; returns the weights after each epoch."""
    rate = 0.01
    if cycles:  # a cosine down to zero, and up again
        steps = max(epochs // cycles, 1) * len(x) // BATCH
        rate = keras.optimizers.schedules.CosineDecayRestarts(rate, steps, 1.0)
    model.compile(keras.optimizers.Adam(rate, use_ema=ema), loss=LOSS)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    states = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: states.append(model.get_weights())
    )
    model.fit(
        x,
        np.tile(y[:, None, None], (model.output_shape[1], 1)),
        sample_weight=weights,
        batch_size=BATCH,
        epochs=epochs,
        callbacks=[keep],
        verbose=0,
    )
    return states


def score(p, mixed, y) -> dict:
    """Scores of probabilities (members, samples), and of mixed weights'."""
    average = p.mean(0)
    accuracy, error = np.mean((average > 0.5) == y), np.mean((average - y) ** 2)
    alone = np.mean((p > 0.5) == y, axis=1)
    disagreement = np.mean((p - average) ** 2)
    return {
        "accuracy": accuracy,
        "mean member": alone.mean(),
        "above the best member": accuracy - alone.max(),
        "squared error": error,
        "disagreement": disagreement,
        "identity, off": np.mean((p - y) ** 2) - disagreement - error,
        "mixed weights": np.mean((mixed[0] > 0.5) == y),
    }


# %%
# What must hold exactly
# ----------------------
# The notes' number, for every one of the 10,000 test examples. Then the last
# of three networks side by side, against the same one alone; and Keras'
# moving average, which stands in the model once `fit` has ended, against
#
# .. math::
#
#    \\bar w_1 = w_1, \\qquad
#    \\bar w_t = 0.99 \\, \\bar w_{t-1} + 0.01 \\, w_t
#
# Last, dropout as bagging: before a single Dense unit the masks of ten inputs
# make 1,024 networks, and the mean of their logits is the logit at rest.


def measure(seed: int) -> dict:
    """The notes' number, and how far three identities are off."""
    (x, y), (x_test, y_test) = load(0)
    stumps = boost(x, y).score(x_test, y_test)
    keras.utils.set_random_seed(seed)
    together, alone = build_model(members=3, units=20), build_model(units=20)
    alone.set_weights([w[2:] for w in together.get_weights()])
    for networks in (together, alone):
        keras.utils.set_random_seed(seed)  # the same order of the examples
        fit(networks, x, y, epochs=1)
    pairs = zip(together.get_weights(), alone.get_weights(), strict=True)
    apart = max(np.abs(w[2:] - v).max() for w, v in pairs)

    model = build_model(units=20)  # whose epochs are one update each
    first, *later = fit(model, x[:BATCH], y[:BATCH], epochs=5, ema=True)
    for state in later:
        pairs = zip(first, state, strict=True)
        first = [0.99 * mean + 0.01 * w for mean, w in pairs]
    pairs = zip(first, model.get_weights(), strict=True)
    average = max(np.abs(mean - w).max() for mean, w in pairs)

    thinned = keras.Sequential(
        [layers.Input((10,)), layers.Dropout(0.5), layers.Dense(1)]
    )
    kernel, bias = thinned.get_weights()
    masks = np.indices((2,) * 10).reshape(10, -1).T[:, None]  # (1024, 1, 10)
    logits = (x[:20] * masks / 0.5) @ kernel.astype("float64") + bias
    at_rest = ops.convert_to_numpy(thinned(x[:20]))
    return {
        "accuracy of boosted stumps": stumps,
        "side by side, off": apart,
        "moving average, off": average,
        "mean logit of all masks, off": np.abs(logits.mean(0) - at_rest).max(),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 20, seeds: Count = 3) -> Report:
    """Compares ways to average, seed by seed.

    Args:
        epochs: passes over 2,000 examples.
        seeds: paired repetitions of every variant, each with new examples.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(train, VARIANTS, seeds=seeds, epochs=epochs)
    # The notes' own data, again and again: only the networks' starts differ.
    split = run_trials(
        train,
        STARTS,
        seeds=seeds,
        epochs=epochs,
        split=0,
    )
    higher, one, ten = trials.is_higher, "one network", "ten starts"
    stumps, best = "boosted stumps", "above the best member"
    large = "one large"
    claims = {
        # One example of the ten thousand is 0.0001.
        "The notes' boosted stumps score their 0.913": (
            facts.agrees("accuracy of boosted stumps", 0.913, within=5e-5)
        ),
        # Twenty updates in float32, of weights below two.
        "A network among others trains as it does alone": (
            facts.agrees("side by side, off", 0.0, within=1e-4)
        ),
        # Sums of 100,000 squares in float64.
        "An average is better than its members by their disagreement": (
            trials.agrees("identity, off", 0.0, within=1e-12)
        ),
        # Rounding of weights below two in float32.
        "After fit with use_ema, the weights are the moving average": (
            facts.agrees("moving average, off", 0.0, within=1e-6)
        ),
        "On the notes' split, one network beats 0.913": (
            split.is_above("accuracy", 0.913, one)
        ),
        "On the notes' split, ten networks beat 0.913": (
            split.is_above("accuracy", 0.913, ten)
        ),
        "On new data, ten networks beat boosted stumps": (
            higher("accuracy", ten, than=stumps)
        ),
        "The benefit is substantial: ten starts beat one by a point": (
            higher("accuracy", ten, than=one, by=0.01)
        ),
        "Ten starts beat their best member": trials.is_above(best, 0.0, ten),
        "Not by their size: ten starts beat one as large": (
            higher("accuracy", ten, than=large)
        ),
        "Bagging beats one network": higher("accuracy", "bagging", than=one),
        "Bagging's members disagree more than those of ten starts": (
            higher("disagreement", "bagging", than=ten)
        ),
        "Bagging beats ten starts on the same examples": (
            higher("accuracy", "bagging", than=ten)
        ),
        **{
            f"For the training of one, {name} beat{s} one network": (
                higher("accuracy", name, than=one)
            )
            for name, s in (("snapshots", ""), ("EMA", "s"), ("SWA", "s"))
        },
        "Averaging the weights of ten starts costs over ten points": (
            trials.is_lower("mixed weights", ten, than=one, by=0.1)
        ),
    }
    thinned = {
        # Rounding of logits below ten in float32.
        "On one linear unit, dropout averages all 1,024 networks": (
            facts.agrees("mean logit of all masks, off", 0.0, within=1e-5)
        ),
        "Dropout makes bagging practical: within a point of it": (
            trials.is_same("accuracy", "dropout", than="bagging", within=0.01)
        ),
        "Dropout beats one network": higher("accuracy", "dropout", than=one),
    }
    book = "Everything You Always Wanted to Know About Deep Learning"
    return Report(
        trials.table(
            "accuracy", "mean member", best, "squared error", "disagreement"
        ),
        split.table("accuracy", best),
        plot_differences(trials, "accuracy", xlabel="test accuracy"),
        *(
            Claim(*claim, f"{book}, Model Averaging")
            for claim in claims.items()
        ),
        *(Claim(*claim, f"{book}, Dropout") for claim in thinned.items()),
    )


# %%
# What to make of it
# ------------------
# Averaging pays where the members are good, and wrong in different places:
# look at both columns. What bagging gains in disagreement it loses on members
# that have seen two examples in three. Averages of weights cost nothing at
# prediction; after `fit` a model with `use_ema` holds them, and a second `fit`
# goes on from there. During training `evaluate` sees the weights of the last
# step, unless there is a `keras.callbacks.SwapEMAWeights`. A network with
# BatchNormalization also needs its statistics anew. Two things to try: early
# stopping for the one network, which takes away some of what an average mends;
# and ten members that each leave out a tenth of the inputs.

if __name__ == "__main__":
    cook(main)
