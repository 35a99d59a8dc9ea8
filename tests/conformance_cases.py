"""One entry for each helper class: see `LayerCase` and the other types."""

from collections.abc import Mapping

import keras
import numpy as np
from conformance import (
    CallbackCase,
    LayerCase,
    LayerSetup,
    LossCase,
    LossSetup,
    MetricCase,
    MetricSetup,
)

BATCH_NORM_LSTM = {
    "units": 3,
    "gamma": 0.7,
    "momentum": 0.5,
    "epsilon": 0.01,
}
BAD_BATCH_NORM_LSTM = (
    (
        {"units": 0},
        "Invalid value for argument `units`: expected a positive integer. "
        "Received: units=0",
    ),
    (
        {"max_steps": 2.5},
        "Invalid value for argument `max_steps`: expected a positive integer. "
        "Received: max_steps=2.5",
    ),
    (
        {"gamma": "small"},
        "Invalid value for argument `gamma`: expected a finite number. "
        "Received: gamma='small'",
    ),
    (
        {"gamma": float("inf")},
        "Invalid value for argument `gamma`: expected a finite number. "
        "Received: gamma=inf",
    ),
    (
        {"momentum": 1},
        "Invalid value for argument `momentum`: expected a number at least 0 "
        "and below 1. Received: momentum=1",
    ),
    (
        {"epsilon": -0.001},
        "Invalid value for argument `epsilon`: expected a non-negative number. "
        "Received: epsilon=-0.001",
    ),
)
GATED_CELL = {
    "units": 3,
    "activation": "softsign",
    "recurrent_activation": "hard_sigmoid",
    "kernel_initializer": "he_normal",
    "recurrent_initializer": "glorot_uniform",
}
GATED_LSTM_CELL = {**GATED_CELL, "unit_forget_bias": False}
BAD_GATED_CELL = (
    (
        {"units": 0},
        "Invalid value for argument `units`: expected a positive integer. "
        "Received: units=0",
    ),
    (
        {"activation": "softest"},
        "Invalid value for argument `activation`: expected None or a Keras "
        "activation. Received: activation='softest'",
    ),
    (
        {"recurrent_activation": "softest"},
        "Invalid value for argument `recurrent_activation`: expected None or a "
        "Keras activation. Received: recurrent_activation='softest'",
    ),
    (
        {"use_bias": 1},
        "Invalid value for argument `use_bias`: expected a boolean. Received: "
        "use_bias=1",
    ),
    (
        {"kernel_initializer": "gated"},
        "Invalid value for argument `kernel_initializer`: expected a Keras "
        "initializer. Received: kernel_initializer='gated'",
    ),
    (
        {"recurrent_initializer": None},
        "Invalid value for argument `recurrent_initializer`: expected a Keras "
        "initializer. Received: recurrent_initializer=None",
    ),
)
BAD_GATED_LSTM_CELL = (
    *BAD_GATED_CELL,
    (
        {"unit_forget_bias": 1},
        "Invalid value for argument `unit_forget_bias`: expected a boolean. "
        "Received: unit_forget_bias=1",
    ),
)
POOLED_RNN = {
    "return_sequences": True,
    "zero_output_for_mask": True,
}
BAD_POOLED_RNN = (
    (
        {"units": 0},
        "Invalid value for argument `units`: expected a positive integer. "
        "Received: units=0",
    ),
    *(
        (
            {name: 1},
            f"Invalid value for argument `{name}`: expected a boolean. "
            f"Received: {name}=1",
        )
        for name in (
            "return_sequences",
            "return_state",
            "go_backwards",
            "zero_output_for_mask",
        )
    ),
)
BAD_SRU = (
    (
        {"forget_bias": None},
        "Invalid value for argument `forget_bias`: expected a finite number. "
        "Received: forget_bias=None",
    ),
    (
        {"highway_bias": float("inf")},
        "Invalid value for argument `highway_bias`: expected a finite number. "
        "Received: highway_bias=inf",
    ),
    (
        {"rescale": None},
        "Invalid value for argument `rescale`: expected a boolean. Received: "
        "rescale=None",
    ),
    (
        {"recurrent_gates": "yes"},
        "Invalid value for argument `recurrent_gates`: expected a boolean. "
        "Received: recurrent_gates='yes'",
    ),
)


class NewLayer(Mapping):
    """Arguments of a wrapper, with another layer whenever they are read.

    What is wrapped belongs to one wrapper.

    Args:
        make: returns a layer.
        wrapped: name of the argument that it is. Defaults to `"layer"`.
        **others: the other arguments.
    """

    def __init__(self, make, wrapped="layer", /, **others):
        self.make, self.wrapped, self.others = make, wrapped, others

    def __getitem__(self, name):
        return self.make() if name == self.wrapped else self.others[name]

    def __iter__(self):
        return iter([self.wrapped, *self.others])

    def __len__(self):
        return 1 + len(self.others)


