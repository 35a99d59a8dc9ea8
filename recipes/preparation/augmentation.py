"""
Augmentation: more images out of few
====================================

A seven that is moved by half a pixel, or leans a little more, is a seven still.
Augmentation shows a network such copies, new ones each time. The notes name
noise on inputs, weights and targets, which has a recipe of its own, and an
``ImageDataGenerator``, which has given way to Keras' layers: they are compared
here. Shifts and rotations are called moves for short. Labels may change too:
label smoothing gives every class a little, and MixUp lays two images over each
other, and their labels likewise,

.. math::

   \\tilde x = \\lambda x_i + (1 - \\lambda) x_j, \\qquad
   \\tilde y = \\lambda y_i + (1 - \\lambda) y_j, \\qquad
   \\lambda \\sim \\text{Beta}(\\alpha, \\alpha)

while CutMix pastes a box of one image into another, with :math:`\\lambda` the
share of the area that is left. RandAugment draws one of eleven operations, the
same for all images of a call.

:question: I have few images. Which augmentation helps, and where do I put it?
:level: intermediate
:notes: Everything You Always Wanted to Know About Deep Learning,
    Dataset Augmentation
:papers: Zhang et al. 2018, https://arxiv.org/abs/1710.09412;
    Yun et al. 2019, https://arxiv.org/abs/1905.04899;
    Cubuk et al. 2019, https://arxiv.org/abs/1909.13719
:backends: tensorflow, jax, torch
:before: regularization/noise_injection
"""

import warnings

import keras
import numpy as np
from keras import layers, ops

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.plotting import plot_differences

VARIANTS = {
    "none": {},
    "shifts and rotations": {"before": "moves"},
    "Gaussian noise": {"before": "noise"},
    "label smoothing": {"smoothing": 0.1},
    "MixUp": {"before": "mixup"},
    "CutMix": {"before": "cutmix"},
    "RandAugment": {"before": "randaugment"},
    "flips": {"before": "flips"},
    "moves, in the model": {"inside": "moves"},
    "MixUp, in the model": {"inside": "mixup"},
    "none, longer": {"times": 4},
    "moves, longer": {"before": "moves", "times": 4},
}
CONDITIONS = {"300 digits": {"examples": 300}}
MOVES = {name: VARIANTS[name] for name in ("none", "shifts and rotations")}
SIZES = {f"{n:,} digits": {"examples": n} for n in (100, 300, 1000)}
QUICK = {
    "epochs": 1,
    "seeds": 1,
    "variants": ["none", "shifts and rotations"],
    "conditions": ["300 digits"],
}
FULL = {"epochs": 10, "seeds": 10}

# JAX has no int64, and PyTorch no transpose of a number: no harm is done.
KNOWN = r"(?s).*(Explicitly requested dtype|Tensor\.T is deprecated)"

# %%
# The layers
# ----------
# A factor is a share: of the height for a shift, so that 1/8 is one pixel here,
# and of a full turn for a rotation, 14 degrees here. What comes in from outside
# is blank; by default it would be the image, mirrored. RandAugment takes pixels
# up to 255 unless it is told, and half a turn for its own factor of 0.5.

LAYERS = {
    "moves": lambda: [
        layers.RandomTranslation(1 / 8, 1 / 8, fill_mode="constant"),
        layers.RandomRotation(0.04, fill_mode="constant"),
    ],
    "noise": lambda: [layers.GaussianNoise(0.2)],
    "mixup": lambda: [layers.MixUp(alpha=0.2)],
    "cutmix": lambda: [layers.CutMix()],
    "randaugment": lambda: [layers.RandAugment((0, 1), num_ops=1, factor=0.1)],
    "flips": lambda: [layers.RandomFlip("horizontal_and_vertical")],
}

# %%
# Before fit
# ----------
# Layers that change labels as well take a dict of both. GaussianNoise, which
# is older, takes images alone. CutMix and RandAugment draw something once for
# all the images of a call: give them parts.


