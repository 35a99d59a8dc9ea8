"""What every helper class must do. The classes are found, not listed."""

import inspect
import json
import re
import shutil

import keras
import numpy as np
import pytest
from conformance import (
    ROOMS,
    SECTIONS,
    TORCH_COPY_WARNING,
    as_layer,
    compute_gradients,
    compute_masks,
    find_classes,
    find_keras_names,
    find_unexported_classes,
    get_signature,
    make_cotangents,
    make_inputs,
    make_layer,
    make_model,
    reload_in_fresh_process,
    run_eagerly,
    split_arguments,
    split_docstring,
    training_mode,
)
from conformance_cases import CASES

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

CLASSES = find_classes()
COVERED = {
    name: (*CLASSES[name], case)
    for name, case in CASES.items()
    if name in CLASSES and CLASSES[name][0] in ROOMS
}

LAYERS = {
    name: (cls, case)
    for name, (room, cls, case) in COVERED.items()
    if room in ("layers", "cells")
}

every_class = pytest.mark.parametrize("name", CLASSES)
every_covered_class = pytest.mark.parametrize("name", COVERED)
every_layer = pytest.mark.parametrize("name", LAYERS)
every_setup = pytest.mark.parametrize(
    ("cls", "setup"),
    [
        pytest.param(cls, setup, id=f"{name}-{title}")
        for name, (cls, case) in LAYERS.items()
        for title, setup in case.setups.items()
    ],
)

# ----------------------------------------------------------------------
# All classes


@every_class
def test_has_a_case(name):
    room, _ = CLASSES[name]
    assert room in ROOMS, (
        f"{name} is the first class of kerasrecipes.{room}: add the room to "
        "ROOMS in tests/conformance.py and its checks to this file."
    )
    case_type = ROOMS[room].case_type
    assert isinstance(CASES.get(name), case_type), (
        f'{name} has no case: add `"{name}": {case_type.__name__}(...)` to '
        "CASES in tests/conformance_cases.py, with arguments that differ from "
        "the defaults, and for each argument a bad value and its message."
    )


def test_no_case_without_a_class():
    assert set(CASES) <= set(CLASSES)


def test_every_class_is_exported():
    assert find_unexported_classes() == [], (
        "Import it in the room's __init__.py and add it to `__all__` there, "
        "or begin its name with an underscore."
    )


@every_covered_class
def test_belongs_to_its_room(name):
    room, cls, _ = COVERED[name]
    assert issubclass(cls, ROOMS[room].base)
    assert cls.__module__.startswith(f"kerasrecipes.{room}.")


@every_class
def test_name_is_not_taken_by_keras(name):
    assert name not in find_keras_names()


@every_covered_class
def test_is_registered(name):
    room, cls, _ = COVERED[name]
    if ROOMS[room].serializable:
        registered = keras.saving.get_registered_name(cls)
        assert registered == f"kerasrecipes>{name}"
        assert keras.saving.get_registered_object(registered) is cls


@every_covered_class
def test_signature(name):
    room, cls, _ = COVERED[name]
    named, takes_more = get_signature(cls)
    kinds = {parameter.kind for parameter in named}
    assert inspect.Parameter.VAR_POSITIONAL not in kinds
    assert inspect.Parameter.POSITIONAL_ONLY not in kinds
    # **kwargs are for the base class, whose arguments go into the config; a
    # callback has none, and a misspelt argument must not vanish.
    assert takes_more == ROOMS[room].serializable


@every_covered_class
def test_docstring(name):
    room, cls, _ = COVERED[name]
    first_line, sections = split_docstring(cls)
    assert first_line.endswith(".")
    missing = set(ROOMS[room].sections) - set(sections)
    assert not missing
    order = [title for title in SECTIONS if title in sections]
    assert list(sections) == order


@every_covered_class
def test_docstring_names_every_argument(name):
    _, cls, _ = COVERED[name]
    _, sections = split_docstring(cls)
    entries = split_arguments(sections["Args"])
    named, takes_more = get_signature(cls)
    expected = [parameter.name for parameter in named]
    assert list(entries) == expected + ["**kwargs"] * takes_more
    for parameter in named:
        if parameter.default is not parameter.empty:
            says = re.search(r"Defaults\s+to|Optional", entries[parameter.name])
            assert says, f"What is the default of {parameter.name}?"


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        pytest.param(name, bad, message, id=f"{name}-{bad}")
        for name, (_, _, case) in COVERED.items()
        for bad, message in case.bad_arguments
    ],
)
def test_bad_argument(name, bad, message):
    _, cls, case = COVERED[name]
    argument = next(iter(bad))
    pattern = f"Invalid value for argument `{argument}`: expected .+"
    assert re.fullmatch(pattern + r"\. Received: .+", message)
    with pytest.raises(ValueError) as error:
        cls(**{**case.arguments, **bad})
    assert str(error.value) == message


@every_covered_class
def test_every_argument_is_validated(name):
    _, cls, case = COVERED[name]
    named, _ = get_signature(cls)
    refused = {next(iter(bad)) for bad, _ in case.bad_arguments}
    assert {parameter.name for parameter in named} == refused


# ----------------------------------------------------------------------
# Layers


