"""Finds every helper class and does with it what test_conformance.py checks.

Run as a script this file is the fresh process in which saved models are
loaded: ``python -P tests/conformance.py FOLDER``.
"""

import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops

# Keras calls np.array on PyTorch's tensors and on its own variables, and NumPy
# warns of it as long as their `__array__` does not know the argument `copy`.
TORCH_COPY_WARNING = "__array__ implementation doesn't accept a copy keyword"


@dataclasses.dataclass(frozen=True)
class LayerSetup:
    """One way to construct a layer, and an input for it.

    `input_shape` has the batch: at least 3, so that a part of a batch can be
    told from all of it.
    """

    arguments: dict
    input_shape: tuple
    input_dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class SetupsCase:
    """What the suite needs to know about any class with setups.

    Args:
        setups: name of a setup to `LayerSetup`, `LossSetup` or `MetricSetup`.
            Together they give every argument of the constructor a value that
            is not its default.
        bad_arguments: pairs of arguments, which replace some of the first
            setup's, and the exact message of the ValueError. The first of
            these arguments is the one that the message names.
    """

    setups: dict
    bad_arguments: tuple

    @property
    def arguments(self):
        return next(iter(self.setups.values())).arguments


@dataclasses.dataclass(frozen=True)
class LayerCase(SetupsCase):
    """What the suite needs to know about a layer, or a recurrent cell.

    A cell is checked inside of `keras.layers.RNN`, with sequences as inputs:
    of three steps at least, since some of them are masked.

    Args:
        passes_mask: whether the mask of the input comes out unchanged; if not,
            none comes out.
        random_at_inference: why two calls give different outputs, where they
            do; the outputs of two calls are then not compared.
    """

    passes_mask: bool
    random_at_inference: str = ""


@dataclasses.dataclass(frozen=True)
class LossSetup:
    """One way to construct a loss, and shapes to call it with.

    Args:
        arguments: of the constructor.
        target_shape: of `y_true`, with the batch: `(batch, columns)`.
        output_shape: of `y_pred`, which may have more columns; the first are
            predictions of the targets.
        low: least value in `y_pred`.
        high: largest.
    """

    arguments: dict
    target_shape: tuple
    output_shape: tuple
    low: float = -3.0
    high: float = 3.0


class LossCase(SetupsCase):
    """What the suite needs to know about a loss."""


@dataclasses.dataclass(frozen=True)
class MetricSetup:
    """One way to construct a metric, and examples to judge.

    Args:
        arguments: of the constructor.
        make_batch: function of a NumPy generator and a number of examples that
            returns `y_true` and `y_pred`, arrays of that length; `y_pred` has
            two axes at least.
    """

    arguments: dict
    make_batch: Callable


class MetricCase(SetupsCase):
    """What the suite needs to know about a metric."""


@dataclasses.dataclass(frozen=True)
class CallbackCase:
    """What the suite needs to know about a callback.

    Args:
        arguments: with which it can be constructed.
        bad_arguments: as for a layer.
    """

    arguments: dict
    bad_arguments: tuple


@dataclasses.dataclass(frozen=True)
class Room:
    """What the classes of one room of kerasrecipes have in common."""

    base: type
    case_type: type
    sections: tuple
    serializable: bool


# The order is Keras' own.
SECTIONS = (
    "Example",
    "Args",
    "Call arguments",
    "Input shape",
    "Output shape",
    "Returns",
    "Raises",
    "Reference",
)
ROOMS = {
    "layers": Room(
        base=keras.layers.Layer,
        case_type=LayerCase,
        sections=(
            "Args",
            "Call arguments",
            "Input shape",
            "Output shape",
            "Raises",
            "Reference",
        ),
        serializable=True,
    ),
    "cells": Room(
        base=keras.layers.Layer,
        case_type=LayerCase,
        sections=(
            "Args",
            "Call arguments",
            "Input shape",
            "Output shape",
            "Raises",
            "Reference",
        ),
        serializable=True,
    ),
    "losses": Room(
        base=keras.losses.Loss,
        case_type=LossCase,
        sections=("Args", "Call arguments", "Raises", "Reference"),
        serializable=True,
    ),
    "metrics": Room(
        base=keras.metrics.Metric,
        case_type=MetricCase,
        sections=("Example", "Args", "Call arguments", "Raises", "Reference"),
        serializable=True,
    ),
    "callbacks": Room(
        base=keras.callbacks.Callback,
        case_type=CallbackCase,
        sections=("Args", "Raises"),
        serializable=False,
    ),
}
# Rooms of helper classes that have no entry in ROOMS as long as they are
# empty: the first class in one of them fails a test that says so.
ALL_ROOMS = (
    "layers",
    "cells",
    "metrics",
    "losses",
    "optimizers",
    "callbacks",
    "models",
)


