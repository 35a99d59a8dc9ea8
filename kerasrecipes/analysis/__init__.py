"""What works on a trained model or its history, to be imported from here."""

from kerasrecipes.analysis.beam_search import beam_search
from kerasrecipes.analysis.diagnose import diagnose
from kerasrecipes.analysis.epochs_to import epochs_to
from kerasrecipes.analysis.find_temperature import find_temperature
from kerasrecipes.analysis.n_gram_model import NGramModel
from kerasrecipes.analysis.predict_samples import predict_samples

__all__ = [
    "NGramModel",
    "beam_search",
    "diagnose",
    "epochs_to",
    "find_temperature",
    "predict_samples",
]
