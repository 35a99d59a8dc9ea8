"""Callbacks for `fit`, to be imported from this room."""

from kerasrecipes.callbacks.validation_f1 import ValidationF1

__all__ = ["ValidationF1"]