def import_rooms():
    """Returns the packages of helper classes, by name."""
    return {
        room: importlib.import_module(f"kerasrecipes.{room}")
        for room in ALL_ROOMS
        if importlib.util.find_spec(f"kerasrecipes.{room}")
    }


def find_classes():
    """Returns the public helper classes as {name: (room, class)}."""
    return {
        name: (room, value)
        for room, package in import_rooms().items()
        for name in getattr(package, "__all__", ())
        if inspect.isclass(value := getattr(package, name))
    }


def find_unexported_classes():
    """Returns the classes whose room does not list them, as dotted names."""
    unexported = []
    for package in import_rooms().values():
        exported = getattr(package, "__all__", ())
        prefix = package.__name__ + "."
        for found in pkgutil.iter_modules(package.__path__, prefix):
            module = importlib.import_module(found.name)
            unexported += [
                f"{found.name}.{name}"
                for name, value in vars(module).items()
                if inspect.isclass(value)
                and value.__module__ == found.name
                and not name.startswith("_")
                and name not in exported
            ]
    return unexported


def find_keras_names():
    """Returns every public name of Keras and of its modules."""
    modules = [
        value for value in vars(keras).values() if inspect.ismodule(value)
    ]
    return {name for module in (keras, *modules) for name in dir(module)}


