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
    MaskAfterFirstStep,
    as_layer,
    build_and_shift,
    compute_gradients,
    compute_masks,
    find_classes,
    find_keras_names,
    find_unexported_classes,
    get_signature,
    is_cell,
    make_cotangents,
    make_inputs,
    make_layer,
    make_loss_batch,
    make_loss_model,
    make_mask,
    make_metric_batch,
    make_metric_model,
    make_model,
    reload_compiled_in_fresh_process,
    reload_in_fresh_process,
    run_eagerly,
    run_recurrent,
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

CELLS = {
    name: (cls, case) for name, (cls, case) in LAYERS.items() if is_cell(cls)
}

LOSSES = {
    name: (cls, case)
    for name, (room, cls, case) in COVERED.items()
    if room == "losses"
}

METRICS = {
    name: (cls, case)
    for name, (room, cls, case) in COVERED.items()
    if room == "metrics"
}

every_class = pytest.mark.parametrize("name", CLASSES)
every_covered_class = pytest.mark.parametrize("name", COVERED)


def every_setup_of(cases):
    """Runs a test with each class of a room and each of its setups."""
    return pytest.mark.parametrize(
        ("cls", "setup"),
        [
            pytest.param(cls, setup, id=f"{name}-{title}")
            for name, (cls, case) in cases.items()
            for title, setup in case.setups.items()
        ],
    )


every_setup = every_setup_of(LAYERS)
every_cell_setup = every_setup_of(CELLS)
every_loss_setup = every_setup_of(LOSSES)
every_metric_setup = every_setup_of(METRICS)


def check_reloading(cases, folder, reload, *how):
    """Has all setups reloaded, and fails with what went wrong."""
    setups = {
        f"{name}-{number}": (cls, setup)
        for name, (cls, case) in cases.items()
        for number, setup in enumerate(case.setups.values())
    }
    errors = reload(setups, folder, *how)
    assert not errors, "\n".join(
        f"{name}: {error}" for name, error in errors.items()
    )


