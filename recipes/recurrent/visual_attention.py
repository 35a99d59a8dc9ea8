"""
Visual attention: glimpses in place of a whole image
====================================================

Most of an image need not be looked at. A recurrent network with a small window
decides from what it has seen so far where to look next, and how closely. What
lies elsewhere it never sees: "same idea as masking, but on a window-based cnn",
say the notes. Here it reads a digit that lies somewhere among pieces of others.

The window is that of DRAW. Of an image with :math:`P` rows it shows :math:`N`,
at a distance of :math:`\\delta` and around :math:`g`, each a mean of the
pixels' rows :math:`a` with weights of a bell's shape. Columns are done alike.

.. math::

   \\mu_i = g + \\delta \\Big(i - \\frac{N - 1}{2}\\Big), \\qquad
   F_{ia} = \\frac{1}{Z_i} \\exp\\Big(-\\frac{(a - \\mu_i)^2}{2 \\sigma^2}\\Big)

   \\text{glimpse} = F^{\\text{rows}} \\, \\text{image} \\,
      (F^{\\text{columns}})^T

Such a *soft* window has a gradient: move a little, and what is seen changes a
little. A window that is cut out by indices has none, and where to look must be
learned from reward alone. REINFORCE looks at a random place near the one meant,
and makes what was better than expected more likely.

:question: Can a network learn where to look, and does that help in clutter?
:level: advanced
:notes: Deep Learning Models, Visual attention RNNS
:papers: Mnih et al. 2014, https://arxiv.org/abs/1406.6247;
    Gregor et al. 2015, https://arxiv.org/abs/1502.04623
:backends: tensorflow, jax, torch
:before: recurrent/gru
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kerasrecipes.datasets import FOLDS, load_cluttered_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import colours

VARIANTS = {
    "CNN": {"looks": "CNN"},
    "soft": {"looks": "soft"},
    "REINFORCE": {"looks": "REINFORCE"},
    "no gradient": {"looks": "no gradient"},
}
QUICK = {"epochs": 1, "size": 500, "seeds": 1, "variants": ["CNN", "soft"]}
FULL = {"epochs": 10, "seeds": 10}

CANVAS, PIECES = 20, 4  # pixels, and pieces of digits on them
SIDE = 8  # of a glimpse
MIDDLE, WIDEST = (CANVAS - 1) / 2, (CANVAS - 1) / (SIDE - 1)
STEPS, UNITS = 4, 40
NOISE = 0.15  # of REINFORCE, where an image goes from -1 to 1
SHOWN = 5  # images in the figure
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %%
# The window
# ----------
# A softmax over pixels is the bell's shape with its sum divided out.


def make_filters(centre, stride, spread):
    """Weights of the pixels of one axis, (batch, SIDE, CANVAS)."""
    offsets = ops.arange(SIDE, dtype="float32") - (SIDE - 1) / 2
    means = centre[:, None] + stride[:, None] * offsets
    pixels = ops.arange(CANVAS, dtype="float32")
    away = (means[:, :, None] - pixels) / spread[:, None, None]
    return ops.softmax(-ops.square(away) / 2, axis=-1)


def look(images, row, column, stride, spread):
    """What is seen of images (batch, CANVAS, CANVAS) by a window for each."""
    rows = make_filters(row, stride, spread)
    columns = make_filters(column, stride, spread)
    seen = ops.matmul(rows, images)
    return ops.matmul(seen, ops.transpose(columns, (0, 2, 1)))


# %%
# The network
# -----------
# State of a GRU, window, glimpse, new state: four times with the same weights.
# At first nothing is known, and the window is wide. REINFORCE learns beside the
# digit what reward to expect, and a look counts by how much more there was. Its
# term is small, as usual, being mostly noise; at inference there is none. *No
# gradient* is what a window cut out by indices leaves: an aim never trained.


class GlimpseModel(keras.Model):
    """Learns to name digits and, where places are drawn, from the reward."""

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        loss = LOSS(y, y_pred["logits"], sample_weight)
        if "expected" in y_pred:
            named = ops.cast(ops.argmax(y_pred["logits"], axis=-1), "int32")
            right = ops.equal(named, ops.cast(ops.reshape(y, (-1,)), "int32"))
            reward = ops.cast(right, "float32")[:, None]
            more = reward - y_pred["expected"]
            gain = ops.stop_gradient(more) * y_pred["log density"]
            loss += ops.mean(ops.square(more)) - 0.01 * STEPS * ops.mean(gain)
        return loss


def build_reader(looks: str, seed: int) -> keras.Model:
    """Names digits from glimpses, and says where it looked."""
    see, cell = layers.Dense(40, activation="relu"), layers.GRUCell(UNITS)
    small = keras.initializers.RandomNormal(stddev=0.05)
    wide = keras.initializers.Constant([0.0, 0.0, 1.5])
    aim = layers.Dense(3, "tanh", True, small, wide)
    aim.trainable = looks != "no gradient"
    expect, noise = layers.Dense(1), layers.GaussianNoise(NOISE, seed=seed)

    inputs = layers.Input((CANVAS, CANVAS, 1))
    images, steps = inputs[..., 0], []
    state = ops.repeat(ops.zeros_like(images[:, 0, :1]), UNITS, axis=1)
    for _ in range(STEPS):
        meant = place = aim(state)
        step = {}
        if looks == "REINFORCE":
            place = ops.stop_gradient(noise(meant))  # noise in training alone
            off = ops.square((place - meant) / NOISE)
            step["log density"] = -ops.sum(off, axis=-1) / 2
            step["expected"] = expect(ops.stop_gradient(state))[:, 0]
        row, column = MIDDLE * (1 + place[:, 0]), MIDDLE * (1 + place[:, 1])
        # From half a pixel to the whole canvas; noise may go beyond.
        stride = 0.5 + (WIDEST - 0.5) * (1 + place[:, 2]) / 2
        stride = ops.maximum(stride, 0.1)
        seen = look(images, row, column, stride, stride / 2)
        seen = ops.reshape(seen, (-1, SIDE * SIDE))
        seen = see(ops.concatenate([seen, place], axis=-1))
        state, _ = cell(seen, [state])
        step["windows"] = ops.stack([row, column, stride], axis=-1)
        steps.append(step)
    said = {name: ops.stack([s[name] for s in steps], 1) for name in step}
    return GlimpseModel(inputs, {"logits": layers.Dense(10)(state), **said})


def build_model(looks: str, seed: int = 0) -> keras.Model:
    """Digits from (batch, CANVAS, CANVAS, 1), by glimpses or by a CNN."""
    if looks != "CNN":
        return build_reader(looks, seed)
    stack = [layers.Input((CANVAS, CANVAS, 1))]
    for filters in (16, 33):
        stack.append(layers.Conv2D(filters, 3, 1, "same", activation="relu"))
        stack.append(layers.MaxPooling2D())
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(10)])


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, 20, 20, 1), y
# integers. Where the digits are is asked only to judge the windows: how much
# nearer is the last one's centre than the first one's? The same test digits at
# the same places without any pieces show what the clutter costs.


def train(seed: int, epochs: int, size: int, looks: str) -> dict:
    """Trains one network; returns its accuracy, and where it looked."""
    (x, y, _), (x_test, y_test, places) = load_cluttered_digits(
        size, canvas=CANVAS, pieces=PIECES, places=True, fold=seed
    )
    _, (clean, _) = load_cluttered_digits(1, canvas=CANVAS, pieces=0, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(looks, seed)
    # It falls to zero, so that no score is that of a moment.
    steps = epochs * int(np.ceil(size / 64))
    rate = keras.optimizers.schedules.CosineDecay(0.005, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), LOSS)
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    found = [model.predict_on_batch(images) for images in (x_test, clean)]
    if looks == "CNN":
        found = [{"logits": logits} for logits in found]
    named = [said["logits"].argmax(-1) for said in found]
    full, bare = (np.mean(digits == y_test) for digits in named)
    scores = {"accuracy": full, "lost to pieces": bare - full}
    if looks == "CNN":  # which sees all at once
        return scores
    windows = found[0]["windows"]  # (images, STEPS, 3): row, column, stride
    away = np.linalg.norm(windows[:, :, :2] - places[:, None], axis=-1)
    scores["pixels nearer"] = np.mean(away[:, 0] - away[:, -1])
    curves = {"pixels away": away.mean(axis=0), "named": named[0][:SHOWN]}
    curves["windows"] = windows[:SHOWN].ravel()
    return {**scores, "curves": curves}


# %%
# What must hold exactly
# ----------------------
# The window against its formula in float64, and against a crop: narrow bells
# on whole pixels. Then a window's place is a weight, and one step of gradient
# descent at rate 1 moves it by its gradient. Cut out by indices it has none.


def find_gradient(image, start, weights, is_cut: bool):
    """Gradient by its place of a weighted sum of what a window shows."""
    images, one = layers.Input((CANVAS, CANVAS)), layers.Input((1,))
    dense = layers.Dense(2, use_bias=False)
    place = dense(one)
    if is_cut:
        corner = ops.cast(ops.round(place[0] - (SIDE - 1) / 2), "int32")
        # TensorFlow refuses to train where there is no gradient at all.
        seen = images + 0 * place[:, :1, None]
        for axis in (0, 1):
            seen = ops.take(seen, corner[axis] + ops.arange(SIDE), axis + 1)
    else:
        stride = one[:, 0]
        seen = look(images, place[:, 0], place[:, 1], stride, stride / 2)
    model = keras.Model([images, one], ops.sum(seen * weights, axis=(1, 2)))
    model.compile(keras.optimizers.SGD(1.0), lambda y, total: total)
    dense.set_weights([start[None]])
    ones = np.ones((1, 1), "float32")
    model.train_on_batch([image[None], ones], ones)
    return start - dense.get_weights()[0][0]


def look_by_formula(image, row, column, stride, spread):
    """The glimpse of one image, in float64."""
    means = stride * (np.arange(SIDE) - (SIDE - 1) / 2)[:, None]
    pixels, filters = np.arange(CANVAS), []
    for centre in (row, column):
        bells = np.exp(-((pixels - centre - means) ** 2) / 2 / spread**2)
        filters.append(bells / bells.sum(axis=1, keepdims=True))
    return filters[0] @ image.astype(float) @ filters[1].T


def measure(seed: int) -> dict:
    """Windows against the formula, their gradients, and sizes of networks."""
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    images = generator.random((20, CANVAS, CANVAS)).astype("float32")
    windows = generator.uniform([0, 0, 0.5, 0.3], [19, 19, 3, 2], (20, 4))
    arrays = [ops.cast(ops.convert_to_tensor(w), "float32") for w in windows.T]
    seen = ops.convert_to_numpy(look(images, *arrays))
    true = list(map(look_by_formula, images, *windows.T))
    filters = ops.convert_to_numpy(make_filters(*arrays[1:]))
    narrow = (n * ops.ones(20) for n in (8.5, 11.5, 1.0, 0.01))
    narrow = ops.convert_to_numpy(look(images, *narrow))
    place = generator.uniform(6, 13, 2).astype("float32")
    weights = generator.normal(size=(SIDE, SIDE)).astype("float32")
    at_place = images[0], place, weights
    soft, cut = (find_gradient(*at_place, is_cut) for is_cut in (False, True))
    slopes = [  # central differences
        np.sum(weights * look_by_formula(images[0], *(place + step), 1, 0.5))
        - np.sum(weights * look_by_formula(images[0], *(place - step), 1, 0.5))
        for step in 1e-4 * np.eye(2)
    ] / np.array(2e-4)
    cnn, reader = build_model("CNN"), build_model("soft")
    # A glimpse's weights count at each step, a filter's at each place.
    glimpse = SIDE * CANVAS * (CANVAS + SIDE) + reader.count_params()
    first, second, last = [p.count_params() for p in cnn.layers if p.weights]
    everywhere = CANVAS**2 * (first + second / 4) + last
    return {
        "off the formula": np.abs(seen - true).max(),
        "row, off": np.abs(filters.sum(-1) - 1).max(),
        "crop, off": np.abs(narrow - images[:, 5:13, 8:16]).max(),
        "gradient, off": np.linalg.norm(soft - slopes) / np.linalg.norm(slopes),
        "gradient, cut": np.abs(cut).max(),
        "size, off": reader.count_params() / cnn.count_params() - 1,
        "products, off": STEPS * glimpse / everywhere - 1 / 8,
    }


# %%
# The experiment
# --------------


def plot_paths(trials, shades) -> Figure:
    """Windows by step on a few test images, and the networks' accuracy."""
    _, (images, digits) = load_cluttered_digits(1, CANVAS, PIECES)
    readers = [n for n in ("soft", "REINFORCE") if n in trials.variants]
    steps = ("#F0E442", "#E69F00", "#D55E00", "#CC79A7")
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2.2, 1))
    grid = left.subplots(len(readers), SHOWN, squeeze=False)
    for row, name in zip(grid, readers, strict=True):
        windows = trials.curves("windows", name)[0].reshape(SHOWN, STEPS, 3)
        named = trials.curves("named", name)[0]
        row[0].set_ylabel(name)
        for k, axis in enumerate(row):
            axis.imshow(images[k, :, :, 0], cmap="gray")
            axis.set_title(f"a {digits[k]}, named {named[k]:.0f}", fontsize=8)
            axis.set(xticks=[], yticks=[])
            for (y, x, stride), shade in zip(windows[k], steps, strict=True):
                w = stride * SIDE
                corner = x - w / 2, y - w / 2
                axis.add_patch(Rectangle(corner, w, w, fill=False, ec=shade))
            path = windows[k, :, 1], windows[k, :, 0]
            axis.plot(*path, color="white", lw=0.8)
            axis.scatter(*path, 12, steps, zorder=3)
            axis.set(xlim=(-0.5, CANVAS - 0.5), ylim=(CANVAS - 0.5, -0.5))
    left.supxlabel("windows: yellow, orange, red, pink; first seed", fontsize=8)
    axis = right.subplots()
    for place, (name, shade) in enumerate(shades.items()):
        found = [*trials.scores("accuracy", name).values()]
        spread = np.linspace(-0.15, 0.15, len(found))
        axis.plot(place + spread, found, "o", color=shade, ms=4, alpha=0.5)
        axis.plot(place, np.mean(found), "D", color=shade, ms=7)
    axis.set_xticks(range(len(trials.variants)), trials.variants, fontsize=8)
    axis.axhline(0.1, color="grey", linestyle=":", linewidth=0.8)
    axis.set(ylim=(0, 1), ylabel="accuracy in clutter (dotted: chance)")
    right.supxlabel("dot: a seed, diamond: their mean", fontsize=8)
    return figure


