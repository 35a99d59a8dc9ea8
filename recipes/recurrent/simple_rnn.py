"""
A plain recurrent network, and how far its gradient gets back
=============================================================

The notes describe a recurrent network as a basic node with a loop: the previous
output is merged with the current input, for the purpose of remembering. With
inputs :math:`x_t`, outputs :math:`h_t`, and "using tanh?", as the notes ask:

.. math::

   h_t = \\tanh(x_t W + h_{t-1} U + b)

To learn what to remember for :math:`k` steps, it needs to know how its last
state depends on that of :math:`k` steps before: a product of :math:`k` matrices
that are made of the same :math:`U`, and of slopes of the tanh, none above 1.

.. math::

   \\frac{\\partial h_t}{\\partial h_{t-k}} =
   \\prod_{s=t-k+1}^{t} U \\, \\mathrm{diag}(1 - h_s^2)

An LSTM carries a second state along. At each step a forget gate says how much
of it stays, and these gates are the factors of its direct way back. The notes
say that gates solve the problem, and that the vanishing gradient of a recurrent
network is "100 times worse". Another answer keeps the plain layer: it starts by
copying its state (:math:`U` is the identity), with ReLU, whose slope is 1.

:question: Why does a plain recurrent network forget, and what helps?
:level: intermediate
:notes: Deep Learning Models, Recurrent Neural Net (RNN);
    Deep Neural Nets Basics, RNN
:papers: Bengio et al. 1994, https://doi.org/10.1109/72.279181;
    Le et al. 2015, https://arxiv.org/abs/1504.00941
:backends: tensorflow, jax, torch
:before: foundations/iris_baseline
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import make_adding_problem
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "SimpleRNN": {"kind": "tanh"},
    "tanh, identity start": {"kind": "tanh", "identity": True},
    "ReLU, identity start": {"kind": "relu", "identity": True},
    "LSTM": {"kind": "lstm"},
}
CONDITIONS = {"20 steps": {"steps": 20}, "40 steps": {"steps": 40}}
# A network of as many layers is compared with these before training.
WAYS = {**VARIANTS, "feed-forward": {"kind": "feed-forward"}}
LENGTHS = {f"{n} steps": {"steps": n} for n in (20, 50, 100, 200)}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["SimpleRNN", "LSTM"],
    "conditions": ["20 steps"],
}
FULL = {"epochs": 9, "seeds": 10}

UNITS = 32
KINDS = {"tanh": "SimpleRNN", "relu": "SimpleRNN with ReLU", "lstm": "LSTM"}

# %%
# The networks
# ------------
# Keras lets the weights between steps start as a random rotation, which is the
# best that one can do for tanh: a rotation makes no gradient shorter. An
# identity start is one as well. As in its paper it goes along with small
# weights for the inputs.


def make_layer(kind: str, identity: bool = False) -> layers.Layer:
    """A recurrent layer that returns its last h."""
    if kind == "lstm":
        return layers.LSTM(UNITS)
    small = keras.initializers.RandomNormal(stddev=0.001)
    start = {"kernel_initializer": small, "recurrent_initializer": "identity"}
    return layers.SimpleRNN(UNITS, kind, **(start if identity else {}))


def build_model(**layer) -> keras.Model:
    """Adds up the two marked numbers of sequences (batch, steps, 2)."""
    parts = layers.Input((None, 2)), make_layer(**layer), layers.Dense(1)
    return keras.Sequential(parts)


# %%
# Step by step in NumPy
# ---------------------
# A state has one part, h, or two in an LSTM, h and c. Each step has its
# weights, in a recurrent network those of all others. On the way back the
# gradient of the state after a step becomes that of the state before.


def read_gates(x, h, weights):
    """Input, forget, candidate and output of an LSTM: Keras' order."""
    kernel, recurrent, bias = weights
    z = x @ kernel + h @ recurrent + bias
    i, f, g, o = np.split(z, 4, axis=-1)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    return i, f, np.tanh(g), o


