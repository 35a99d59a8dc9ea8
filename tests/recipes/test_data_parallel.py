"""Chunks by hand against formulas, and processes that must not stay behind.

The processes begin as those of the recipe do, and go on without an engine.
"""

import importlib.util
import json
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from kerasrecipes.recipes.optimization import data_parallel as recipe

START = recipe.PROGRAM.partition("import keras")[0]


def start_apart(monkeypatch, program, devices=2):
    """Trains with another program in the place of the recipe's."""
    monkeypatch.setattr(recipe, "PROGRAM", START + program)
    model = SimpleNamespace(save=lambda path: None)
    x = np.zeros((4, 1))
    return recipe.train_apart(model, x, x, 3, recipe.WORKERS, devices)


@pytest.mark.parametrize("sizes", [[6], [2, 4], [3, 3], [1, 4, 1]])
@pytest.mark.parametrize("is_weighted", [True, False])
def test_sums_of_chunks_by_formula(sizes, is_weighted):
    """A line without bias, whose gradient is the mean of 2 (w x - y) x."""
    x = np.array([1.0, -2.0, 0.5, 3.0, 1.5, -1.0])[:, None]
    y = np.array([0.5, 1.0, -1.0, 2.0, 0.0, 1.0])[:, None]
    line = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([layers.Input((1,)), line])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    (step,) = recipe.summed_steps(model, x, y, sizes, is_weighted)
    gradients = 2 * (x - y) * x
    parts = np.split(gradients, np.cumsum(sizes)[:-1])
    means = [0.5 * part.mean() for part in parts]
    expected = np.average(means, weights=sizes if is_weighted else None)
    assert step.item() == pytest.approx(expected, abs=1e-6)
    assert line.kernel.numpy().item() == 1.0, "the model has its weights back"


def test_chunks_are_a_batch():
    for sizes, _ in recipe.SUMS.values():
        assert sum(sizes) == recipe.BATCH
    assert recipe.ROWS % recipe.BATCH == 0
    for how in (recipe.VARIANTS | recipe.TIMED).values():
        assert recipe.BATCH % how.get("devices", 1) == 0


def test_facts():
    found = recipe.measure(seed=3)
    for name in ("equal chunks", "with a remainder"):
        assert found[f"off, {name}"] < 1e-4
    # Far more than roundings.
    for name in ("remainder, not weighted", "BatchNormalization"):
        assert found[f"off, {name}"] > 1e-3


def test_training_by_hand():
    found = recipe.train(seed=1, epochs=2, way="by hand")
    assert found["off"] < 1e-5 and found["has run"] == 1


def test_workers_are_numbered_and_know_each_other(monkeypatch):
    program = """
import numpy as np
told = [number, len(set(addresses)), batch, epochs, loop]
assert all(one.startswith("localhost:") for one in addresses)
np.savez(f"worker{number}.npz", told, seconds=[0.25])
"""
    (told,), seconds = start_apart(monkeypatch, program)
    assert told.tolist() == [0, 2, recipe.BATCH, 3, 0]
    assert seconds.tolist() == [0.25]


@pytest.mark.parametrize("who", [0, 1])
def test_an_error_has_its_own_words_and_ends_the_others(monkeypatch, who):
    program = f"""
if number == {who}:
    raise ValueError("its own words\\nand more")
time.sleep(0 if number < {who} else 600)
"""
    with pytest.raises(subprocess.SubprocessError) as caught:
        start_apart(monkeypatch, program)
    assert str(caught.value) == "ValueError: its own words"


def test_what_fails_is_a_score(monkeypatch, caplog):
    def fail(*arguments):
        raise subprocess.SubprocessError("ValueError: no luck")

    monkeypatch.setattr(recipe, "train_apart", fail)
    found = recipe.train(0, 1, recipe.WORKERS, 2)
    assert found["has run"] == 0 and found["off"] > 1e-3
    assert caplog.messages == [f"{recipe.WORKERS}: ValueError: no luck"]


def test_a_process_ends_with_its_parent():
    """Whatever ends the parent, the pipe to it is closed."""
    worker = subprocess.Popen(
        [sys.executable, "-c", f"{START}time.sleep(600)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with worker:
        address = worker.stdout.readline().strip()
        worker.stdin.write(json.dumps([0, [address], 1, 1, False]) + "\n")
        worker.stdin.close()
        assert worker.wait(timeout=30) == 1


def test_without_jax(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install jax"):
        recipe.train_apart(None, None, None, 1, recipe.JAX, 4)
