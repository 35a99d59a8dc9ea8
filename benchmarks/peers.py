"""Helpers of ours against their peers, on the backend that Keras has loaded.

Each function yields rows of the table. Where two compute the same, equal
weights must give equal gradients before anything is timed.
"""

import keras
import numpy as np
from keras import layers, ops
from sklearn.metrics import f1_score

from benchmarks.steps import compiles, training_step
from benchmarks.timing import row, tell, time_in_turn
from kerasrecipes.analysis import predict_samples
from kerasrecipes.callbacks import ValidationF1
from kerasrecipes.cells import MGUCell, MutatedCell
from kerasrecipes.datasets import load_digits, make_photo_patches
from kerasrecipes.layers import (
    QRNN,
    SRU,
    LocalResponseNormalization,
    MonteCarloDropout,
    WeightNormalization,
)

BACKEND = keras.config.backend()


def normal(*shape):
    """Standard normal numbers, always the same."""
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def local_response_normalization():
    """A training step of LRN: ours, and the backend's own function."""
    if BACKEND == "jax":
        return  # which has none
    for shape in ((32, 27, 27, 96), (32, 8, 8, 16), (8, 13, 13, 256)):
        layer = LocalResponseNormalization(data_format="channels_last")
        x = normal(*shape)
        compiled = compiles(layer, shape)
        if BACKEND == "tensorflow":
            import tensorflow as tf

            name = "tf.nn.local_response_normalization"

            def peer(x):
                return tf.nn.local_response_normalization(
                    x, depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75
                )
        else:
            import torch

            name = "torch's local_response_norm"

            def peer(x):  # it has channels first, and alpha over the window
                x = x.movedim(-1, 1)
                y = torch.nn.functional.local_response_norm(
                    x, size=5, alpha=5e-4, beta=0.75, k=2.0
                )
                return y.movedim(1, -1)

        steps = [training_step(f, [], x, compiled) for f in (layer, peer)]
        np.testing.assert_allclose(
            *[step() for step in steps], rtol=1e-4, atol=1e-5
        )
        yield row(
            "LocalResponseNormalization",
            name,
            " × ".join(map(str, shape)),
            time_in_turn(*steps),
            BACKEND,
        )


def parallel_recurrent_layers():
    """A training step of SRU and QRNN, and of Keras' LSTM."""
    for length in (64, 256, 1024):
        x = normal(8, length, 128)
        steps = {}
        for name, layer in (
            ("LSTM", layers.LSTM(128, return_sequences=True)),
            ("SRU", SRU(128, return_sequences=True)),
            ("QRNN", QRNN(128, return_sequences=True)),
        ):
            compiled = compiles(layer, x.shape)
            steps[name] = training_step(
                layer, layer.trainable_variables, x, compiled
            )
        seconds = time_in_turn(*steps.values())
        for place, name in enumerate(steps):
            if place:
                yield row(
                    name,
                    "keras LSTM",
                    f"8 × {length} × 128",
                    seconds[:, [place, 0]],
                    BACKEND,
                )


def cells():
    """A training step of gated cells: ours, and torchrecurrent's.

    A cell of Keras' beside torch's own says what Keras itself costs.
    """
    if BACKEND != "torch":
        return
    import torch
    import torchrecurrent

    x = normal(32, 64, 64)
    for name, cell, peer in (
        ("GRUCell of Keras", layers.GRUCell(64), torch.nn.GRUCell(64, 64)),
        ("MGUCell", MGUCell(64), torchrecurrent.MGUCell(64, 64)),
        *[
            (
                f"MutatedCell {kind}",
                MutatedCell(64, kind),
                getattr(torchrecurrent, f"MUT{kind}Cell")(64, 64),
            )
            for kind in (1, 2, 3)
        ],
    ):
        rnn = layers.RNN(cell, return_sequences=True)
        rnn.build(x.shape)

        def run_peer(x, peer=peer):
            h, outputs = torch.zeros(len(x), 64), []
            for step in x.unbind(1):
                h = peer(step, h)
                outputs.append(h)
            return torch.stack(outputs, 1)

        package = type(peer).__module__.partition(".")[0]
        yield row(
            name,
            f"{package} {type(peer).__name__}",
            "32 × 64 × 64",
            time_in_turn(
                training_step(rnn, rnn.trainable_variables, x),
                training_step(run_peer, list(peer.parameters()), x),
            ),
            BACKEND,
        )