def skip_slow_compiling(cls, setup):
    """Skips a test with PyTorch's compiler, except for the first setup."""
    if keras.backend.backend() != "torch":
        return
    if not shutil.which("g++") and not shutil.which("clang++"):
        pytest.skip("PyTorch compiles with g++ or clang++: neither found.")
    if setup != next(iter(CASES[cls.__name__].setups.values())):
        pytest.skip(
            "PyTorch takes 10 to 40 s to compile a step: the first setup "
            "stands for the others."
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


@pytest.mark.parametrize("name", [*LAYERS, *METRICS])
def test_setups_differ_from_the_defaults(name):
    _, cls, case = COVERED[name]
    untested = {
        parameter.name
        for parameter in get_signature(cls)[0]
        if all(
            setup.arguments.get(parameter.name, parameter.default)
            == parameter.default
            for setup in case.setups.values()
        )
    }
    # With several outputs a layer is tested in a file of its own.
    untested.discard("return_state")
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
    check_reloading(LAYERS, tmp_path, reload_in_fresh_process)


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
    skip_slow_compiling(cls, setup)
    layer = make_layer(cls, setup)
    if not layer.supports_jit:
        pytest.skip("Keras compiles it without XLA, as it does its own LSTM.")
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
    if setup.arguments.get("go_backwards"):
        before = before[:, ::-1]  # the mask goes with the outputs
    if CASES[cls.__name__].passes_mask:
        np.testing.assert_array_equal(after, before)
    else:
        assert (after == -1.0).all()


# ----------------------------------------------------------------------
# Recurrent cells, beyond what is checked of layers
#
# Sums that are taken in another order differ in the last digits of float32.

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def rows_by_length(mask):
    """Yields the rows of one length, and which of their steps are real."""
    for length in np.unique(mask.sum(axis=1)):
        rows = np.flatnonzero(mask.sum(axis=1) == length)
        yield rows, mask[rows[0]]


@every_cell_setup
def test_cell_gives_its_first_state(cls, setup):
    """As `keras.layers.RNN` assumes where a step is masked."""
    cell = cls(**setup.arguments)
    # A list: of a stack of cells with states of their own that are no lists,
    # Keras takes the wrong one on JAX.
    assert isinstance(cell.state_size, list)
    rnn = keras.layers.RNN(cell, return_state=True)
    build_and_shift(rnn, setup.input_shape)
    outputs, first, *_ = run_recurrent(rnn, make_inputs(setup))
    np.testing.assert_array_equal(outputs, first)


@every_cell_setup
def test_cell_reads_a_sequence_in_parts(cls, setup):
    way = {"return_sequences": True, "return_state": True}
    rnn = keras.layers.RNN(cls(**setup.arguments), **way)
    build_and_shift(rnn, setup.input_shape)
    inputs = make_inputs(setup)
    start = rnn.get_initial_state(len(inputs))
    whole = run_recurrent(rnn, inputs, states=start)
    _, *states = run_recurrent(rnn, inputs[:, :1], states=start)
    later = run_recurrent(rnn, inputs[:, 1:], states=states)
    whole[0] = whole[0][:, 1:]
    for part, expected in zip(later, whole, strict=True):
        np.testing.assert_allclose(part, expected, **CLOSE)
    afresh, *_ = run_recurrent(rnn, inputs[:, 1:], states=start)
    assert not np.allclose(afresh, later[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("side", ["right", "left"])
@every_cell_setup
def test_cell_passes_over_masked_steps(cls, setup, side):
    """From a state that is not zero, with something else than zeros there."""
    rnn = keras.layers.RNN(cls(**setup.arguments), return_state=True)
    build_and_shift(rnn, setup.input_shape)
    _, *start = run_recurrent(rnn, make_inputs(setup, seed=1))
    inputs, mask = make_inputs(setup), make_mask(setup)
    mask = mask if side == "right" else mask[:, ::-1].copy()
    padded = run_recurrent(rnn, inputs, mask, start)
    for rows, real in rows_by_length(mask):
        alone = [state[rows] for state in start]
        unpadded = run_recurrent(rnn, inputs[rows][:, real], states=alone)
        for part, expected in zip(padded, unpadded, strict=True):
            np.testing.assert_allclose(part[rows], expected, **CLOSE)


@every_cell_setup
def test_cell_in_stacked_rnn_cells(cls, setup):
    """A stack of cells is a stack of layers."""
    cells = [cls(**setup.arguments) for _ in range(2)]
    stack = keras.layers.StackedRNNCells(cells)
    way = {"return_sequences": True, "return_state": True}
    rnn = build_and_shift(keras.layers.RNN(stack, **way), setup.input_shape)
    inputs, mask = make_inputs(setup), make_mask(setup)
    lower, upper = (
        keras.layers.RNN(cell, return_sequences=True) for cell in cells
    )
    (below,) = run_recurrent(lower, inputs, mask)
    (expected,) = run_recurrent(upper, below, mask)
    outputs, *_ = run_recurrent(rnn, inputs, mask)
    np.testing.assert_allclose(outputs[mask], expected[mask], **CLOSE)
    # At masked steps the last output is repeated.
    np.testing.assert_allclose(outputs[:, -1], expected[:, -1], **CLOSE)


@every_cell_setup
def test_cell_in_bidirectional(cls, setup):
    """Forward and backward, the backward one begins at the last real step."""
    both = keras.layers.Bidirectional(
        keras.layers.RNN(cls(**setup.arguments), return_sequences=True)
    )
    build_and_shift(both, setup.input_shape)
    inputs, mask = make_inputs(setup), make_mask(setup)
    (outputs,) = run_recurrent(both, inputs, mask)
    cells = both.forward_layer.cell, both.backward_layer.cell
    forward, backward = (
        keras.layers.RNN(cell, return_sequences=True) for cell in cells
    )
    for rows, real in rows_by_length(mask):
        x = inputs[rows][:, real]
        (ahead,) = run_recurrent(forward, x)
        (back,) = run_recurrent(backward, x[:, ::-1].copy())
        expected = np.concatenate([ahead, back[:, ::-1]], axis=-1)
        np.testing.assert_allclose(outputs[rows][:, real], expected, **CLOSE)


@pytest.mark.parametrize("name", CELLS)
def test_cell_in_fit(name):
    """A masked, stacked, bidirectional network; then predict equals a call."""
    cls, case = CELLS[name]
    setup = next(iter(case.setups.values()))
    cells = [cls(**setup.arguments) for _ in range(2)]
    stack = keras.layers.StackedRNNCells(cells)
    model = keras.Sequential(
        [
            keras.layers.Input(setup.input_shape[1:]),
            keras.layers.Masking(),
            keras.layers.Bidirectional(keras.layers.RNN(stack)),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    # With all variables there, TensorFlow traces a step once and not twice.
    model.optimizer.build(model.trainable_variables)
    inputs = make_inputs(setup) * make_mask(setup)[:, :, np.newaxis]
    history = model.fit(inputs, np.ones((len(inputs), 1)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    predicted = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(predicted, run_eagerly(model, inputs), **CLOSE)


# ----------------------------------------------------------------------
# Losses


def loss_value(loss, y_true, y_pred, *weights):
    return keras.ops.convert_to_numpy(loss(y_true, y_pred, *weights))


@every_loss_setup
def test_loss_config(cls, setup):
    loss = cls(**setup.arguments, name="its_name", reduction="sum")
    config = loss.get_config()
    names = {parameter.name for parameter in get_signature(cls)[0]}
    assert names | {"name", "reduction"} <= set(config)
    # Without `allow_nan=False` Python writes infinities, which is no JSON.
    assert json.loads(json.dumps(config, allow_nan=False)) == config
    assert cls.from_config(config).get_config() == config
    y_true, y_pred = make_loss_batch(setup)
    again = loss_value(cls.from_config(config), y_true, y_pred)
    np.testing.assert_array_equal(again, loss_value(loss, y_true, y_pred))


def test_losses_reload_in_fresh_process(tmp_path):
    check_reloading(
        LOSSES,
        tmp_path,
        reload_compiled_in_fresh_process,
        make_loss_batch,
        make_loss_model,
    )


@every_loss_setup
def test_loss_reductions_and_weights(cls, setup):
    y_true, y_pred = make_loss_batch(setup)
    each = loss_value(cls(**setup.arguments, reduction=None), y_true, y_pred)
    assert each.shape == (len(y_true),)
    loss = cls(**setup.arguments)
    alone = [
        loss_value(loss, y_true[[row]], y_pred[[row]])
        for row in range(len(y_true))
    ]
    np.testing.assert_allclose(alone, each, rtol=1e-5)
    found = loss_value(loss, y_true, y_pred)
    np.testing.assert_allclose(found, each.mean(), rtol=1e-5)
    total = cls(**setup.arguments, reduction="sum")
    found = loss_value(total, y_true, y_pred)
    np.testing.assert_allclose(found, each.sum(), rtol=1e-5)
    weights = np.arange(len(y_true), dtype="float32")
    found = loss_value(loss, y_true, y_pred, weights)
    np.testing.assert_allclose(found, np.mean(weights * each), rtol=1e-5)


@every_loss_setup
def test_loss_leaves_masked_steps_out(cls, setup):
    batches = [make_loss_batch(setup, seed) for seed in range(3)]
    (first, *others), (outputs, *rest) = zip(*batches, strict=True)
    inputs = keras.Input((2, *setup.output_shape[1:]))
    model = keras.Model(inputs, MaskAfterFirstStep()(inputs))
    model.compile(loss=cls(**setup.arguments))
    values = [
        model.evaluate(
            np.stack([outputs, later], axis=1),
            np.stack([first, last], axis=1),
            verbose=0,
        )
        for last, later in zip(others, rest, strict=True)
    ]
    expected = loss_value(cls(**setup.arguments), first, outputs)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@every_loss_setup
def test_loss_of_short_floats(cls, setup, dtype):
    y_true, y_pred = make_loss_batch(setup)
    short = keras.ops.cast(y_pred, dtype)
    loss = cls(**setup.arguments)
    found = loss(y_true, short)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    expected = loss_value(loss, y_true, keras.ops.cast(short, "float32"))
    found = keras.ops.convert_to_numpy(found)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def loss_gradient(cls, setup, y_true, y_pred, jit_compile=False):
    """The gradient of the loss with respect to `y_pred`."""
    identity = keras.layers.Identity()
    loss = cls(**setup.arguments)
    return compute_gradients(identity, y_pred, y_true, jit_compile, loss)[0]


@pytest.mark.parametrize("residuals", ["random", "zero", "huge"])
@every_loss_setup
def test_loss_gradients_are_finite(cls, setup, residuals):
    y_true, y_pred = make_loss_batch(setup)
    if residuals == "zero":
        y_pred[:, : y_true.shape[1]] = y_true
    elif residuals == "huge":
        y_true = 1e4 * y_true
    gradient = loss_gradient(cls, setup, y_true, y_pred)
    assert np.isfinite(gradient).all()
    assert residuals != "random" or gradient.all()


@pytest.mark.filterwarnings("ignore:::torch")
@every_loss_setup
def test_loss_gradients_with_jit_compile(cls, setup):
    skip_slow_compiling(cls, setup)
    batch = make_loss_batch(setup)
    compiled = loss_gradient(cls, setup, *batch, jit_compile=True)
    plain = loss_gradient(cls, setup, *batch)
    np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-6)


# ----------------------------------------------------------------------
# Metrics


def metric_value(metric, *batches):
    """The result after these batches, from the beginning."""
    metric.reset_state()
    for batch in batches:
        metric.update_state(*batch)
    return keras.ops.convert_to_numpy(metric.result())


@every_metric_setup
def test_metric_config(cls, setup):
    metric = cls(**setup.arguments, name="its_name")
    config = metric.get_config()
    names = {parameter.name for parameter in get_signature(cls)[0]}
    assert names | {"name", "dtype"} <= set(config)
    assert json.loads(json.dumps(config, allow_nan=False)) == config
    again = cls.from_config(config)
    assert again.get_config() == config
    batch = make_metric_batch(setup)
    assert metric_value(again, batch) == metric_value(metric, batch)


def test_metrics_reload_in_fresh_process(tmp_path):
    check_reloading(
        METRICS,
        tmp_path,
        reload_compiled_in_fresh_process,
        make_metric_batch,
        make_metric_model,
    )


@every_metric_setup
def test_metric_in_parts_equals_metric_at_once(cls, setup):
    y_true, y_pred = make_metric_batch(setup)
    metric = cls(**setup.arguments)
    untouched = metric_value(metric)
    assert np.isfinite(untouched)
    whole = metric_value(metric, (y_true, y_pred))
    for ends in (range(1, 10), (1, 4)):
        parts = np.split(y_true, ends), np.split(y_pred, ends)
        value = metric_value(metric, *zip(*parts, strict=True))
        np.testing.assert_allclose(value, whole, rtol=1e-5)
    metric.reset_state()
    assert metric_value(metric) == untouched
    assert all(not v.numpy().any() for v in metric.variables)


@every_metric_setup
def test_metric_weights_count_examples(cls, setup):
    y_true, y_pred = make_metric_batch(setup)
    metric = cls(**setup.arguments)
    times = np.arange(10) % 3
    weighted = metric_value(metric, (y_true, y_pred, times.astype("float32")))
    copies = [np.repeat(array, times, axis=0) for array in (y_true, y_pred)]
    repeated = metric_value(metric, copies)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-5)
    equal = metric_value(metric, (y_true, y_pred, 0.5))
    plain = metric_value(metric, (y_true, y_pred))
    np.testing.assert_allclose(equal, plain, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@every_metric_setup
def test_metric_of_short_floats(cls, setup, dtype):
    y_true, y_pred = make_metric_batch(setup)
    short = keras.ops.cast(y_pred, dtype)
    metric = cls(**setup.arguments)
    metric.update_state(y_true, short)
    assert keras.backend.standardize_dtype(metric.result().dtype) == "float32"
    found = keras.ops.convert_to_numpy(metric.result())
    exact = metric_value(metric, (y_true, keras.ops.cast(short, "float32")))
    np.testing.assert_allclose(found, exact, rtol=1e-6)


# Raised in PyTorch's own modules, as above.
@pytest.mark.filterwarnings("ignore:::torch")
@pytest.mark.parametrize("jit_compile", [False, True])
@every_metric_setup
def test_metric_in_evaluate(cls, setup, jit_compile):
    if jit_compile:
        skip_slow_compiling(cls, setup)
    y_true, y_pred = make_metric_batch(setup)
    metric = cls(**setup.arguments)
    expected = metric_value(metric, (y_true, y_pred))
    model = make_metric_model(metric, y_pred, jit_compile)
    for batch_size in (4, 10):
        _, value = model.evaluate(
            y_pred, y_true, batch_size=batch_size, verbose=0
        )
        np.testing.assert_allclose(value, expected, rtol=1e-5)