def augment(layer, images, labels, size: int = 500):
    """Applies a layer to `size` images at a time; returns both as arrays."""
    if isinstance(layer, layers.GaussianNoise):
        return ops.convert_to_numpy(layer(images, training=True)), labels
    parts = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        batch = {"images": images[part], "labels": labels[part]}
        parts.append(layer(batch, training=True))
    return tuple(
        np.concatenate([ops.convert_to_numpy(part[key]) for part in parts])
        for key in ("images", "labels")
    )


# %%
# Inside the model
# ----------------
# There layers see images and no labels: MixUp mixes the images and nothing
# else. They are silent in `predict` and `evaluate`, and not in `model(x)`.


def build_model(inside: str | None = None) -> keras.Model:
    """Classifier of (batch, 8, 8, 1) digits, perhaps with augmentation."""
    # Before the others draw seeds, so that all variants start from one state.
    network = [
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]
    before = LAYERS[inside]() if inside else []
    return keras.Sequential([layers.Input((8, 8, 1)), *before, *network])


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (samples, height, width,
# channels), y integers. All that will be shown is laid out beforehand, 2,000
# images for an epoch however few there are, each augmented anew.


def train(
    seed, epochs, examples, before=None, inside=None, smoothing=0.0, times=1
) -> dict:
    """Trains one variant; returns scores on images as they are, and moved."""
    (x, y), (x_test, y_test) = load_digits(examples, fold=seed)
    shown = np.resize(np.arange(examples), times * epochs * 2000)
    images, labels = x[shown], np.eye(10, dtype="float32")[y[shown]]

    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", KNOWN, UserWarning)
        moved = x_test
        for layer in LAYERS["moves"]():
            moved, _ = augment(layer, moved, y_test)
        model = build_model(inside)
        for layer in LAYERS[before]() if before else []:
            images, labels = augment(layer, images, labels)
        cross = keras.losses.CategoricalCrossentropy
        loss = cross(from_logits=True, label_smoothing=smoothing)
        model.compile(keras.optimizers.Adam(0.005), loss)
        # With all variables there, TensorFlow traces a step once and not twice.
        model.optimizer.build(model.trainable_variables)
        model.fit(images, labels, batch_size=50, verbose=0)
        outputs = [model(x, training=False) for x in (x_test, moved)]
        outputs.append(model(x_test))
    accuracy, on_moved, called = (
        np.mean(ops.convert_to_numpy(p).argmax(-1) == y_test) for p in outputs
    )
    return {
        "accuracy": accuracy,
        "on moved images": on_moved,
        "lost by model(x)": accuracy - called,
    }


# %%
# What must hold exactly
# ----------------------
# A shift by one pixel and a quarter of a turn can be made in NumPy. The mixing
# layers are given images whose pixels are their label: so it shows whether both
# are mixed alike. CutMix's box has sides of any length, an image has pixels.


def measure(seed: int) -> dict:
    """Layers at rest and in a call, against NumPy, and labels with images."""
    keras.utils.set_random_seed(seed)
    (x, _), _ = load_digits(100, fold=seed)
    rows = np.eye(64, dtype="float32")  # 64 images, each a class of its own
    bright = rows.reshape(64, 8, 8, 1)
    numbers = np.ones_like(bright) * np.arange(64)[:, None, None, None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", KNOWN, UserWarning)
        silent = [
            np.abs(ops.convert_to_numpy(layer(x, training=False)) - x).max()
            for make in LAYERS.values()
            for layer in make()
        ]
        mixed, labels = augment(layers.MixUp(alpha=0.2), bright, rows)
        pasted, weights = augment(layers.CutMix(), numbers, rows)
    kept = np.mean(pasted == numbers, axis=(1, 2, 3))
    moves = keras.Sequential([layers.Input((8, 8, 1)), *LAYERS["moves"]()])
    silent.append(np.abs(moves.predict(x, verbose=0) - x).max())

    one = layers.RandomTranslation((1 / 8, 1 / 8), 0.0, fill_mode="constant")
    quarter = layers.RandomRotation((1 / 4, 1 / 4), fill_mode="constant")
    down = np.pad(x, [(0, 0), (1, 0), (0, 0), (0, 0)])[:, :-1]
    left = np.rot90(x, axes=(1, 2))
    off = [
        np.abs(ops.convert_to_numpy(layer(x, training=True)) - expected).max()
        for layer, expected in ((one, down), (quarter, left))
    ]
    return {
        "change at inference": np.max(silent),
        "shift and rotation, off": np.max(off),
        "MixUp, off": np.abs(mixed.reshape(64, 64) - labels).max(),
        "CutMix, off": np.abs(kept - np.diag(weights)).mean(),
    }


# %%
# The experiment
# --------------


def main(epochs: Count = 5, seeds: Count = 3) -> Report:
    """Compares the kinds of augmentation, seed by seed.

    Args:
        epochs: passes over 2,000 images, all of them augmented anew.
        seeds: paired repetitions of every variant.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    kinds = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    sizes = run_trials(
        train, MOVES, SIZES, seeds=seeds, folds=FOLDS, epochs=epochs
    )
    both, moves = "shifts and rotations", "moves, in the model"
    claims = {
        "At inference the augmentation layers do nothing": (
            facts.agrees("change at inference", 0.0, within=0.0)
        ),
        # Sines and weights of neighbouring pixels are rounded in float32.
        "A shift by 1/8 is one row of eight, a rotation by 1/4 a right angle": (
            facts.agrees("shift and rotation, off", 0.0, within=1e-5)
        ),
        "MixUp mixes images and labels in the same shares": (
            facts.agrees("MixUp, off", 0.0, within=1e-6)
        ),
        "CutMix's labels are the shares of pixels, within a hundredth": (
            facts.is_below("CutMix, off", 0.01)
        ),
        **{
            f"Shifts and rotations help: {size}": (
                sizes.is_higher("accuracy", both, than="none", at=size)
            )
            for size in SIZES
        },
        "With four times the training, shifts and rotations help": (
            kinds.is_higher("accuracy", "moves, longer", than="none, longer")
        ),
        "On moved images, shifts and rotations are worth ten points": (
            kinds.is_higher("on moved images", both, than="none", by=0.1)
        ),
        "Augmentation helps more the smaller the set": (
            sizes.trend(
                "accuracy", both, over="examples", than="none", falls=True
            )
        ),
        **{
            f"With 300 digits {kind} helps": (
                kinds.is_higher("accuracy", kind, than="none")
            )
            for kind in list(VARIANTS)[2:7]
        },
        "Flips hurt digits: they cost accuracy": (
            kinds.is_lower("accuracy", "flips", than="none")
        ),
        "MixUp in the model, labels unmixed, is worse than MixUp before fit": (
            kinds.is_lower("accuracy", "MixUp, in the model", than="MixUp")
        ),
        "In the model or before fit, moves are worth the same, to two points": (
            kinds.is_same("accuracy", moves, than=both, within=0.02)
        ),
        "Where model(x) stands for predict, two points of accuracy are lost": (
            kinds.is_above("lost by model(x)", 0.02, moves)
        ),
    }
    notes = (
        "Everything You Always Wanted to Know About Deep Learning, "
        "Dataset Augmentation"
    )
    return Report(
        kinds.table("accuracy", "on moved images", "lost by model(x)"),
        sizes.table("accuracy", "on moved images"),
        plot_differences(kinds, "accuracy", xlabel="test accuracy"),
        plot_differences(kinds, "on moved images", xlabel="on moved images"),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Choose what leaves the label right, and what happens to the images that will
# come: these digits were centred for us, and a network that sees no others has
# little use for moves. Copies that all differ take longer to learn. Put layers
# that change images alone in the model, and use `predict`, `evaluate` or
# `training=False` afterwards; put MixUp and CutMix before `fit`, with the
# labels. Two things to try: shifts of half a pixel, and batches that are
# augmented as they are asked for, by a `keras.utils.PyDataset`.

if __name__ == "__main__":
    cook(main)