def get_signature(cls):
    """Returns the constructor's own parameters, and whether it takes more."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    return named, len(named) < len(parameters)


def split_docstring(cls):
    """Returns the first line and the sections, as {title: text}."""
    lines = inspect.getdoc(cls).splitlines()
    sections = {}
    title = None
    for line in lines[1:]:
        match = re.fullmatch(r"([A-Z][a-z]+(?: [a-z]+)?):", line)
        if match:
            title = match[1]
            sections[title] = ""
        elif title:
            sections[title] += line + "\n"
    return lines[0], sections


def split_arguments(section):
    """Returns the entries of an `Args` section, as {argument: text}."""
    parts = re.split(r"^ {4}(\*{0,2}\w+): ", section, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def make_inputs(setup, seed=0):
    """Returns random inputs: standard normal, or integers from 0 to 2."""
    generator = np.random.default_rng(seed)
    if "int" in setup.input_dtype:
        values = generator.integers(0, 3, setup.input_shape)
    else:
        values = generator.standard_normal(setup.input_shape)
    return values.astype(setup.input_dtype)


def as_layer(helper, **more):
    """Returns a layer as it is, and a recurrent cell inside of RNN."""
    if not hasattr(helper, "state_size"):
        return helper
    return keras.layers.RNN(helper, return_sequences=True, **more)


def make_cotangents(cls, setup):
    """Returns random weights of the outputs, for `compute_gradients`.

    Not ones: the outputs of some layers have a constant sum.
    """
    layer = as_layer(cls(**setup.arguments))
    shape = layer.compute_output_shape(setup.input_shape)
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


def make_layer(cls, setup, **more):
    """Returns a built layer whose weights are not its initial ones.

    They are the same whenever it is called with the same class and setup.
    """
    keras.utils.set_random_seed(0)
    layer = as_layer(cls(**setup.arguments, **more), **more)
    return build_and_shift(layer, setup.input_shape)


def build_and_shift(layer, input_shape):
    """Builds a layer, and moves its weights from their initial values."""
    layer.build(input_shape)
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        # Positive, since a weight may hold a variance.
        weight.assign_add(generator.uniform(0.1, 0.2, weight.shape))
    return layer


def is_cell(cls):
    """Whether a class is a recurrent cell, which `keras.layers.RNN` runs."""
    return "states" in inspect.signature(cls.call).parameters


def make_mask(setup):
    """Returns a mask: every other sequence is whole, two steps lack in others.

    Two lengths, no more, since JAX compiles a loop anew for each.
    """
    batch, steps, _ = setup.input_shape
    lengths = steps - 2 * (1 - np.arange(batch) % 2)
    return np.arange(steps) < lengths[:, None]


def run_recurrent(layer, inputs, mask=None, states=None):
    """Returns outputs and states of a recurrent layer, a flat list of arrays.

    Args:
        layer: with or without `return_state`.
        inputs: array.
        mask: array of booleans. Optional.
        states: initial ones, as the layer returns them. Optional.
    """
    more = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    if states is not None:
        more["initial_state"] = states
    found = layer(ops.convert_to_tensor(inputs), **more)
    return [ops.convert_to_numpy(part) for part in keras.tree.flatten(found)]


def make_model(layer, setup):
    """Returns a functional model of one layer, for any batch size."""
    inputs = keras.Input(setup.input_shape[1:], dtype=setup.input_dtype)
    return keras.Model(inputs, layer(inputs))


def run_eagerly(function, inputs):
    """Returns the outputs as an array."""
    return ops.convert_to_numpy(function(ops.convert_to_tensor(inputs)))


class TrainableInputs(keras.Model):
    """A layer over weights in place of inputs.

    So the gradient with respect to the inputs is one that every backend
    computes in `fit`, and a layer without weights can be trained.
    """

    def __init__(self, layer, inputs, **arguments):
        super().__init__()
        self.layer = layer
        self.arguments = arguments
        self.values = self.add_weight(shape=inputs.shape, name="values")
        self.values.assign(inputs)

    def call(self, inputs):
        return self.layer(self.values, **self.arguments)


def compute_gradients(
    layer, inputs, cotangents, jit_compile=False, loss=None, **arguments
):
    """Returns the gradients of sum(cotangents * layer(inputs)).

    Args:
        layer: a built layer with float inputs and one output.
        inputs: array.
        cotangents: array of the shape of the output.
        jit_compile: as in `compile`.
        loss: another function of the cotangents and the outputs in place of
            the sum of their products.
        **arguments: of the layer's call, such as `training`: without it the
            layer works in inference mode.

    Returns:
        List of arrays: the gradient with respect to the inputs, then those
        with respect to the layer's trainable weights.
    """
    model = TrainableInputs(layer, inputs, **arguments)
    # The first momentum is the gradient times the learning rate of minus one:
    # exact, where the change of the weights would be rounded.
    optimizer = keras.optimizers.SGD(learning_rate=1.0, momentum=0.5)
    model.compile(
        optimizer,
        loss or (lambda y_true, y_pred: ops.sum(y_true * y_pred)),
        jit_compile=jit_compile,
    )
    placeholder = np.zeros((len(inputs), 1), "float32")
    model.fit(
        placeholder,
        cotangents,
        batch_size=len(inputs),
        shuffle=False,
        verbose=0,
    )
    momenta = [v for v in optimizer.variables if "momentum" in v.path]
    gradients = [-momentum.numpy() for momentum in momenta]
    order = [weight.path for weight in model.trainable_variables]
    start = order.index(model.values.path)
    return [gradients.pop(start), *gradients]


def training_mode(layer):
    """Returns `training=True` for `compute_gradients`, where it is known.

    A cell inside of RNN works in inference mode: some can be trained by a
    layer of their own alone.
    """
    is_known = "training" in inspect.signature(layer.call).parameters
    is_cell = isinstance(layer, keras.layers.RNN)
    return {"training": True} if is_known and not is_cell else {}


class MaskReader(keras.layers.Layer):
    """Turns the mask of its inputs into outputs: 0 and 1, or -1 for none."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            return ops.zeros_like(inputs) - 1.0
        return ops.cast(mask, "float32")


def compute_masks(layer, setup):
    """Returns the mask that goes into a layer, and the one that comes out.

    The second is -1 everywhere where no mask comes out.
    """
    inputs = make_inputs(setup)
    inputs[0, ..., :] = 0.0
    inputs[1, -1:] = 0.0
    symbols = keras.Input(setup.input_shape[1:], dtype=setup.input_dtype)
    masked = keras.layers.Masking(mask_value=0.0)(symbols)
    with warnings.catch_warnings():
        # A layer that declares no support says that it destroys the mask.
        if not layer.supports_masking:
            warnings.filterwarnings("ignore", message=".*destroy the mask")
        after = MaskReader()(layer(masked))
        model = keras.Model(symbols, [MaskReader()(masked), after])
        return [ops.convert_to_numpy(mask) for mask in model(inputs)]


def make_loss_batch(setup, seed=0):
    """Returns random targets, standard normal, and outputs for a loss."""
    generator = np.random.default_rng(seed)
    y_true = generator.standard_normal(setup.target_shape)
    y_pred = generator.uniform(setup.low, setup.high, setup.output_shape)
    return y_true.astype("float32"), y_pred.astype("float32")


