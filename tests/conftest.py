"""One engine thread and no chatter, before any test imports Keras."""

import os
import warnings

from kerasrecipes.engine import prepare_engine

prepare_engine()
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

with warnings.catch_warnings():
    # Engines warn about NumPy's and Python's future while they load.
    warnings.simplefilter("ignore")
    import keras  # noqa: F401
