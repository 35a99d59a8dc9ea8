"""
PixelRNN: a picture, one pixel after the other
==============================================

Whoever can say the next word from the words before it can write; whoever can
say the next pixel from the pixels before it can draw. PixelRNN reads an image
like a text, row by row and from left to right, and its likelihood is exact,

.. math:: P(x) = \\prod_{i=1}^{n} P(x_i \\mid x_1, \\ldots, x_{i-1})

so that models can be compared in bits a pixel, on digits that they have not
seen. The notes name it among the papers to read before one takes fast
recurrent layers for new: its *row LSTM* computes all pixels of a row at once,
and is recurrent from row to row alone.

A row LSTM is a convolutional LSTM whose time runs down the image. What it gets
from the row above may come from both sides; what it gets from its own row must
come from the left. Here ``ConvLSTM1D`` does it with two columns of zeros before
each row and none behind: a window of three then ends at its own pixel. The
first layer is a masked convolution: mask A sees the pixels before, and not the
pixel itself. Later layers may see what was found out at the pixel itself, mask
B, for nothing there has seen it.

:question: How does PixelRNN draw, and is its row LSTM worth its while?
:level: advanced
:notes: Deep Learning Models, Simplified RNN, with pytorch implementation
:papers: van den Oord et al. 2016a, https://arxiv.org/abs/1601.06759;
    van den Oord et al. 2016b, https://arxiv.org/abs/1606.05328
:backends: tensorflow, jax, torch
:before: recurrent/simple_recurrent_unit
"""

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import MaskedConv2D

VARIANTS = {
    "independent pixels": {"kind": "independent"},
    "masked convolution": {"kind": "convolution"},
    "row LSTM": {"kind": "row"},
    "LSTM, pixel by pixel": {"kind": "raster"},
    "mask B first": {"kind": "convolution", "first": "B"},
}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["independent pixels", "masked convolution"],
}
FULL = {"epochs": 12, "seeds": 10}

SIZE, SHOWN = 8, 16  # pixels of a row, and images to show
# Filters or units with which 7,000 weights are in use.
WIDTHS = {"convolution": 20, "row": 16, "raster": 37}

# %%
# The networks
# ------------
# Three residual blocks of masked convolutions, as in PixelCNN; one row LSTM;
# one plain LSTM that reads 64 pixels as 64 steps. All take the image and return
# a logit for each of its pixels, said from the pixels before.


