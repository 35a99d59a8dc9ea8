"""How the cost of a training step grows with the sizes of a layer."""

import keras
import numpy as np
from keras import layers

from benchmarks.steps import compiles, training_step
from benchmarks.timing import curve, tell, time_in_turn
from kerasrecipes.cells import (
    CoupledGateLSTMCell,
    MGUCell,
    MutatedCell,
    PeepholeLSTMCell,
    RWACell,
    SRUCell,
)
from kerasrecipes.layers import LocalResponseNormalization

BACKEND = keras.config.backend()
CHANNELS, WINDOWS = (16, 32, 64, 128, 256, 512, 1024), (3, 5, 7, 9, 11)
LENGTHS, WIDTHS = (16, 32, 64, 128, 256), (32, 64, 128, 256, 512)
CELLS = {
    "LSTM of Keras": layers.LSTMCell,
    "PeepholeLSTMCell": PeepholeLSTMCell,
    "CoupledGateLSTMCell": CoupledGateLSTMCell,
    "MGUCell": MGUCell,
    "MutatedCell 1": lambda units: MutatedCell(units, 1),
    "RWACell": RWACell,
    "SRUCell": SRUCell,
}


def step_of(layer, *shape):
    """A training step of a layer on random inputs."""
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    compiled = compiles(layer, shape)
    return training_step(layer, layer.trainable_variables, x, compiled)


def seconds_by_size(make, sizes):
    """Median seconds of the step that `make` returns for each size."""
    return [
        np.median(time_in_turn(make(size), repetitions=10)) for size in sizes
    ]


def main():
    normalize = LocalResponseNormalization

    def at_channels(channels):
        layer = normalize(data_format="channels_last")
        return step_of(layer, 8, 16, 16, channels)

    def at_window(size):
        layer = normalize(size, data_format="channels_last")
        return step_of(layer, 8, 16, 16, 96)

    for over, make, sizes, setting in (
        ("channels", at_channels, CHANNELS, "8 × 16 × 16 × channels"),
        ("window", at_window, WINDOWS, "8 × 16 × 16 × 96"),
    ):
        seconds = seconds_by_size(make, sizes)
        name = normalize.__name__
        tell(curve(name, over, setting, sizes, seconds, BACKEND))
    for name, cell in CELLS.items():

        def at_length(length, cell=cell):
            rnn = layers.RNN(cell(32), return_sequences=True)
            return step_of(rnn, 16, length, 32)

        def at_width(width, cell=cell):
            rnn = layers.RNN(cell(width), return_sequences=True)
            return step_of(rnn, 16, 32, width)

        for over, make, sizes, setting in (
            ("length", at_length, LENGTHS, "16 × length × 32"),
            ("width", at_width, WIDTHS, "16 × 32 × width"),
        ):
            seconds = seconds_by_size(make, sizes)
            tell(curve(name, over, setting, sizes, seconds, BACKEND))


if __name__ == "__main__":
    main()
