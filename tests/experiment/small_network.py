"""
A small network on a few digits
===============================

Just enough of Keras to notice when a sum is taken in another order: a
convolution, whose sums differ between one thread and two.

:question: Does a trial give the same number wherever it runs?
:level: beginner
:notes: Deep Neural Nets Basics, Dropout layers in Keras and general
:backends: tensorflow, jax, torch
"""

import keras
from keras import layers

from kerasrecipes.datasets import load_digits
from kerasrecipes.experiment import Count, Report, cook, run_trials


def train(seed: int, filters: int) -> dict:
    """Trains on 100 digits; returns losses, sums of weights and a curve."""
    (x, y), (x_test, y_test) = load_digits(100, fold=seed)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    history = model.fit(x, y, batch_size=20, epochs=1, verbose=0)
    weights = [float(keras.ops.sum(weight)) for weight in model.weights]
    return {
        "loss": history.history["loss"][-1],
        "test loss": model.evaluate(x_test, y_test, verbose=0),
        **{f"weight {number}": sum_ for number, sum_ in enumerate(weights)},
        "curves": {"loss": history.history["loss"]},
    }


def main(seeds: Count = 2, filters: Count = 32) -> Report:
    """Trains, and reports a table.

    Args:
        seeds: number of trials.
        filters: width of the network.
    """
    trials = run_trials(train, seeds=seeds, filters=filters)
    return Report(trials.table("loss", "test loss"))


if __name__ == "__main__":
    cook(main)
