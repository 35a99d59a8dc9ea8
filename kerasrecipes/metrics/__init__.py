"""What a model is judged by, to be imported from this room."""

from kerasrecipes.metrics.expected_calibration_error import (
    ExpectedCalibrationError,
)

__all__ = ["ExpectedCalibrationError"]
