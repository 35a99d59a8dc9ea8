"""What works on a trained model, to be imported from this room."""

from kerasrecipes.analysis.predict_samples import predict_samples

__all__ = ["predict_samples"]