def build_model(kind: str, first: str = "A", size: int = SIZE) -> keras.Model:
    """Images (batch, size, size, 1) to the logits of their pixels."""
    pixels = layers.Input((size, size, 1))
    width = WIDTHS[kind]
    if kind == "raster":
        steps = layers.Reshape((-1, 1))(pixels)
        before = ops.pad(steps, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        h = layers.LSTM(width, return_sequences=True)(before)
        h = layers.Reshape((size, size, width))(h)
    else:
        h = MaskedConv2D(width, 5, first)(pixels)
    if kind == "row":
        # Zeros on the left alone: a window of three ends at its own pixel.
        h = layers.ZeroPadding2D(((0, 0), (2, 0)))(h)
        h = layers.ConvLSTM1D(width, 3, return_sequences=True)(h)
    if kind == "convolution":
        for _ in range(3):
            found = MaskedConv2D(width, 3, "B")(layers.ReLU()(h))
            h = layers.Add()([h, found])
    h = layers.Conv2D(32, 1, activation="relu")(h)
    return keras.Model(pixels, layers.Conv2D(1, 1)(h))


def count_used(model: keras.Model) -> int:
    """Weights of a model without those that a mask hides."""
    hidden = 0
    for layer in model.layers:
        if isinstance(layer, MaskedConv2D):
            taps = layer.kernel_size**2
            seen = taps // 2 + (layer.mask_type == "B")
            hidden += (taps - seen) * layer.kernel.shape[2] * layer.filters
    return model.count_params() - hidden


# %%
# Bits, and drawing
# -----------------
# To draw an image is to ask for each pixel in turn, with all that has been
# drawn so far: 64 times for 64 pixels. What is not drawn yet is zero, and must
# not matter.


def count_bits(logits, images):
    """Bits of each pixel by its logit, in float64."""
    logits = logits.astype("float64")
    return np.logaddexp(0, np.where(images > 0, -logits, logits)) / np.log(2)


def draw(say, count: int, size: int, generator):
    """Images (count, size, size, 1) from what `say` makes of an image."""
    images = np.zeros((count, size, size, 1), "float32")
    for row, column in np.ndindex(size, size):
        logits = say(images)[:, row, column, 0].astype("float64")
        drawn = generator.random_sample(count) < 1 / (1 + np.exp(-logits))
        images[:, row, column, 0] = drawn
    return images


# %%
# One trial
# ---------
# Put your own images in the first line: of shape (samples, 8, 8, 1), here made
# black and white. Independent pixels need no network: each is black as often as
# in training, with one image of either colour more.


def train(seed: int, epochs: int, kind: str, first: str = "A") -> dict:
    """Bits a pixel of one model, and what it draws."""
    (x, _), (x_test, _) = load_digits(fold=seed)
    x, x_test = ((pixels >= 0.5).astype("float32") for pixels in (x, x_test))
    keras.utils.set_random_seed(seed)
    if kind == "independent":
        often = (x.sum(0) + 1) / (len(x) + 2)
        said, used = np.log(often / (1 - often)), often.size

        def say(images):
            return np.broadcast_to(said, images.shape)

        logits = say(x_test)
    else:
        model = build_model(kind, first)
        rate = keras.optimizers.schedules.CosineDecay(
            0.02, epochs * -(-len(x) // 128)
        )
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss)
        # With all variables there, TensorFlow traces a step once and not twice.
        model.optimizer.build(model.trainable_variables)
        model.fit(x, x, batch_size=128, epochs=epochs, verbose=0)
        say, used = model.predict_on_batch, count_used(model)
        logits = ops.convert_to_numpy(model(x_test))
    drawn = draw(say, 2 * SHOWN, SIZE, np.random.RandomState(seed))
    return {
        "bits a pixel": count_bits(logits, x_test).mean(),
        "weights in use": used,
        "ink of the drawn": drawn.mean() / x_test.mean(),
        "half is missing": drawn.mean() < 0.5 * x_test.mean(),
        "curves": {
            "drawn": drawn[:SHOWN].ravel(),
            "digits": x_test[:SHOWN].ravel(),
        },
    }


# %%
# What must hold exactly
# ----------------------
# On a canvas of three by three pixels there are 512 images, few enough to ask a
# network for the probability of each. And whether a pixel is seen is found out
# by changing it: each of the 64 in turn, in networks that are not trained, with
# weights large enough that what is seen makes a difference.


def measure(seed: int) -> dict:
    """Sums of probabilities, shares of what is drawn, and who sees what."""
    generator = np.random.RandomState(seed)
    tiny = (np.arange(512)[:, None] >> np.arange(9)) % 2
    tiny = tiny.reshape(512, 3, 3, 1).astype("float32")
    image = generator.randint(2, size=(1, SIZE, SIZE, 1)).astype("float32")
    flips = np.eye(SIZE**2, dtype="float32").reshape(-1, SIZE, SIZE, 1)
    images = np.repeat(image, SIZE**2, axis=0)
    sums, shares, future, blind = [], [], [], {}
    for kind in WIDTHS:
        keras.utils.set_random_seed(seed)
        small, large = build_model(kind, size=3), build_model(kind)
        small.set_weights([2 * w for w in small.get_weights()])
        large.set_weights([2 * w for w in large.get_weights()])

        def say(images, model=small):
            return ops.convert_to_numpy(model(images))

        chances = 2 ** -count_bits(say(tiny), tiny).sum((1, 2, 3))
        sums.append(abs(chances.sum() - 1))
        drawn = draw(say, 5000, 3, generator).reshape(-1, 9).astype(int)
        counts = np.bincount(drawn @ (1 << np.arange(9)), minlength=512)
        # What is expected five times or less is counted together.
        rare = chances <= max(5 / 5000, chances.min())
        expected, counts = (
            np.append(values[~rare], values[rare].sum())
            for values in (5000 * chances, counts)
        )
        freedom = len(counts) - 1
        off = np.sum(np.square(counts - expected) / expected) - freedom
        shares.append(abs(off) / np.sqrt(2 * freedom))

        # Image by image at the same place of a batch: or else sums are added
        # up in another order, and differ in the last digit.
        changes = np.abs(
            say(np.abs(images - flips), large) - say(images, large)
        )
        changes = changes.reshape(-1, SIZE**2)  # (changed pixel, logit)
        future.append(np.tril(changes).max())
        places = np.arange(SIZE**2).reshape(SIZE, SIZE)
        above, below = places[:-1, 3:].ravel(), places[1:, :-3].ravel()
        blind[kind] = changes[above, below]
    return {
        "sum off 1": max(sums),
        "shares off": max(shares),
        "seen of the future": max(future),
        "seen above right, convolution": blind["convolution"].max(),
        "seen above right, row LSTM": blind["row"].max(),
        "unseen above right, raster": np.mean(blind["raster"] == 0),
    }


# %%
# The experiment
# --------------


def plot_drawings(trials) -> Figure:
    """Real digits, and what each model draws, with its bits a pixel."""
    figure = Figure(figsize=(9.5, 6.6), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    first, *_ = trials.variants
    panels = [("real digits", first, "digits")]
    panels += [(variant, variant, "drawn") for variant in trials.variants]
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, variant, curve) in zip(axes, panels, strict=False):
        found = trials.curves(curve, variant)
        if not len(found):
            continue
        tiles = found[0].reshape(4, SHOWN // 4, SIZE, SIZE)
        tiles = np.pad(
            tiles, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.5
        )
        side = tiles.shape[0] * tiles.shape[2]
        axis.imshow(
            tiles.transpose(0, 2, 1, 3).reshape(side, -1),
            "gray_r",
            vmin=0,
            vmax=1,
        )
        if curve == "drawn":
            bits = [*trials.scores("bits a pixel", variant).values()]
            title += f"\n{np.mean(bits):.3f} bits a pixel"
            title += f" ({min(bits):.3f} to {max(bits):.3f})"
        axis.set_title(title, fontsize=10)
    figure.supxlabel(
        "drawn pixel by pixel, from the first seed; "
        "bits on test digits: mean and range of the seeds",
        fontsize=9,
    )
    return figure


def main(epochs: Count = 8, seeds: Count = 3) -> Report:
    """Compares models of small black and white digits, seed by seed.

    Args:
        epochs: passes over the training images.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    notes = "Deep Learning Models, Simplified RNN, with pytorch implementation"
    bits = "bits a pixel"
    conv, row, raster = "masked convolution", "row LSTM", "LSTM, pixel by pixel"
    claims = {
        # A change of a pixel is multiplied by a weight of zero.
        "No pixel sees itself or its future, in any of three networks": (
            facts.agrees("seen of the future", 0.0, within=0.0)
        ),
        # Nine factors in float32 each, in the order of 1e-7.
        "The probabilities of all images of 3 x 3 pixels add up to one": (
            facts.agrees("sum off 1", 0.0, within=1e-5)
        ),
        # Chi squared, in standard deviations from what is expected.
        "Images are drawn as often as their probabilities say": (
            facts.agrees("shares off", 0.0, within=5.0)
        ),
        "A masked convolution is blind to a pixel above, three to the right": (
            facts.agrees("seen above right, convolution", 0.0, within=0.0)
        ),
        "A row LSTM is blind to a pixel above, three to the right": (
            facts.agrees("seen above right, row LSTM", 0.0, within=0.0)
        ),
        "An LSTM over all pixels in reading order has no such blind spot": (
            facts.agrees("unseen above right, raster", 0.0, within=0.0)
        ),
        "A row LSTM needs fewer bits than independent pixels": (
            trials.is_lower(bits, row, than="independent pixels")
        ),
        "A row LSTM needs fewer bits than a masked convolution": (
            trials.is_lower(bits, row, than=conv)
        ),
        "In as many epochs a row LSTM needs fewer bits than a plain LSTM": (
            trials.is_lower(bits, row, than=raster)
        ),
        "In as many epochs a masked convolution beats a plain LSTM": (
            trials.is_lower(bits, conv, than=raster)
        ),
        "With mask B first a pixel sees itself: under 0.05 bits": (
            trials.is_below(bits, 0.05, "mask B first")
        ),
        "With mask B first most seeds draw with less than half of the ink": (
            trials.share("half is missing", "mask B first", at_least=0.5)
        ),
    }
    for variant in (conv, row, raster):
        claims[f"In use are 7,000 weights, within 1 %: {variant}"] = (
            trials.agrees("weights in use", 7000, variant, within=70)
        )
    return Report(
        trials.table(bits, "weights in use", "ink of the drawn"),
        plot_drawings(trials),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Everything here hangs on what a network does not see. A mask that is wrong by
# one pixel gives wonderful bits and empty pictures: draw from a model before
# you believe its likelihood, and change a pixel to see who notices. Between
# models that are right, bits a pixel are comparable to the last digit, as those
# of an adversarial network are not. What a row LSTM has over a masked
# convolution is its reach up the image, which eight rows hardly ask for; what
# it has over an LSTM pixel by pixel are eight steps in place of 64, to compute
# and to learn through. Two things to try: ten times the epochs for the plain
# LSTM, which sees everything; and a second row LSTM behind the first, with
# zeros of its own on the left.

if __name__ == "__main__":
    cook(main)