CASES = {
    "AblatedLSTMCell": LayerCase(
        setups={
            "no input gate": LayerSetup(
                {
                    **GATED_LSTM_CELL,
                    "gates": ["forget", "output"],
                    "output_activation": None,
                },
                (3, 4, 2),
            ),
            "no gates": LayerSetup(
                {"units": 2, "gates": [], "use_bias": False}, (4, 3, 3)
            ),
        },
        bad_arguments=(
            *BAD_GATED_LSTM_CELL,
            (
                {"gates": "input"},
                "Invalid value for argument `gates`: expected a list of some "
                "of ('input', 'forget', 'output'). Received: gates='input'",
            ),
            (
                {"gates": ["input", "reset"]},
                "Invalid value for argument `gates`: expected a list of some "
                "of ('input', 'forget', 'output'). Received: "
                "gates=['input', 'reset']",
            ),
            (
                {"output_activation": "softest"},
                "Invalid value for argument `output_activation`: expected None "
                "or a Keras activation. Received: output_activation='softest'",
            ),
        ),
        passes_mask=True,
    ),
    "AdaptiveRobustLikelihood": LossCase(
        setups={
            "one output": LossSetup({}, (4, 1), (4, 3), low=0.3, high=1.7),
            "two outputs": LossSetup({}, (3, 2), (3, 6), low=0.3, high=1.7),
        },
        bad_arguments=(),
    ),
    "AdaptiveRobustLoss": LossCase(
        setups={
            "Welsch": LossSetup(
                {"alpha": "-inf", "scale": 0.7}, (3, 2), (3, 2)
            ),
            "Cauchy": LossSetup({"alpha": 0, "scale": 2}, (4, 1), (4, 1)),
            "between": LossSetup({"alpha": 1.5}, (3, 5), (3, 5)),
        },
        bad_arguments=(
            (
                {"alpha": 2.5},
                "Invalid value for argument `alpha`: expected a number up to "
                "2, or '-inf'. Received: alpha=2.5",
            ),
            (
                {"alpha": float("nan")},
                "Invalid value for argument `alpha`: expected a number up to "
                "2, or '-inf'. Received: alpha=nan",
            ),
            (
                {"scale": 0},
                "Invalid value for argument `scale`: expected a positive "
                "number. Received: scale=0",
            ),
        ),
    ),
    "AppendShapeAndScale": LayerCase(
        setups={
            "one each": LayerSetup(
                {"alpha": 0.3, "scale": 2.0, "min_scale": 0.01}, (4, 3)
            ),
            "steps, shared": LayerSetup({"shared": True}, (3, 5, 2)),
        },
        bad_arguments=(
            (
                {"alpha": 2.0},
                "Invalid value for argument `alpha`: expected a number above "
                "0.001 and below 1.999. Received: alpha=2.0",
            ),
            (
                {"scale": 0.01},
                "Invalid value for argument `scale`: expected a number above "
                "0.01. Received: scale=0.01",
            ),
            (
                {"min_scale": 0},
                "Invalid value for argument `min_scale`: expected a positive "
                "number. Received: min_scale=0",
            ),
            (
                {"shared": 1},
                "Invalid value for argument `shared`: expected a boolean. "
                "Received: shared=1",
            ),
        ),
        passes_mask=True,
    ),
    "BatchNormLSTM": LayerCase(
        setups={
            "a row for each step": LayerSetup(
                {
                    **BATCH_NORM_LSTM,
                    "max_steps": 4,
                    "return_sequences": True,
                },
                (3, 4, 2),
            ),
            "longer than its rows": LayerSetup(
                {
                    "units": 4,
                    "max_steps": 2,
                    "return_sequences": True,
                },
                (4, 5, 3),
            ),
        },
        bad_arguments=(
            *BAD_BATCH_NORM_LSTM,
            (
                {"return_sequences": 1},
                "Invalid value for argument `return_sequences`: expected a "
                "boolean. Received: return_sequences=1",
            ),
        ),
        passes_mask=True,
    ),
    # Inside of RNN it works with its averages alone.
    "BatchNormLSTMCell": LayerCase(
        setups={
            "frozen": LayerSetup(
                {**BATCH_NORM_LSTM, "max_steps": 2, "trainable": False},
                (3, 4, 2),
            ),
        },
        bad_arguments=BAD_BATCH_NORM_LSTM,
        passes_mask=True,
    ),
    "CosineDense": LayerCase(
        setups={
            "cosine": LayerSetup({"units": 5}, (3, 6)),
            "steps": LayerSetup(
                {
                    "units": 4,
                    "activation": "tanh",
                    "kernel_initializer": "orthogonal",
                },
                (3, 5, 6),
            ),
        },
        bad_arguments=(
            (
                {"units": 0},
                "Invalid value for argument `units`: expected a positive "
                "integer. Received: units=0",
            ),
            (
                {"units": 2.5},
                "Invalid value for argument `units`: expected a positive "
                "integer. Received: units=2.5",
            ),
            (
                {"activation": "softest"},
                "Invalid value for argument `activation`: expected None or a "
                "Keras activation. Received: activation='softest'",
            ),
            (
                {"kernel_initializer": "cosine"},
                "Invalid value for argument `kernel_initializer`: expected a "
                "Keras initializer. Received: kernel_initializer='cosine'",
            ),
            (
                {"kernel_initializer": None},
                "Invalid value for argument `kernel_initializer`: expected a "
                "Keras initializer. Received: kernel_initializer=None",
            ),
        ),
        passes_mask=True,
    ),
    "CoupledGateLSTMCell": LayerCase(
        setups={
            "other activations": LayerSetup(GATED_LSTM_CELL, (3, 4, 2)),
            "no bias": LayerSetup({"units": 4, "use_bias": False}, (4, 3, 3)),
        },
        bad_arguments=BAD_GATED_LSTM_CELL,
        passes_mask=True,
    ),
    "DropBlock2D": LayerCase(
        setups={
            "channels last": LayerSetup(
                {"rate": 0.3, "block_size": 2, "seed": 7},
                (3, 6, 5, 4),
            ),
            "channels first": LayerSetup(
                {
                    "rate": 0.3,
                    "block_size": 3,
                    "data_format": "channels_first",
                },
                (3, 4, 6, 5),
            ),
            "smaller than the block": LayerSetup(
                {"rate": 0.3},
                (3, 2, 9, 8),
            ),
        },
        bad_arguments=(
            (
                {"rate": -0.1},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=-0.1",
            ),
            (
                {"rate": 1.0},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=1.0",
            ),
            (
                {"rate": float("nan")},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=nan",
            ),
            (
                {"rate": "half"},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate='half'",
            ),
            (
                {"rate": True},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=True",
            ),
            (
                {"block_size": 0},
                "Invalid value for argument `block_size`: expected a positive "
                "integer. Received: block_size=0",
            ),
            (
                {"block_size": 2.5},
                "Invalid value for argument `block_size`: expected a positive "
                "integer. Received: block_size=2.5",
            ),
            (
                {"data_format": "NHWC"},
                "Invalid value for argument `data_format`: expected None or "
                "one of ('channels_last', 'channels_first'). Received: "
                "data_format='NHWC'",
            ),
            (
                {"seed": -1},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=-1",
            ),
            (
                {"seed": 1.5},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=1.5",
            ),
        ),
        passes_mask=True,
    ),
    "DropConnectDense": LayerCase(
        setups={
            "per example": LayerSetup(
                {"units": 5, "rate": 0.3, "seed": 7},
                (3, 6),
            ),
            "per batch, moments": LayerSetup(
                {
                    "units": 5,
                    "mask_mode": "per_batch",
                    "inference": "moments",
                    "activation": "relu",
                },
                (3, 6),
            ),
            "steps, without a bias": LayerSetup(
                {"units": 5, "rate": 0.3, "use_bias": False},
                (3, 4, 6),
            ),
        },
        bad_arguments=(
            (
                {"units": 0},
                "Invalid value for argument `units`: expected a positive "
                "integer. Received: units=0",
            ),
            (
                {"units": 2.5},
                "Invalid value for argument `units`: expected a positive "
                "integer. Received: units=2.5",
            ),
            (
                {"rate": -0.1},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=-0.1",
            ),
            (
                {"rate": 1},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=1",
            ),
            (
                {"rate": None},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=None",
            ),
            (
                {"mask_mode": "per_step"},
                "Invalid value for argument `mask_mode`: expected one of "
                "('per_example', 'per_batch'). Received: mask_mode='per_step'",
            ),
            (
                {"inference": "sample"},
                "Invalid value for argument `inference`: expected one of "
                "('mean', 'moments'). Received: inference='sample'",
            ),
            (
                {"seed": -1},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=-1",
            ),
            (
                {"seed": "0"},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed='0'",
            ),
        ),
        passes_mask=True,
    ),
    "ExpectedCalibrationError": MetricCase(
        setups={
            "classes": MetricSetup(
                {},
                lambda generator, examples: (
                    generator.integers(0, 4, examples),
                    generator.dirichlet(np.ones(4), examples),
                ),
            ),
            "one column of logits": MetricSetup(
                {"bins": 4, "from_logits": True},
                lambda generator, examples: (
                    generator.integers(0, 2, (examples, 1)),
                    generator.normal(size=(examples, 1)),
                ),
            ),
            "soft labels of steps": MetricSetup(
                {"bins": 7},
                lambda generator, examples: (
                    generator.dirichlet(np.ones(3), (examples, 5)),
                    generator.dirichlet(np.ones(3), (examples, 5)),
                ),
            ),
        },
        bad_arguments=(
            (
                {"bins": 0},
                "Invalid value for argument `bins`: expected a positive "
                "integer. Received: bins=0",
            ),
            (
                {"bins": 2.5},
                "Invalid value for argument `bins`: expected a positive "
                "integer. Received: bins=2.5",
            ),
            (
                {"from_logits": 1},
                "Invalid value for argument `from_logits`: expected a "
                "boolean. Received: from_logits=1",
            ),
        ),
    ),
    "GradientNorms": CallbackCase(
        arguments={"data": (np.zeros((3, 2)), np.zeros((3, 1)))},
        bad_arguments=(
            (
                {"data": np.zeros((3, 2))},
                "Invalid value for argument `data`: expected a tuple (x, y) or "
                "(x, y, sample_weight). Received: ndarray",
            ),
            (
                {"data": (np.zeros((3, 2)), np.zeros((2, 1)))},
                "Invalid value for argument `data`: expected arrays with the "
                "same number of examples along the first axis, at least one. "
                "Received: shapes (3, 2), (2, 1)",
            ),
            (
                {"per_variable": 1},
                "Invalid value for argument `per_variable`: expected a "
                "boolean. Received: per_variable=1",
            ),
            (
                {"name": ""},
                "Invalid value for argument `name`: expected a name, a "
                "string. Received: ''",
            ),
        ),
    ),
    "LocalResponseNormalization": LayerCase(
        setups={
            # alpha is far above its default, or no test would notice it.
            "across channels": LayerSetup(
                {"size": 3, "k": 1.5, "alpha": 0.3, "beta": 0.6},
                (3, 4, 5, 7),
            ),
            "across channels, even mean": LayerSetup(
                {"size": 4, "alpha": 0.5, "alpha_mode": "mean"},
                (4, 6),
            ),
            "across channels, channels first": LayerSetup(
                {"alpha": 0.2, "data_format": "channels_first"},
                (3, 7, 5),
            ),
            "within channel": LayerSetup(
                {"region": "within_channel", "alpha": 0.2},
                (3, 7, 5, 2),
            ),
            "within channel, channels first, even mean": LayerSetup(
                {
                    "size": 2,
                    "alpha": 0.7,
                    "region": "within_channel",
                    "alpha_mode": "mean",
                    "data_format": "channels_first",
                },
                (3, 2, 5, 4),
            ),
        },
        bad_arguments=(
            (
                {"size": -1},
                "Invalid value for argument `size`: expected a positive "
                "integer. Received: size=-1",
            ),
            (
                {"size": 0},
                "Invalid value for argument `size`: expected a positive "
                "integer. Received: size=0",
            ),
            (
                {"size": 2.5},
                "Invalid value for argument `size`: expected a positive "
                "integer. Received: size=2.5",
            ),
            (
                {"size": True},
                "Invalid value for argument `size`: expected a positive "
                "integer. Received: size=True",
            ),
            (
                {"k": 0},
                "Invalid value for argument `k`: expected a positive number. "
                "Received: k=0",
            ),
            (
                {"k": float("inf")},
                "Invalid value for argument `k`: expected a positive number. "
                "Received: k=inf",
            ),
            (
                {"alpha": -0.1},
                "Invalid value for argument `alpha`: expected a non-negative "
                "number. Received: alpha=-0.1",
            ),
            (
                {"alpha": "1e-4"},
                "Invalid value for argument `alpha`: expected a non-negative "
                "number. Received: alpha='1e-4'",
            ),
            (
                {"beta": float("nan")},
                "Invalid value for argument `beta`: expected a finite number. "
                "Received: beta=nan",
            ),
            (
                {"beta": None},
                "Invalid value for argument `beta`: expected a finite number. "
                "Received: beta=None",
            ),
            (
                {"region": "channels"},
                "Invalid value for argument `region`: expected one of "
                "('across_channels', 'within_channel'). "
                "Received: region='channels'",
            ),
            (
                {"alpha_mode": None},
                "Invalid value for argument `alpha_mode`: expected one of "
                "('sum', 'mean'). Received: alpha_mode=None",
            ),
            (
                {"data_format": "NHWC"},
                "Invalid value for argument `data_format`: expected None or "
                "one of ('channels_last', 'channels_first'). "
                "Received: data_format='NHWC'",
            ),
        ),
        passes_mask=True,
    ),
    "LocallyConnected1D": LayerCase(
        setups={
            "valid": LayerSetup(
                {"filters": 4, "kernel_size": 3, "activation": "tanh"},
                (3, 8, 5),
            ),
            "same, channels first": LayerSetup(
                {
                    "filters": 4,
                    "kernel_size": 2,
                    "strides": 2,
                    "padding": "same",
                    "data_format": "channels_first",
                    "use_bias": False,
                },
                (3, 5, 7),
            ),
            "with all objects": LayerSetup(
                {
                    "filters": 2,
                    "kernel_size": 4,
                    "kernel_initializer": "he_normal",
                    "bias_initializer": "ones",
                    "kernel_regularizer": "l2",
                    "bias_regularizer": "l1",
                    "kernel_constraint": "max_norm",
                    "bias_constraint": "non_neg",
                },
                (3, 5, 1),
            ),
        },
        bad_arguments=(
            (
                {"filters": 0},
                "Invalid value for argument `filters`: expected a positive "
                "integer. Received: filters=0",
            ),
            (
                {"filters": True},
                "Invalid value for argument `filters`: expected a positive "
                "integer. Received: filters=True",
            ),
            (
                {"kernel_size": -1},
                "Invalid value for argument `kernel_size`: expected a "
                "positive integer. Received: kernel_size=-1",
            ),
            (
                {"kernel_size": (3,)},
                "Invalid value for argument `kernel_size`: expected a "
                "positive integer. Received: kernel_size=(3,)",
            ),
            (
                {"strides": 1.5},
                "Invalid value for argument `strides`: expected a positive "
                "integer. Received: strides=1.5",
            ),
            (
                {"padding": "causal"},
                "Invalid value for argument `padding`: expected one of "
                "('valid', 'same'). Received: padding='causal'",
            ),
            (
                {"data_format": "NWC"},
                "Invalid value for argument `data_format`: expected None or"
                " one of ('channels_last', 'channels_first'). Received: "
                "data_format='NWC'",
            ),
            (
                {"activation": "bend"},
                "Invalid value for argument `activation`: expected None or "
                "an object or name of Keras' activations. Received: "
                "activation='bend'",
            ),
            (
                {"use_bias": 1},
                "Invalid value for argument `use_bias`: expected a boolean."
                " Received: use_bias=1",
            ),
            (
                {"kernel_initializer": None},
                "Invalid value for argument `kernel_initializer`: expected "
                "an object or name of Keras' initializers. Received: "
                "kernel_initializer=None",
            ),
            (
                {"kernel_initializer": "small"},
                "Invalid value for argument `kernel_initializer`: expected "
                "an object or name of Keras' initializers. Received: "
                "kernel_initializer='small'",
            ),
            (
                {"bias_initializer": 3},
                "Invalid value for argument `bias_initializer`: expected an"
                " object or name of Keras' initializers. Received: "
                "bias_initializer=3",
            ),
            (
                {"kernel_regularizer": "L9"},
                "Invalid value for argument `kernel_regularizer`: expected "
                "None or an object or name of Keras' regularizers. "
                "Received: kernel_regularizer='L9'",
            ),
            (
                {"bias_regularizer": 0.1},
                "Invalid value for argument `bias_regularizer`: expected "
                "None or an object or name of Keras' regularizers. "
                "Received: bias_regularizer=0.1",
            ),
            (
                {"kernel_constraint": "short"},
                "Invalid value for argument `kernel_constraint`: expected "
                "None or an object or name of Keras' constraints. Received:"
                " kernel_constraint='short'",
            ),
            (
                {"bias_constraint": 2},
                "Invalid value for argument `bias_constraint`: expected "
                "None or an object or name of Keras' constraints. Received:"
                " bias_constraint=2",
            ),
        ),
        passes_mask=False,
    ),
    "MGUCell": LayerCase(
        setups={
            "other activations": LayerSetup(GATED_CELL, (3, 4, 2)),
            "no bias": LayerSetup({"units": 4, "use_bias": False}, (4, 3, 3)),
        },
        bad_arguments=BAD_GATED_CELL,
        passes_mask=True,
    ),
    "MaskedConv2D": LayerCase(
        setups={
            "mask A": LayerSetup(
                {
                    "filters": 4,
                    "kernel_size": 3,
                    "mask_type": "A",
                    "activation": "tanh",
                },
                (3, 5, 4, 2),
            ),
            "mask B": LayerSetup(
                {
                    "filters": 2,
                    "kernel_size": 5,
                    "use_bias": False,
                    "kernel_initializer": "he_normal",
                },
                (3, 4, 6, 3),
            ),
        },
        bad_arguments=(
            (
                {"filters": 0},
                "Invalid value for argument `filters`: expected a positive "
                "integer. Received: filters=0",
            ),
            (
                {"kernel_size": 2},
                "Invalid value for argument `kernel_size`: expected an odd "
                "positive integer. Received: kernel_size=2",
            ),
            (
                {"kernel_size": -3},
                "Invalid value for argument `kernel_size`: expected an odd "
                "positive integer. Received: kernel_size=-3",
            ),
            (
                {"kernel_size": (3, 3)},
                "Invalid value for argument `kernel_size`: expected an odd "
                "positive integer. Received: kernel_size=(3, 3)",
            ),
            (
                {"mask_type": "C"},
                "Invalid value for argument `mask_type`: expected one of "
                "('A', 'B'). Received: mask_type='C'",
            ),
            (
                {"activation": "bend"},
                "Invalid value for argument `activation`: expected None or a "
                "Keras activation. Received: activation='bend'",
            ),
            (
                {"use_bias": 1},
                "Invalid value for argument `use_bias`: expected a boolean. "
                "Received: use_bias=1",
            ),
            (
                {"kernel_initializer": None},
                "Invalid value for argument `kernel_initializer`: expected a "
                "Keras initializer. Received: kernel_initializer=None",
            ),
        ),
        passes_mask=False,
    ),
    "MonteCarloDropout": LayerCase(
        setups={
            "a mask a unit": LayerSetup({"rate": 0.3, "seed": 7}, (3, 6, 5)),
            "a mask for all steps": LayerSetup(
                # Without a seed, a loaded model would draw other masks.
                {"rate": 0.4, "noise_shape": [None, 1, 5], "seed": 8},
                (3, 6, 5),
            ),
        },
        bad_arguments=(
            (
                {"rate": -0.1},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=-0.1",
            ),
            (
                {"rate": 1.0},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=1.0",
            ),
            (
                {"rate": float("nan")},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=nan",
            ),
            (
                {"rate": "half"},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate='half'",
            ),
            (
                {"rate": True},
                "Invalid value for argument `rate`: expected a number at least "
                "0 and below 1. Received: rate=True",
            ),
            (
                {"noise_shape": 5},
                "Invalid value for argument `noise_shape`: expected None or a "
                "tuple of positive integers and None. Received: "
                "noise_shape=5",
            ),
            (
                {"noise_shape": (3, 0)},
                "Invalid value for argument `noise_shape`: expected None or a "
                "tuple of positive integers and None. Received: "
                "noise_shape=(3, 0)",
            ),
            (
                {"noise_shape": [2.0]},
                "Invalid value for argument `noise_shape`: expected None or a "
                "tuple of positive integers and None. Received: "
                "noise_shape=[2.0]",
            ),
            (
                {"noise_shape": (True,)},
                "Invalid value for argument `noise_shape`: expected None or a "
                "tuple of positive integers and None. Received: "
                "noise_shape=(True,)",
            ),
            (
                {"seed": -1},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=-1",
            ),
            (
                {"seed": 1.5},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=1.5",
            ),
        ),
        passes_mask=True,
        random_at_inference="Each call draws another mask: it is made for that",
    ),
    "MutatedCell": LayerCase(
        setups={
            "first": LayerSetup({"units": 4, "use_bias": False}, (4, 3, 3)),
            "second": LayerSetup({**GATED_CELL, "kind": 2}, (3, 4, 2)),
            "third": LayerSetup({"units": 2, "kind": 3}, (3, 4, 2)),
        },
        bad_arguments=(
            *BAD_GATED_CELL,
            (
                {"kind": 4},
                "Invalid value for argument `kind`: expected 1, 2 or 3. "
                "Received: kind=4",
            ),
        ),
        passes_mask=True,
    ),
    "PeepholeLSTMCell": LayerCase(
        setups={
            "other activations": LayerSetup(
                {**GATED_LSTM_CELL, "peephole_initializer": "ones"}, (3, 4, 2)
            ),
            "no bias": LayerSetup({"units": 4, "use_bias": False}, (4, 3, 3)),
        },
        bad_arguments=(
            *BAD_GATED_LSTM_CELL,
            (
                {"peephole_initializer": "holes"},
                "Invalid value for argument `peephole_initializer`: expected a "
                "Keras initializer. Received: peephole_initializer='holes'",
            ),
        ),
        passes_mask=True,
    ),
    "QRNN": LayerCase(
        setups={
            "three steps": LayerSetup(
                {
                    **POOLED_RNN,
                    "units": 4,
                    "window": 3,
                    "pooling": "ifo",
                    "activation": "softsign",
                    "forget_bias": 1.5,
                    "zoneout": 0.3,
                    "seed": 7,
                },
                (3, 5, 2),
            ),
            "backwards, one step": LayerSetup(
                {
                    "units": 3,
                    "window": 1,
                    "pooling": "f",
                    "return_sequences": True,
                    "go_backwards": True,
                },
                (4, 3, 3),
            ),
        },
        bad_arguments=(
            *BAD_POOLED_RNN,
            (
                {"window": 0},
                "Invalid value for argument `window`: expected a positive "
                "integer. Received: window=0",
            ),
            (
                {"pooling": "of"},
                "Invalid value for argument `pooling`: expected 'f', 'fo' or "
                "'ifo'. Received: pooling='of'",
            ),
            (
                {"activation": "softest"},
                "Invalid value for argument `activation`: expected None or a "
                "Keras activation. Received: activation='softest'",
            ),
            BAD_SRU[0],
            (
                {"zoneout": 1},
                "Invalid value for argument `zoneout`: expected a number at "
                "least 0 and below 1. Received: zoneout=1",
            ),
            (
                {"seed": -1},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=-1",
            ),
        ),
        passes_mask=True,
    ),
    "RWACell": LayerCase(
        setups={
            "other functions": LayerSetup(
                {
                    "units": 3,
                    "activation": "softsign",
                    "kernel_initializer": "he_normal",
                    "recurrent_initializer": "orthogonal",
                },
                (3, 4, 2),
            ),
            "as it is": LayerSetup({"units": 4}, (4, 3, 3)),
        },
        bad_arguments=(
            BAD_GATED_CELL[0],
            (
                {"activation": "softest"},
                "Invalid value for argument `activation`: expected None or a "
                "Keras activation. Received: activation='softest'",
            ),
            (
                {"kernel_initializer": "weighted"},
                "Invalid value for argument `kernel_initializer`: expected a "
                "Keras initializer. Received: kernel_initializer='weighted'",
            ),
            (
                {"recurrent_initializer": None},
                "Invalid value for argument `recurrent_initializer`: expected "
                "a Keras initializer. Received: recurrent_initializer=None",
            ),
        ),
        passes_mask=True,
    ),
    "ResetStates": CallbackCase(
        arguments={"every": 4},
        bad_arguments=(
            (
                {"every": 0},
                "Invalid value for argument `every`: expected a positive "
                "integer or None. Received: every=0",
            ),
            (
                {"every": 2.0},
                "Invalid value for argument `every`: expected a positive "
                "integer or None. Received: every=2.0",
            ),
            (
                {"every": True},
                "Invalid value for argument `every`: expected a positive "
                "integer or None. Received: every=True",
            ),
            (
                {"each_epoch": "always"},
                "Invalid value for argument `each_epoch`: expected a boolean. "
                "Received: each_epoch='always'",
            ),
            (
                {"each_epoch": False, "every": None},
                "Invalid value for argument `each_epoch`: expected True where "
                "`every` is None. Received: each_epoch=False",
            ),
        ),
    ),
    "SRU": LayerCase(
        setups={
            "four parts": LayerSetup(
                {
                    **POOLED_RNN,
                    "units": 4,
                    "forget_bias": 1.5,
                    "highway_bias": -1.0,
                    "recurrent_gates": False,
                },
                (3, 4, 2),
            ),
            "backwards, three parts": LayerSetup(
                {
                    "units": 3,
                    "rescale": False,
                    "return_sequences": True,
                    "go_backwards": True,
                },
                (4, 3, 3),
            ),
        },
        bad_arguments=(*BAD_POOLED_RNN, *BAD_SRU),
        passes_mask=True,
    ),
    "SRUCell": LayerCase(
        setups={
            "four parts": LayerSetup(
                {
                    "units": 4,
                    "forget_bias": 1.5,
                    "highway_bias": -1.0,
                    "recurrent_gates": False,
                },
                (3, 4, 2),
            ),
            "three parts": LayerSetup(
                {"units": 3, "rescale": False}, (4, 3, 3)
            ),
        },
        bad_arguments=(BAD_POOLED_RNN[0], *BAD_SRU),
        passes_mask=True,
    ),
    "StreamingNormalization": LayerCase(
        setups={
            "vectors": LayerSetup(
                {"decay": 0.9, "batch_share": 0.3, "epsilon": 0.01},
                (3, 5),
            ),
            "images, order 1": LayerSetup(
                {"order": 1, "center": False},
                (3, 4, 5, 6),
            ),
            "channels first": LayerSetup(
                {"axis": 1, "scale": False},
                (4, 3, 6),
            ),
        },
        bad_arguments=(
            (
                {"axis": 0},
                "Invalid value for argument `axis`: expected an integer other "
                "than 0. Received: axis=0",
            ),
            (
                {"axis": [1, 2]},
                "Invalid value for argument `axis`: expected an integer other "
                "than 0. Received: axis=[1, 2]",
            ),
            (
                {"decay": 1.0},
                "Invalid value for argument `decay`: expected a number at "
                "least 0 and below 1. Received: decay=1.0",
            ),
            (
                {"decay": float("nan")},
                "Invalid value for argument `decay`: expected a number at "
                "least 0 and below 1. Received: decay=nan",
            ),
            (
                {"batch_share": -0.1},
                "Invalid value for argument `batch_share`: expected a number "
                "from 0 to 1. Received: batch_share=-0.1",
            ),
            (
                {"order": 3},
                "Invalid value for argument `order`: expected one of (1, 2). "
                "Received: order=3",
            ),
            (
                {"order": 2.0},
                "Invalid value for argument `order`: expected one of (1, 2). "
                "Received: order=2.0",
            ),
            (
                {"epsilon": 0},
                "Invalid value for argument `epsilon`: expected a positive "
                "number. Received: epsilon=0",
            ),
            (
                {"epsilon": float("inf")},
                "Invalid value for argument `epsilon`: expected a positive "
                "number. Received: epsilon=inf",
            ),
            (
                {"center": 1},
                "Invalid value for argument `center`: expected a boolean. "
                "Received: center=1",
            ),
            (
                {"scale": None},
                "Invalid value for argument `scale`: expected a boolean. "
                "Received: scale=None",
            ),
        ),
        passes_mask=True,
    ),
    "ValidationF1": CallbackCase(
        arguments={"validation_data": (np.zeros((3, 2)), np.array([0, 1, 1]))},
        bad_arguments=(
            (
                {"validation_data": [1, 2, 3]},
                "Invalid value for argument `validation_data`: expected a "
                "pair (x, y) of arrays. Received: list of length 3",
            ),
            (
                {"average": "median"},
                "Invalid value for argument `average`: expected one of None, "
                "'binary', 'micro', 'macro', 'weighted'. "
                "Received: average='median'",
            ),
            (
                {"threshold": "half"},
                "Invalid value for argument `threshold`: expected a finite "
                "number. Received: threshold='half'",
            ),
            (
                {"scores": ["accuracy"]},
                "Invalid value for argument `scores`: expected a dict of "
                "functions. Received: list",
            ),
            (
                {"output_scores": 1},
                "Invalid value for argument `output_scores`: expected a dict "
                "of functions. Received: int",
            ),
            (
                {"batch_size": 0},
                "Invalid value for argument `batch_size`: expected a positive "
                "integer or None. Received: batch_size=0",
            ),
            (
                {"name": ""},
                "Invalid value for argument `name`: expected a name, a "
                "string. Received: ''",
            ),
        ),
    ),
    "WeightNormalization": LayerCase(
        setups={
            "dense": LayerSetup(
                NewLayer(lambda: keras.layers.Dense(5, "relu")), (3, 6)
            ),
            # No convolution: its own config has tuples, and it has no masks.
            "steps, fixed at one": LayerSetup(
                NewLayer(
                    lambda: keras.layers.Dense(4),
                    train_scale=False,
                    scale_initializer="ones",
                ),
                (3, 5, 2),
            ),
            "LSTM": LayerSetup(
                NewLayer(lambda: keras.layers.LSTM(4, return_sequences=True)),
                (3, 5, 2),
            ),
        },
        bad_arguments=(
            (
                {"layer": 3},
                "Invalid value for argument `layer`: expected a Keras layer. "
                "Received: layer=3",
            ),
            (
                {"train_scale": "yes"},
                "Invalid value for argument `train_scale`: expected a "
                "boolean. Received: train_scale='yes'",
            ),
            (
                {"scale_initializer": "length"},
                "Invalid value for argument `scale_initializer`: expected "
                "None or a Keras initializer. Received: "
                "scale_initializer='length'",
            ),
        ),
        passes_mask=True,
    ),
    "ZoneoutCell": LayerCase(
        setups={
            "LSTM, a rate each": LayerSetup(
                NewLayer(
                    lambda: keras.layers.LSTMCell(3),
                    "cell",
                    rate=[0.3, 0.0],
                    seed=7,
                ),
                (3, 4, 2),
            ),
            "GRU": LayerSetup(
                NewLayer(lambda: keras.layers.GRUCell(4), "cell"), (4, 3, 3)
            ),
        },
        bad_arguments=(
            (
                {"cell": 3},
                "Invalid value for argument `cell`: expected a recurrent cell, "
                "no stack, without dropout of its own. Received: cell=3",
            ),
            (
                {"rate": 1.5},
                "Invalid value for argument `rate`: expected a number from 0 "
                "to 1, or a list of one for each of the cell's 2 states. "
                "Received: rate=1.5",
            ),
            (
                {"rate": [0.5, -0.1]},
                "Invalid value for argument `rate`: expected a number from 0 "
                "to 1, or a list of one for each of the cell's 2 states. "
                "Received: rate=[0.5, -0.1]",
            ),
            (
                {"rate": [0.5]},
                "Invalid value for argument `rate`: expected a number from 0 "
                "to 1, or a list of one for each of the cell's 2 states. "
                "Received: rate=[0.5]",
            ),
            (
                {"seed": -1},
                "Invalid value for argument `seed`: expected None or a "
                "non-negative integer. Received: seed=-1",
            ),
        ),
        passes_mask=True,
    ),
}