def weight_normalization():
    """A training step of WeightNormalization, and torch's weight_norm.

    The bare layers beside each other say what Keras itself costs.
    """
    if BACKEND != "torch":
        return
    import torch

    for make, make_peer, shape in (
        (
            lambda: layers.Dense(256),
            lambda: torch.nn.Linear(256, 256),
            (64, 256),
        ),
        (
            lambda: layers.Conv2D(32, 3, data_format="channels_first"),
            lambda: torch.nn.Conv2d(32, 32, 3),
            (32, 32, 16, 16),
        ),
    ):
        x = normal(*shape)
        bare, peer = make(), make_peer()
        wrapper = WeightNormalization(make())
        normalized = torch.nn.utils.parametrizations.weight_norm(
            make_peer(), dim=0
        )
        kind, known = type(bare).__name__, type(peer).__name__
        for name, ours, other, theirs in (
            (f"{kind} of Keras", bare, f"torch {known}", peer),
            (
                f"WeightNormalization({kind})",
                wrapper,
                f"torch weight_norm({known})",
                normalized,
            ),
        ):
            ours.build(shape)
            yield row(
                name,
                other,
                " × ".join(map(str, shape)),
                time_in_turn(
                    training_step(ours, ours.trainable_variables, x),
                    training_step(theirs, list(theirs.parameters()), x),
                ),
                BACKEND,
            )


def digits_network():
    """A small network, and the digits that it is trained on."""
    (x, y), (x_test, y_test) = load_digits(fold=0, flat=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    return model, x, y, x_test, y_test


class PredictedF1(keras.callbacks.Callback):
    """The notes' callback: `predict` at the end of each epoch."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_end(self, epoch, logs=None):
        x, y = self.data
        guessed = self.model.predict(x, verbose=0).argmax(-1)
        logs["val_f1"] = f1_score(y, guessed, average="macro")


def validation_f1():
    """An epoch of `fit` with ValidationF1, and with `predict`."""
    model, x, y, x_test, y_test = digits_network()
    model.compile("adam", "sparse_categorical_crossentropy")
    held_out = np.tile(x_test, (10, 1)), np.tile(y_test, 10)
    callbacks = [
        ValidationF1(held_out, average="macro"),
        PredictedF1(held_out),
    ]
    yield row(
        "ValidationF1",
        "predict in a callback",
        f"{len(held_out[0]):,} held-out digits",
        time_in_turn(
            *[
                lambda one=one: model.fit(x, y, callbacks=[one], verbose=0)
                for one in callbacks
            ]
        ),
        BACKEND,
    )


def monte_carlo_passes():
    """A hundred random passes: as rows of one call, and one by one."""
    x = make_photo_patches(100, seed=0)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            MonteCarloDropout(0.5, seed=0),
            layers.Dense(10, "softmax"),
        ]
    )
    ways = {
        "100 plain calls": lambda: ops.convert_to_numpy(model(x)),
        "100 × predict_on_batch": lambda: model.predict_on_batch(x),
    }
    for name, way in ways.items():
        yield row(
            "predict_samples",
            name,
            "100 images, 100 passes",
            time_in_turn(
                lambda: predict_samples(model, x, 100),
                lambda way=way: [way() for _ in range(100)],
            ),
            BACKEND,
        )


def steps_of_fit():
    """An epoch of `fit` on arrays: fifty steps in one execution, or one."""
    if BACKEND == "torch":
        return  # which refuses more than one
    model, x, y, *_ = digits_network()
    x, y = np.tile(x, (10, 1)), np.tile(y, 10)
    twin = keras.models.clone_model(model)
    for one, together in ((model, 50), (twin, 1)):
        one.compile(
            "adam",
            "sparse_categorical_crossentropy",
            steps_per_execution=together,
        )
    yield row(
        "steps_per_execution=50",
        "one step an execution",
        f"{-(-len(x) // 32)} steps of 32 digits",
        time_in_turn(
            lambda: model.fit(x, y, verbose=0),
            lambda: twin.fit(x, y, verbose=0),
        ),
        BACKEND,
    )


def main():
    for rows in (
        local_response_normalization,
        parallel_recurrent_layers,
        cells,
        weight_normalization,
        validation_f1,
        monte_carlo_passes,
        steps_of_fit,
    ):
        for one in rows():
            tell(one)


if __name__ == "__main__":
    main()
