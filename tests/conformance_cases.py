"""One entry for each helper class: see `LayerCase` and the other types."""

import numpy as np
from conformance import CallbackCase, LayerCase, LayerSetup

CASES = {
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
}
