"""What the benchmarks compute; how fast anything is, no test asks."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from benchmarks import growth
from benchmarks.__main__ import FIGURES, GROUPS, RESULTS, line
from benchmarks.cookbook import trials_of
from benchmarks.figures import png
from benchmarks.steps import compiles, training_step
from benchmarks.timing import curve, row, time_in_turn
from benchmarks.trials import readme_table
from kerasrecipes.engine import gpus

ROOT = Path(__file__).parents[2]
RECORDED = [path.stem for path in sorted(RESULTS.glob("*.json"))]


def test_two_functions_are_timed_in_turn():
    calls = []
    seconds = time_in_turn(
        lambda: calls.append("a"), lambda: calls.append("b"), repetitions=3
    )
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()
    # After warm-up as many calls of one as of the other, in blocks.
    warm = 4
    assert calls[:warm] == ["a", "b", "a", "b"]
    blocks = "".join(calls[warm:])
    size = len(blocks) // 6
    assert blocks == 3 * ("a" * size + "b" * size)


def test_a_row_has_quartiles_of_the_paired_ratios():
    seconds = [[1.0, 2.0], [3.0, 3.0], [6.0, 4.0]]
    found = row("ours", "peer", "small", seconds, "jax")
    assert found["ours"][1] == 3.0
    assert found["theirs"][1] == 3.0
    assert found["ratio"] == [0.75, 1.0, 1.25]
    assert found["repetitions"] == 3
    assert "ours" in line(found) and "1.00 (0.75 to 1.25)" in line(found)


def test_a_curve_has_the_exponent_of_its_growth():
    x = (2, 4, 8)
    found = curve("layer", "width", "small", x, [5e-3 * n**1.5 for n in x])
    assert found["slope"] == pytest.approx(1.5, abs=1e-12)
    assert "slope 1.50" in line(found)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_gradient_of_a_training_step(compiled):
    """Against the chain rule: (x W) * w has the gradient w W^T."""
    layer = layers.Dense(3, use_bias=False)
    layer.build((2, 4))
    x = np.random.default_rng(0).standard_normal((2, 4)).astype("float32")
    step = training_step(layer, layer.trainable_variables, x, compiled)
    weights = np.random.default_rng(1).standard_normal((2, 3))
    kernel = ops.convert_to_numpy(layer.kernel)
    # Sums of three products in float32.
    np.testing.assert_allclose(step(), weights @ kernel.T, atol=1e-6)


def test_whether_xla_compiles():
    """TensorFlow does where there is a GPU, JAX always, PyTorch never."""
    dense, other = layers.Dense(3), layers.Dense(3)
    other.supports_jit = False
    by_default = {"jax": True, "torch": False, "tensorflow": bool(gpus())}
    assert compiles(dense, (2, 4)) is by_default[keras.config.backend()]
    assert not compiles(other, (2, 4))


def test_a_quick_runs_trials_without_the_harness():
    name = "foundations/iris_baseline"
    module = importlib.import_module(
        f"kerasrecipes.recipes.{name.replace('/', '.')}"
    )
    calls = trials_of(name, module)
    assert calls
    for function, arguments in calls:
        assert function is getattr(module, function.__name__)
        assert "seed" in arguments


def test_every_curve_of_growth_can_be_measured(monkeypatch):
    """Each step is made and run once, at its smallest size."""
    told = []

    def measure_first(make, sizes):
        assert np.all(np.isfinite(make(sizes[0])()))
        return [1e-3 * size for size in sizes]

    monkeypatch.setattr(growth, "seconds_by_size", measure_first)
    monkeypatch.setattr(growth, "tell", told.append)
    growth.main()
    assert len(told) == 2 + 2 * len(growth.CELLS)
    for found in told:
        assert found["slope"] == pytest.approx(1)
    pictures = FIGURES["growth"](told)
    assert {*pictures} == {"normalization", "cells"}


def test_groups_are_known():
    assert {*RECORDED} <= {*GROUPS}


def test_an_unknown_group():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "piers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "GROUP is one of peers, growth" in done.stderr
    assert "not 'piers'" in done.stderr


@pytest.mark.parametrize("group", RECORDED)
def test_what_is_recorded(group):
    found = json.loads((RESULTS / f"{group}.json").read_text("utf-8"))
    assert found["processor"] and found["cores"] > 0
    assert {"python", "keras"} <= found["versions"].keys()
    assert found["rows"]
    for one in found["rows"]:
        assert line(one)
        if "ratio" in one:
            assert one["repetitions"] >= 20
            assert 0 < one["ratio"][0] <= one["ratio"][1] <= one["ratio"][2]
        else:
            assert math.isfinite(one["slope"])
            assert min(one["seconds"]) > 0
    backends = {one["backend"] for one in found["rows"]}
    assert backends == set(GROUPS[group])


def test_the_readme_has_what_is_recorded():
    found = json.loads((RESULTS / "trials.json").read_text("utf-8"))
    text = (ROOT / "README.md").read_text("utf-8")
    table = readme_table(found["rows"])
    assert table.count("\n") == 2 + len(found["rows"][0]["x"])
    assert f"<!-- trials -->\n{table}<!-- end of trials -->" in text


@pytest.mark.parametrize("group", FIGURES)
def test_figures_are_of_what_is_recorded(group):
    if group not in RECORDED:
        pytest.skip(f"benchmarks of {group} are not recorded")
    found = json.loads((RESULTS / f"{group}.json").read_text("utf-8"))
    for name, figure in FIGURES[group](found["rows"]).items():
        panels = figure.get_axes()
        assert sum(len(axes.lines) for axes in panels) > 1
        assert png(figure).startswith(b"\x89PNG")
        assert (RESULTS / f"{name}.png").exists()