class MaskAfterFirstStep(keras.layers.Layer):
    """Masks every step of a sequence but the first, and changes nothing."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True

    def call(self, inputs):
        return inputs

    def compute_mask(self, inputs, previous_mask=None):
        mask = ops.ones_like(inputs[..., 0])
        return ops.cumsum(mask, axis=1) < 1.5


def make_loss_model(loss, y_pred):
    """Returns a compiled model whose outputs are its inputs."""
    inputs = keras.Input(y_pred.shape[1:])
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    # The optimizer has no state that a file without it could lack.
    model.compile("sgd", loss)
    return model


def make_metric_batch(setup, examples=10, seed=0):
    """Returns random labels and outputs for a metric."""
    return setup.make_batch(np.random.default_rng(seed), examples)


def make_metric_model(metric, y_pred, jit_compile=False):
    """Returns a compiled model whose outputs are its inputs."""
    inputs = keras.Input(y_pred.shape[1:])
    # Keras wants a loss, and this one takes labels of any shape.
    outputs = keras.layers.ActivityRegularization(l2=1.0)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", metrics=[metric], jit_compile=jit_compile)
    return model


def reload_compiled_in_fresh_process(setups, folder, make_batch, make_model):
    """As `reload_in_fresh_process`, for losses and metrics: models evaluate.

    Args:
        setups: {file name: (class, setup)}
        folder: an empty one.
        make_batch: returns targets and outputs for a setup.
        make_model: returns a compiled model for an object and outputs.

    Returns:
        {file name: what went wrong}, empty if the values are equal.
    """
    expected, modules = {}, {}
    for name, (cls, setup) in setups.items():
        y_true, y_pred = make_batch(setup)
        model = make_model(cls(**setup.arguments), y_pred)
        expected[name] = model.evaluate(y_pred, y_true, verbose=0)
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.inputs.npy", y_pred)
        np.save(folder / f"{name}.targets.npy", y_true)
        modules[name] = cls.__module__
    errors = _run_fresh_process(modules, folder)
    for name in expected.keys() - errors.keys():
        values = np.load(folder / f"{name}.outputs.npy")
        if not np.allclose(values, expected[name], rtol=1e-6, atol=1e-6):
            errors[name] = "The value differs after loading."
    return errors


def reload_in_fresh_process(setups, folder):
    """Saves models in a folder and has a fresh process load and run them.

    One process for all: it takes seconds to import Keras. It imports the
    modules of the layers, nothing else of kerasrecipes.

    Args:
        setups: {file name: (class, setup)}
        folder: an empty one.

    Returns:
        {file name: what went wrong}, empty if the outputs are equal.
    """
    expected = {}
    modules = {}
    errors = {}
    for name, (cls, setup) in setups.items():
        try:
            model = make_model(make_layer(cls, setup), setup)
            model.save(folder / f"{name}.keras")
            inputs = make_inputs(setup)
            np.save(folder / f"{name}.inputs.npy", inputs)
            expected[name] = run_eagerly(model, inputs)
            modules[name] = cls.__module__
        except Exception:
            errors[name] = traceback.format_exc()
    errors |= _run_fresh_process(modules, folder)
    for name in expected.keys() - errors.keys():
        outputs = np.load(folder / f"{name}.outputs.npy")
        # The other process may add in another order, with more threads; a
        # lost argument or weight is far beyond this.
        if not np.allclose(outputs, expected[name], rtol=1e-6, atol=1e-6):
            errors[name] = "The outputs differ after loading."
    return errors


def _run_fresh_process(modules, folder):
    """Returns {file name: what went wrong} in a process that loads all."""
    (folder / "modules.json").write_text(json.dumps(modules))
    done = subprocess.run(
        [sys.executable, "-P", __file__, folder],
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "errors.json").read_text())


def _load_models(folder):
    """What the fresh process does."""
    # Keras warns where a layer has state that was not loaded.
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=TORCH_COPY_WARNING)
    modules = json.loads((folder / "modules.json").read_text())
    errors = {}
    for name, module in modules.items():
        try:
            importlib.import_module(module)
            path = folder / f"{name}.keras"
            model = keras.saving.load_model(path, safe_mode=True)
            inputs = np.load(folder / f"{name}.inputs.npy")
            targets = folder / f"{name}.targets.npy"
            if targets.exists():
                outputs = model.evaluate(inputs, np.load(targets), verbose=0)
            else:
                outputs = run_eagerly(model, inputs)
            np.save(folder / f"{name}.outputs.npy", outputs)
        except Exception:
            errors[name] = traceback.format_exc()
    (folder / "errors.json").write_text(json.dumps(errors))


if __name__ == "__main__":
    _load_models(Path(sys.argv[1]))
