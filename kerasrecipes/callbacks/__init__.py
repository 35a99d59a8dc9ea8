"""Callbacks for `fit`, to be imported from this room."""

from kerasrecipes.callbacks.gradient_norms import GradientNorms
from kerasrecipes.callbacks.reset_states import ResetStates, reset_model_states
from kerasrecipes.callbacks.validation_f1 import ValidationF1

__all__ = ["GradientNorms", "ResetStates", "ValidationF1", "reset_model_states"]