@every_layer
def test_setups_differ_from_the_defaults(name):
    cls, case = LAYERS[name]
    untested = {
        parameter.name
        for parameter in get_signature(cls)[0]
        if all(
            setup.arguments.get(parameter.name, parameter.default)
            == parameter.default
            for setup in case.setups.values()
        )
    }
    assert not untested, "A reload would not notice that these are lost."


# Its training step feeds a generator, and trains layers without weights too.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@pytest.mark.filterwarnings(
    "ignore:The model does not have any trainable weights:UserWarning"
)
@every_setup
def test_keras_own_checks(cls, setup):
    # Private, so only tests may use it.
    from keras.src.testing import TestCase

    layer = as_layer(cls(**setup.arguments))
    shape = layer.compute_output_shape(setup.input_shape)
    arguments = setup.arguments
    if not isinstance(layer, cls):
        arguments = {"cell": layer.cell, "return_sequences": True}
    TestCase("run_layer_test").run_layer_test(
        type(layer),
        arguments,
        input_shape=setup.input_shape,
        input_dtype=setup.input_dtype,
        expected_output_shape=shape,
        expected_output_dtype="float32",
    )


@every_setup
def test_config(cls, setup):
    layer = cls(**setup.arguments)
    before = layer.get_config()
    names = {parameter.name for parameter in get_signature(cls)[0]}
    assert names <= set(before)
    as_layer(layer)(make_inputs(setup))
    assert layer.built
    after = layer.get_config()
    assert after == before
    assert json.loads(json.dumps(after)) == after
    assert cls.from_config(after).get_config() == before


def test_reload_in_fresh_process(tmp_path):
    setups = {
        f"{name}-{number}": (cls, setup)
        for name, (cls, case) in LAYERS.items()
        for number, setup in enumerate(case.setups.values())
    }
    errors = reload_in_fresh_process(setups, tmp_path)
    assert not errors, "\n".join(
        f"{name}: {error}" for name, error in errors.items()
    )


@every_setup
def test_batches(cls, setup):
    """Batch size 1, an unknown one, and a rest that is smaller."""
    model = make_model(make_layer(cls, setup), setup)
    inputs = make_inputs(setup)
    together = run_eagerly(model, inputs)
    one_by_one = [run_eagerly(model, row[np.newaxis]) for row in inputs]
    one_by_one = np.concatenate(one_by_one)
    in_parts = model.predict(inputs, batch_size=2, verbose=0)
    if CASES[cls.__name__].random_at_inference:
        assert one_by_one.shape == in_parts.shape == together.shape
        return
    np.testing.assert_allclose(one_by_one, together, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(in_parts, together, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("policy", "precision"),
    [("mixed_float16", 2.0**-10), ("mixed_bfloat16", 2.0**-7)],
)
@every_setup
def test_mixed_precision(cls, setup, policy, precision):
    exact_layer = make_layer(cls, setup)
    layer = make_layer(cls, setup, dtype=policy)
    # Inputs that the short floats hold exactly: the layer's errors are its own.
    inputs = make_inputs(setup)
    if "float" in setup.input_dtype:
        short = keras.ops.cast(inputs, layer.compute_dtype)
        inputs = keras.ops.convert_to_numpy(
            keras.ops.cast(short, setup.input_dtype)
        )
    exact = run_eagerly(exact_layer, inputs)
    outputs = layer(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy[6:]
    outputs = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
    assert np.isfinite(outputs).all()
    tolerance = 4 * precision * np.abs(exact).max()
    np.testing.assert_allclose(outputs, exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("point", ["random", "zero"])
@every_setup
def test_gradients_are_finite(cls, setup, point):
    inputs = make_inputs(setup)
    if point == "zero":
        inputs = np.zeros_like(inputs)
    layer = make_layer(cls, setup)
    # Zeros go through the layer as it works in inference.
    mode = {} if point == "zero" else training_mode(layer)
    gradients = compute_gradients(
        layer, inputs, make_cotangents(cls, setup), **mode
    )
    assert len(gradients) == 1 + len(layer.trainable_weights)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    if point == "random":
        assert all(gradient.any() for gradient in gradients)


# Raised in PyTorch's own modules: its compiler warns of deprecated ones, and
# of attributes that it looks at itself while tracing.
@pytest.mark.filterwarnings("ignore:::torch")
@every_setup
def test_training_step_with_jit_compile(cls, setup):
    if keras.backend.backend() == "torch":
        if not shutil.which("g++") and not shutil.which("clang++"):
            pytest.skip("PyTorch compiles with g++ or clang++: neither found.")
        first = next(iter(CASES[cls.__name__].setups.values()))
        if setup != first:
            pytest.skip(
                "PyTorch takes 10 to 40 s to compile a step: the first setup "
                "stands for the others."
            )
    layer = make_layer(cls, setup)
    gradients = compute_gradients(
        layer,
        make_inputs(setup),
        make_cotangents(cls, setup),
        jit_compile=True,
        **training_mode(layer),
    )
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert all(gradient.any() for gradient in gradients)


@every_setup
def test_mask(cls, setup):
    before, after = compute_masks(make_layer(cls, setup), setup)
    if CASES[cls.__name__].passes_mask:
        np.testing.assert_array_equal(after, before)
    else:
        assert (after == -1.0).all()