def main(epochs: Count = 3, seeds: Count = 3, size: Count = 10_000) -> Report:
    """Compares glimpses with a CNN on cluttered digits, seed by seed.

    Args:
        epochs: passes over the training images.
        seeds: paired repetitions of every variant.
        size: number of training images, made of some 1,600 digits.
    """
    facts = run_trials(measure, seeds=seeds)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs, size=size
    )
    exact = {
        # Float32: coordinates up to 30, squared in an exponent.
        "off the formula": ("The soft window is its formula", 2e-5),
        "row, off": ("Each row of the filters sums to one", 1e-6),
        "crop, off": ("A narrow window on whole pixels is a crop", 1e-6),
        # Read off the weights before and after a step, in float32.
        "gradient, off": ("A soft window has the formula's gradient", 1e-4),
        "gradient, cut": ("A window cut out by indices has no gradient", 0),
        "size, off": ("Reader and CNN are of one size, within 1 %", 0.01),
        "products, off": ("Glimpses need an eighth of a CNN's products", 0.005),
    }
    pairs = {
        ("soft", "CNN"): "Soft attention beats a same-budget CNN on clutter",
        ("REINFORCE", "CNN"): "REINFORCE beats a same-budget CNN on clutter",
        ("soft", "REINFORCE"): "Soft beats REINFORCE with equal updates",
        ("REINFORCE", "no gradient"): "REINFORCE beats no gradient at all",
    }
    claims = {
        **{
            text: facts.agrees(score, 0, within=bound)
            for score, (text, bound) in exact.items()
        },
        **{
            text: trials.is_higher("accuracy", ours, than=other)
            for (ours, other), text in pairs.items()
        },
        "Soft attention loses less to clutter than a CNN": (
            trials.is_lower("lost to pieces", "soft", than="CNN")
        ),
        "Windows without a gradient cost soft attention 10 points": (
            trials.is_lower("accuracy", "no gradient", than="soft", by=0.1)
        ),
        **{
            f"Glimpses move a pixel at least towards the digit: {name}": (
                trials.is_above("pixels nearer", 1.0, name)
            )
            for name in ("soft", "REINFORCE")
        },
    }
    notes = "Deep Learning Models, Visual attention RNNS"
    return Report(
        trials.table("accuracy", "lost to pieces"),
        plot_paths(trials, colours(trials.variants)),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Attention pays where looking everywhere is dear: on a larger canvas the
# filters have more to add up, and the rest of the network has not. The price is
# that looking must be learned, too, and before it is, the network reads noise.
# Look at the paths before you trust a score. A window that stays wide is a bad
# CNN. One that has run into a corner, where tanh has no slope, never comes
# back: a lower rate is the cure. A soft window should start wide, so that some
# gradient arrives wherever the digit is. Two things to try: ``--epochs 30``,
# since readers learn for long; and ``PIECES = 8``.

if __name__ == "__main__":
    cook(main)
