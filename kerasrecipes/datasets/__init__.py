"""Real data that needs no network, in ten disjoint test folds."""

from kerasrecipes.datasets.bundled import (
    data_hash,
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from kerasrecipes.datasets.folds import FOLDS

__all__ = [
    "FOLDS",
    "data_hash",
    "load_breast_cancer",
    "load_diabetes",
    "load_digits",
    "load_iris",
    "load_wine",
]
