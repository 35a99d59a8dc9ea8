"""One engine thread and no chatter, before any test imports Keras."""

import os
import warnings

import pytest

from kerasrecipes.engine import prepare_engine

prepare_engine()
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

with warnings.catch_warnings():
    # Engines warn about NumPy's and Python's future while they load.
    warnings.simplefilter("ignore")
    import keras

    # Keras looks once whether TensorFlow can be seeded, and remembers it: now,
    # and not in a test that hides modules.
    keras.utils.set_random_seed(0)


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="count a skipped test as failed, so that no peer is forgotten",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
    return report