def run(kind: str, x, cells, state):
    """All states, (steps + 1, parts, batch, units), the first one given."""
    states = [state]
    for x_t, weights in zip(np.swapaxes(x, 0, 1), cells, strict=True):
        kernel, recurrent, bias = weights
        if kind == "lstm":
            i, f, g, o = read_gates(x_t, states[-1][0], weights)
            c = f * states[-1][1] + i * g
            states.append([o * np.tanh(c), c])
        else:
            z = x_t @ kernel + states[-1][0] @ recurrent + bias
            states.append([np.tanh(z) if kind == "tanh" else z * (z > 0)])
    return np.array(states)


def go_back(kind: str, x, cells, states, gradient):
    """Gradients of all states, given that of the last h."""
    found = [np.zeros_like(states[-1])]
    found[0][0] = gradient
    for step in reversed(range(len(cells))):
        before, after, recurrent = *states[step : step + 2], cells[step][1]
        if kind == "lstm":
            (dh, dc), c, said = found[-1], before[1], np.tanh(after[1])
            i, f, g, o = read_gates(x[:, step], before[0], cells[step])
            dc = dc + dh * o * (1 - said**2)
            di, df = dc * g * i * (1 - i), dc * c * f * (1 - f)
            dg, do = dc * i * (1 - g**2), dh * said * o * (1 - o)
            dz = np.concatenate([di, df, dg, do], axis=-1)
            found.append(np.array([dz @ recurrent.T, dc * f]))
        else:
            slope = 1 - after**2 if kind == "tanh" else after > 0
            found.append(found[-1] * slope @ recurrent.T)
    return np.array(found[::-1])


# %%
# How much gets back
# ------------------
# The norm of the gradient of what a network says, for the state at each step,
# as a share of that at the last step. It is counted in decades: -2 means that a
# hundredth is left. Before training, a feed-forward network of as many layers
# does the same: each has weights of its own, and nothing new to read.


def look_back(kind: str, x, cells, start, gradient):
    """Decades by steps back, (steps + 1,), the mean over a batch."""
    states = run(kind, x, cells, start)
    gradients = go_back(kind, x, cells, states, gradient)[::-1]
    norms = np.sqrt(np.sum(gradients**2, axis=(1, 3)))
    # Rectified units may lose all of it: 60 decades stand for that.
    return np.log10(np.clip(norms / norms[0], 1e-60, 1e60)).mean(axis=1)


def look_back_from(model: keras.Model, x, kind: str):
    """Decades by steps back of a recurrent network that reads x."""
    *weights, dense, _ = (w.astype("float64") for w in model.get_weights())
    start = np.zeros((2 if kind == "lstm" else 1, len(x), UNITS))
    return look_back(kind, x, [weights] * x.shape[1], start, dense[:, 0])


def look(seed: int, steps: int, kind: str, **options) -> dict:
    """The way back through a network that has learned nothing."""
    keras.utils.set_random_seed(seed)
    if kind == "feed-forward":
        generator = np.random.default_rng(seed)
        limit = np.sqrt(6 / (UNITS + UNITS))  # Glorot's, as in layers.Dense
        kernels = generator.uniform(-limit, limit, (steps, UNITS, UNITS))
        start = generator.normal(size=(1, 50, UNITS))
        x, nothing = np.zeros((50, steps, 0)), np.zeros((0, UNITS))
        cells = [(nothing, kernel, 0.0) for kernel in kernels]
        curve = look_back("tanh", x, cells, start, np.ones(UNITS))
    else:
        x, _ = make_adding_problem(50, steps, seed)
        curve = look_back_from(build_model(kind=kind, **options), x, kind)
    line = np.corrcoef(np.arange(steps + 1), curve)[0, 1] ** 2
    scores = {"decades": curve[-1], "explained by a line": line}
    return {**scores, "curves": {"decades": curve[::5]}}


# %%
# One trial
# ---------
# Put your own sequences in the first line: x of shape (samples, steps, 2), y of
# shape (samples, 1). Each step has a number and a mark, and the sum of the two
# marked numbers is asked for: always saying 1 has an error of 1/6.


