"""What importing costs, and what it does not do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerasrecipes import catalogue

ROOT = Path(__file__).parents[1]
NAME = next(iter(catalogue.recipe_paths()))

# Imports every recipe and prints, as JSON, what that did.
IMPORT_ALL = """
import importlib
import json
import random
import socket
import sys

from kerasrecipes.engine import prepare_engine

prepare_engine()

import joblib
import keras
import matplotlib.figure
import matplotlib.pyplot
import numpy as np
import sklearn.base

done = []


def watch(owner, name, what):
    original = getattr(owner, name)

    def watched(*args, **kwargs):
        done.append(f"{what} while importing {recipe}")
        return original(*args, **kwargs)

    setattr(owner, name, watched)


watch(socket.socket, "connect", "opened a connection")
watch(socket.socket, "connect_ex", "opened a connection")
watch(socket, "getaddrinfo", "looked for a host")
watch(matplotlib.figure.Figure, "__init__", "drew a figure")
watch(joblib.Parallel, "__init__", "started processes")
watch(keras.layers.Layer, "__init__", "built a layer")
watch(keras.Variable, "__init__", "made a weight")
for name in ("fit", "predict", "evaluate", "train_on_batch"):
    watch(keras.Model, name, f"called {name}")
watch(keras.utils, "set_random_seed", "set the random seed")

before = repr((random.getstate(), np.random.get_state()))
for recipe in sys.argv[1:]:
    room = recipe.replace("/", ".")
    module = importlib.import_module(f"kerasrecipes.recipes.{room}")
    assert callable(module.main)
if repr((random.getstate(), np.random.get_state())) != before:
    done.append("drew random numbers")
if matplotlib.pyplot.get_fignums():
    done.append("left a figure open")
print(json.dumps(done))
"""

# Runs the command line and prints the modules that it loaded to stderr.
LOADED = """
import sys

sys.argv = ["kerasrecipes", *sys.argv[1:]]
from kerasrecipes.cli import main

status = 1
try:
    main()
except SystemExit as end:
    status = end.code
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""


def run_python(code, *words, cwd):
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_importing_recipes_does_nothing_else(tmp_path):
    answer = run_python(IMPORT_ALL, *catalogue.recipe_paths(), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == []
    assert not list(tmp_path.iterdir())


def test_the_package_itself_is_empty():
    """One imports from the rooms, and nothing loads what is not asked for."""
    assert (ROOT / "kerasrecipes/__init__.py").read_bytes() == b""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["list"],
        ["list", "--json"],
        ["show", NAME],
        ["run", NAME, "--help"],
        ["run", NAME, "--epochs", "0"],
    ],
    ids=" ".join,
)
def test_reading_loads_neither_keras_nor_numpy(words, tmp_path):
    answer = run_python(LOADED, *words, cwd=tmp_path)
    assert answer.returncode == (2 if "0" in words else 0), answer.stderr
    loaded = set(answer.stderr.split())
    assert "kerasrecipes.catalogue" in loaded
    slow = {"jax", "joblib", "keras", "matplotlib", "numpy", "scipy"}
    slow |= {"sklearn", "tensorflow", "torch"}
    assert not slow & loaded
