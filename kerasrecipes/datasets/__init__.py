"""Data that needs no network: real sets in ten folds, and generators."""

from kerasrecipes.datasets.adding_problem import make_adding_problem
from kerasrecipes.datasets.additions import make_additions
from kerasrecipes.datasets.bundled import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from kerasrecipes.datasets.characters import CHARACTERS, load_characters
from kerasrecipes.datasets.clips import load_digit_clips
from kerasrecipes.datasets.cluttered_digits import load_cluttered_digits
from kerasrecipes.datasets.copy_memory import make_copy_memory
from kerasrecipes.datasets.demand import make_demand, make_demand_windows
from kerasrecipes.datasets.distant_cue import cut_windows, make_distant_cue
from kerasrecipes.datasets.docstrings import load_docstrings
from kerasrecipes.datasets.eeg_ahead import load_eeg_ahead
from kerasrecipes.datasets.expressions import (
    expression_signs,
    make_expressions,
)
from kerasrecipes.datasets.folds import FOLDS
from kerasrecipes.datasets.gratings import make_gratings
from kerasrecipes.datasets.hashes import data_hash
from kerasrecipes.datasets.hidden_motif import make_hidden_motifs
from kerasrecipes.datasets.imbalance import sample_rows, step_counts
from kerasrecipes.datasets.photo_patches import make_photo_patches
from kerasrecipes.datasets.sequential_digits import load_sequential_digits
from kerasrecipes.datasets.series import (
    load_co2,
    load_eeg,
    load_monthly_stocks,
)
from kerasrecipes.datasets.signed_sums import make_signed_sums
from kerasrecipes.datasets.two_sided import (
    make_marked_words,
    make_share_of_sum,
)

__all__ = [
    "CHARACTERS",
    "FOLDS",
    "cut_windows",
    "data_hash",
    "expression_signs",
    "load_breast_cancer",
    "load_characters",
    "load_cluttered_digits",
    "load_co2",
    "load_diabetes",
    "load_digit_clips",
    "load_digits",
    "load_docstrings",
    "load_eeg",
    "load_eeg_ahead",
    "load_iris",
    "load_monthly_stocks",
    "load_sequential_digits",
    "load_wine",
    "make_adding_problem",
    "make_additions",
    "make_copy_memory",
    "make_demand",
    "make_demand_windows",
    "make_distant_cue",
    "make_expressions",
    "make_gratings",
    "make_hidden_motifs",
    "make_marked_words",
    "make_photo_patches",
    "make_share_of_sum",
    "make_signed_sums",
    "sample_rows",
    "step_counts",
]