def train(seed: int, epochs: int, steps: int, kind: str, **options) -> dict:
    """Trains one network; returns its error, and how far it looks back."""
    x, y = make_adding_problem(4500, steps, seed)
    keras.utils.set_random_seed(seed)
    model = build_model(kind=kind, **options)
    # A gradient may also grow: then it is clipped, for all networks alike.
    model.compile(keras.optimizers.Adam(0.003, global_clipnorm=1.0), "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x[:4000], y[:4000], batch_size=50, epochs=epochs, verbose=0)
    said = ops.convert_to_numpy(model(x[4000:]))
    error = np.nan_to_num(np.mean((said - y[4000:]) ** 2), nan=1.0)
    longer, _ = make_adding_problem(50, 200, seed)
    curve = look_back_from(model, longer, kind)
    return {
        "error": min(error, 1.0),
        "diverged": error >= 1.0,
        "decades in 100 steps": curve[100],
        "curves": {"decades": curve[::5]},
    }


# %%
# What must hold exactly
# ----------------------
# The loop is compared with Keras' layers, and the way back with a derivative
# that knows nothing of it: the imaginary part of what a tiny imaginary step at
# the start does to the end, right to all digits. The node with a loop is taken
# at its word: one Dense layer that is given, at each step, what is read and
# what it said before.


def measure(seed: int) -> dict:
    """How far the loops are off, and how much a gradient grows in a step."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    x, _ = make_adding_problem(8, 20, seed)
    scores = {}
    for kind in KINDS:
        start, turn = generator.normal(size=(2, 1 + (kind == "lstm"), 8, UNITS))
        layer = make_layer(kind)
        layer.build(x.shape)
        # Also the biases, which would be zero.
        shapes = [weight.shape for weight in layer.weights]
        layer.set_weights([generator.normal(0, 0.15, s) for s in shapes])
        weights = [w.astype("float64") for w in layer.get_weights()]
        said = layer(x, initial_state=[*start.astype("float32")])
        cells = [weights] * 20
        states = run(kind, x, cells, start)
        off = ops.convert_to_numpy(said) - states[-1, 0]
        scores[f"{kind}, off"] = np.abs(off).max() / np.abs(states).max()
        end = generator.normal(size=(8, UNITS))
        found = np.sum(go_back(kind, x, cells, states, end)[0] * turn)
        moved = run(kind, x, cells, start + 1e-30j * turn)[-1, 0].imag
        scores[f"{kind}, back off"] = found / np.sum(end * moved * 1e30) - 1
        if kind == "tanh":
            h = start[0].astype("float32")
            node = layers.Dense(UNITS, "tanh")
            node.build((None, 2 + UNITS))
            node.set_weights([np.concatenate(weights[:2]), weights[2]])
            for x_t in np.swapaxes(x, 0, 1):
                h = node(ops.concatenate([x_t, h], axis=-1))
            off = ops.convert_to_numpy(h) - ops.convert_to_numpy(said)
            scores["node with a loop, off"] = np.abs(off).max()
    curve = look_back_from(build_model(kind="tanh"), x, "tanh")
    return {**scores, "growth in a step": np.diff(curve).max().clip(min=0)}


# %%
# The experiment
# --------------


def plot_ways(ways, trials, shades) -> Figure:
    """Decades of the gradient by steps back, before and after training."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, seen in zip(axes, (ways, trials), strict=True):
        last = list(seen.conditions)[-1]
        for name in shades:
            if name not in seen.variants:
                continue
            curves = seen.curves("decades", name, last)
            steps, shade = np.arange(0, 5 * curves.shape[1], 5), shades[name]
            # Dashed where another line would hide it.
            style = "--" if name.startswith("ReLU") else "-"
            axis.plot(steps, curves.mean(0), style, color=shade, label=name)
            ends = curves.min(0), curves.max(0)
            axis.fill_between(steps, *ends, color=shade, alpha=0.12, lw=0)
        axis.set_title("before training", fontsize=10)
        axis.set_xlabel("steps, or layers, back from the end")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    axes[1].set_title(f"trained on {last}", fontsize=10)
    axes[0].set_ylabel("gradient of the state, log10 (end: 0)")
    figure.supxlabel("line: mean of the seeds, band: their range", fontsize=8)
    return figure


def main(epochs: Count = 6, seeds: Count = 3) -> Report:
    """Compares plain layers with an LSTM, seed by seed.

    Args:
        epochs: passes over 4,000 sequences.
        seeds: paired repetitions of every variant, each with new sequences.
    """
    facts = run_trials(measure, seeds=seeds)
    ways = run_trials(look, WAYS, LENGTHS, seeds=seeds)
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds, epochs=epochs)
    plain, tanh, relu, lstm = VARIANTS
    slowly, left = {"over": "steps", "by": -0.01}, "decades in 100 steps"
    lower = {
        "Gates solve it: an LSTM has a lower error": lstm,
        "ReLU with identity start has a lower error than tanh": relu,
    }
    claims = {
        # Float32 through twenty steps; of the ways back float64, and sums.
        "A SimpleRNN is one Dense layer, fed with its last output as well": (
            facts.agrees("node with a loop, off", 0, within=1e-6)
        ),
        **{
            f"{name} is what its formula does, step by step in NumPy": (
                facts.agrees(f"{kind}, off", 0, within=1e-6)
            )
            for kind, name in KINDS.items()
        },
        **{
            f"{name}'s way back is a product of one matrix for each step": (
                facts.agrees(f"{kind}, back off", 0, within=1e-9)
            )
            for kind, name in KINDS.items()
        },
        "With tanh and a rotation no step back makes a gradient longer": (
            facts.agrees("growth in a step", 0, within=1e-6)
        ),
        "A new SimpleRNN loses more than a decade in 100 steps": (
            ways.trend("decades", plain, over="steps", falls=True, by=0.01)
        ),
        "A new SimpleRNN loses geometrically: a line explains 95 % of it": (
            ways.is_above("explained by a line", 0.95, plain, at="200 steps")
        ),
        "A new LSTM loses less than a decade in 100 steps": (
            ways.trend("decades", lstm, **slowly)
        ),
        "New, ReLU with identity start loses less than a decade in 100 steps": (
            ways.trend("decades", relu, **slowly)
        ),
        "100 times worse: 100 steps of SimpleRNN against 100 layers": (
            ways.is_lower(
                "decades", plain, than="feed-forward", by=2.0, at="100 steps"
            )
        ),
        **{
            f"{text} at {at}": trials.is_lower("error", name, than=plain, at=at)
            for text, name in lower.items()
            for at in CONDITIONS
        },
        "An identity start needs ReLU: with tanh the error is higher": (
            trials.is_higher("error", tanh, than=relu)
        ),
        "ReLU with identity start is as good as an LSTM, within 0.02": (
            trials.is_lower("error", relu, than=lstm, by=-0.02)
        ),
        "Trained, an LSTM has 100 times more left than SimpleRNN": (
            trials.is_higher(left, lstm, than=plain, by=2.0, at="40 steps")
        ),
        "Trained, an LSTM loses less than a decade in 100 steps": (
            trials.is_above(left, -1.0, lstm, at="40 steps")
        ),
    }
    notes = "Deep Learning Models, Recurrent Neural Net (RNN)"
    shades = colours([*VARIANTS, "feed-forward"])
    return Report(
        trials.table("error", "diverged", left),
        ways.table("decades"),
        plot_ways(ways, trials, shades),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# The product over the steps is always there. Whether it falls or grows, and how
# fast, is a matter of where the weights start and what they learn: look at both
# panels. A forget gate that starts well below 1 is one more factor below 1;
# what gates can do is to learn to stay open. That a gradient gets back is not
# all, either: a network must also learn from it, in the updates that it is
# given. Two things to try: ``bias_initializer=keras.initializers.Constant(3)``
# for the LSTM, without ``unit_forget_bias``; and ReLU with a tenth of the rate
# and ten times the epochs.

if __name__ == "__main__":
    cook(main)
