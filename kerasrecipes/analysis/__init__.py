"""What works on a trained model or its history, to be imported from here."""

from kerasrecipes.analysis.epochs_to import epochs_to
from kerasrecipes.analysis.predict_samples import predict_samples

__all__ = ["epochs_to", "predict_samples"]
