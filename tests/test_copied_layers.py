"""Copied layers load what the originals have saved, and the other way round."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
from conformance import (
    find_classes,
    make_inputs,
    make_layer,
    make_model,
    run_eagerly,
)
from conformance_cases import CASES

from kerasrecipes import copying

LAYERS = {
    name: (cls, next(iter(CASES[name].setups.values())))
    for name, (room, cls) in find_classes().items()
    if room in ("layers", "cells")
}

LOAD_AND_SAVE = """
import importlib, json, sys
sys.modules["kerasrecipes"] = None
import keras, numpy as np
for name, module in json.loads(sys.argv[1]).items():
    importlib.import_module(module)
    model = keras.saving.load_model(f"{name}.keras")
    outputs = model(np.load(f"{name}.npy"))
    np.save(f"{name}.outputs.npy", keras.ops.convert_to_numpy(outputs))
    model.save(f"{name}.again.keras")
"""


def test_models_go_there_and_back(tmp_path):
    planned = copying.plan(LAYERS, "mine", False)
    copying.write_copies(planned, tmp_path, force=False)
    expected = {}
    for name, (cls, setup) in LAYERS.items():
        model = make_model(make_layer(cls, setup), setup)
        model.save(tmp_path / f"{name}.keras")
        inputs = make_inputs(setup)
        np.save(tmp_path / f"{name}.npy", inputs)
        expected[name] = run_eagerly(model, inputs)
    files = copying.helper_names()
    modules = {name: f"mine.{files[name].stem}" for name in LAYERS}
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_SAVE, json.dumps(modules)],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, (cls, setup) in LAYERS.items():
        outputs = np.load(tmp_path / f"{name}.outputs.npy")
        # Another process may add in another order.
        np.testing.assert_allclose(outputs, expected[name], 1e-6, 1e-6)
        model = keras.saving.load_model(tmp_path / f"{name}.again.keras")
        layer = model.layers[1]
        assert cls in (type(layer), type(getattr(layer, "cell", None)))
        again = run_eagerly(model, make_inputs(setup))
        if not CASES[name].random_at_inference:
            np.testing.assert_array_equal(again, expected[name])
