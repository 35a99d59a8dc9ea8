"""The EEG in spans: what is known before, and what the docstring says."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from kerasrecipes.datasets import FOLDS, load_eeg_ahead
from kerasrecipes.datasets.series import read_series

TEXT = " ".join(load_eeg_ahead.__doc__.split())


def test_spans_follow_one_another():
    """Each is what comes next, and together they are the series' half."""
    (samples,) = read_series("eeg")
    spans = []
    for fold in range(FOLDS):
        past, ahead = load_eeg_ahead(fold)
        assert past.shape == (400 + 40 * fold, 4) and ahead.shape == (40, 4)
        assert past.dtype == ahead.dtype == np.float32
        both = np.concatenate([past, ahead])
        np.testing.assert_array_equal(both, samples[: len(both)])
        spans.append(ahead)
    np.testing.assert_array_equal(np.concatenate(spans), samples[400:])


def test_folds_come_again_and_are_copies():
    past, ahead = load_eeg_ahead(3)
    past[:] = ahead[:] = 0
    for one, other in zip(load_eeg_ahead(13), load_eeg_ahead(3), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.any()


@pytest.mark.parametrize("fold", [-1, 0.5, True, None])
def test_bad_folds(fold):
    with pytest.raises(ValueError, match="argument `fold`"):
        load_eeg_ahead(fold)


def rms(errors):
    return np.sqrt(np.mean(np.square(errors)))


def test_the_baselines_of_the_docstring():
    persistence, regression = [], []
    for fold in range(FOLDS):
        past, ahead = load_eeg_ahead(fold)
        changes = np.diff(np.concatenate([past, ahead]), axis=0)
        windows = np.lib.stride_tricks.sliding_window_view(changes, 9, 0)
        known, new = np.split(windows, [len(past) - 9])
        known, new = known.reshape(-1, 9), new.reshape(-1, 9)
        model = LinearRegression().fit(known[:, :-1], known[:, -1])
        assert len(new) == ahead.size
        persistence.append(rms(new[:, -1]))
        regression.append(rms(model.predict(new[:, :-1]) - new[:, -1]))
    stated = re.search(r"RMSE of (0\.\d+) by saying .* of (0\.\d+) by", TEXT)
    found = np.mean(persistence), np.mean(regression)
    assert [f"{value:.3f}" for value in found] == [*stated.groups()]
