"""The five bundled sets: what their docstrings say of them is true."""

import re
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import sklearn.datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from kerasrecipes import datasets
from kerasrecipes.datasets import FOLDS


class Facts(NamedTuple):
    """What is known of a set from its publication and from scikit-learn."""

    shape: tuple
    range: tuple
    classes: tuple  # members of each class; none for a quantity
    hash: str


SETS = {
    "breast_cancer": Facts(
        (569, 30),
        (0, 4254),
        (212, 357),
        "b874872b81dfcb2824541b484db11724b7ad8e4be4bcf516b5e6d16624253fe8",
    ),
    "diabetes": Facts(
        (442, 10),
        (1, 301),
        (),
        "25100fccba323ff11cbf0507fcf28472640252e17e08166371c4b9555d61b884",
    ),
    "digits": Facts(
        (1797, 8, 8, 1),
        (0, 1),
        (178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
        "814ee0c267782b7881a40d31a1f25f1ccebccc16e302baf9c98058b4fe5f5fb1",
    ),
    "iris": Facts(
        (150, 4),
        (0.1, 7.9),
        (50, 50, 50),
        "9444af256e5ec17f9a7adbfcbd9705085465c223f3d20616d7d0c1e05a404e1e",
    ),
    "wine": Facts(
        (178, 13),
        (0.13, 1680),
        (59, 71, 48),
        "c5869d35c0506e066d550660b1e4363158758d7789c860a723d6f2e2e4b20300",
    ),
}

every_set = pytest.mark.parametrize("name", SETS)
every_set_of_classes = pytest.mark.parametrize(
    "name", [name for name, facts in SETS.items() if facts.classes]
)


def loader(name):
    return getattr(datasets, f"load_{name}")


def raw(name):
    """Inputs as rows and targets, straight from scikit-learn."""
    options = {"scaled": False} if name == "diabetes" else {}
    read = getattr(sklearn.datasets, f"load_{name}")
    x, y = read(return_X_y=True, **options)
    return x / 16 if name == "digits" else x, y


def rows(x, y):
    """Each example as one tuple of numbers, and how often it occurs."""
    flat = x.reshape(len(x), -1)
    return Counter(map(tuple, np.column_stack([flat, y]).tolist()))


def stated(name, what):
    """The number that the docstring gives for `what`."""
    pattern = rf"{what}: an? \w+ of ([\d.]*\d)"
    return float(re.search(pattern, loader(name).__doc__)[1])


def baseline_scores(name):
    """Accuracy, or RMSE for a quantity, of a plain linear model a fold."""
    model = LogisticRegression(max_iter=1000) if SETS[name].classes else Ridge()
    scores = []
    # One thread: for matrices as small as these, more only wait.
    with threadpool_limits(1):
        for fold in range(FOLDS):
            (x, y), (x_test, y_test) = loader(name)(fold=fold)
            # In doubles, so that the solver's last steps do not matter.
            x = x.reshape(len(x), -1).astype("float64")
            x_test = x_test.reshape(len(x_test), -1).astype("float64")
            answer = make_pipeline(StandardScaler(), model).fit(x, y)
            answer = answer.predict(x_test)
            scores.append(
                np.mean(answer == y_test)
                if SETS[name].classes
                else np.sqrt(np.mean((answer - y_test) ** 2))
            )
    return scores


@every_set
def test_shapes_types_and_ranges(name):
    facts = SETS[name]
    (x_train, y_train), (x_test, y_test) = loader(name)(fold=0)
    x = np.concatenate([x_train, x_test])
    y = np.concatenate([y_train, y_test])
    assert x.shape == facts.shape
    assert y.shape == facts.shape[:1]
    assert x.dtype == "float32"
    assert y.dtype == ("int32" if facts.classes else "float32")
    assert (x.min(), x.max()) == pytest.approx(facts.range)
    if facts.classes:
        np.testing.assert_array_equal(np.bincount(y), facts.classes)
    else:
        assert (y.min(), y.max()) == (25, 346)


@every_set
def test_parts_are_fresh_arrays_in_rows(name):
    for part in loader(name)(examples=20):
        for array in part:
            assert array.flags.c_contiguous
            assert array.flags.writeable


@every_set
def test_a_fold_holds_the_raw_examples(name):
    (x_train, y_train), (x_test, y_test) = loader(name)(fold=3)
    x, y = raw(name)
    x, y = x.astype("float32"), y.astype("float32")
    assert rows(x_train, y_train) + rows(x_test, y_test) == rows(x, y)


@every_set
def test_ten_seeds_test_on_the_whole_set(name):
    parts = [loader(name)(fold=fold)[1] for fold in range(FOLDS)]
    x, y = raw(name)
    x, y = x.astype("float32"), y.astype("float32")
    assert sum((rows(*part) for part in parts), Counter()) == rows(x, y)


@every_set
def test_more_examples_add_to_the_fewer(name):
    load = loader(name)
    few, some, whole = (
        rows(*load(examples, fold=7)[0]) for examples in (10, 60, None)
    )
    assert few < some < whole
    assert (few.total(), some.total()) == (10, 60)


@every_set_of_classes
@pytest.mark.parametrize("fold", [0, 9, 25])
def test_every_subset_is_stratified(name, fold):
    """No class is ever a whole example away from its share."""
    load = loader(name)
    whole = load(fold=fold)[0][1]
    shares = np.bincount(whole) / len(whole)
    for examples in range(len(shares), 120):
        counts = np.bincount(load(examples, fold)[0][1])
        assert counts.min() >= 1
        assert np.abs(counts - examples * shares).max() < 1


@every_set
def test_writing_into_one_answer_leaves_the_next_alone(name):
    load = loader(name)
    first = [array.copy() for part in load(30, 2) for array in part]
    for part in load(30, 2):
        for array in part:
            array[...] = 0
    again = [array for part in load(30, 2) for array in part]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert datasets.data_hash(name) == SETS[name].hash


@every_set
def test_training_and_test_part_share_no_memory(name):
    (x_train, y_train), (x_test, y_test) = loader(name)()
    assert not np.shares_memory(x_train, x_test)
    assert not np.shares_memory(y_train, y_test)


def test_flat_digits_are_the_same_pixels():
    grid, flat = (
        datasets.load_digits(50, fold=1, flat=flat) for flat in (False, True)
    )
    for (images, labels), (pixels, same_labels) in zip(grid, flat, strict=True):
        assert pixels.shape == (len(labels), 64)
        np.testing.assert_array_equal(images.reshape(-1, 64), pixels)
        np.testing.assert_array_equal(labels, same_labels)


def test_digits_stand_upright():
    """The rows of an image are those of scikit-learn's own images."""
    images = sklearn.datasets.load_digits().images
    x = datasets.load_digits(fold=0)[0][0]
    known = {image.tobytes() for image in images}
    assert all((16.0 * image).astype(float).tobytes() in known for image in x)


@every_set
def test_hash_is_that_of_the_recorded_results(name):
    assert datasets.data_hash(name) == SETS[name].hash


@pytest.mark.parametrize("name", ["mnist", "", None, ["iris"]])
def test_unknown_names_are_refused(name):
    message = (
        "Invalid value for argument `name`: expected one of 'breast_cancer', "
        "'characters', 'cluttered_digits', 'co2', 'diabetes', 'digit_clips', "
        "'digits', 'docstrings', 'eeg', 'eeg_ahead', 'iris', 'monthly_stocks', "
        "'sequential_digits', 'wine'. "
        f"Received: name={name!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        datasets.data_hash(name)


@every_set
def test_bounds_of_the_training_size_are_as_stated(name):
    load = loader(name)
    sizes = {len(load(fold=fold)[0][0]) for fold in range(FOLDS)}
    smallest, largest = max(1, len(SETS[name].classes)), max(sizes)
    for size in sizes:
        assert f"{size:,}" in load.__doc__
    assert re.search(rf"from {smallest} to\s", load.__doc__)
    fold = next(f for f in range(FOLDS) if len(load(fold=f)[0][0]) == largest)
    for examples in (smallest, largest):
        assert len(load(examples, fold)[0][0]) == examples
    for examples in (smallest - 1, largest + 1):
        message = (
            "Invalid value for argument `examples`: expected an integer "
            f"between {smallest} and {largest} (the size of the training "
            f"part). Received: examples={examples}"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            load(examples, fold)


@every_set
def test_stated_chance_level_is_true(name):
    y = raw(name)[1]
    if SETS[name].classes:
        assert stated(name, "Chance level") == round(
            max(SETS[name].classes) / len(y), 3
        )
    else:
        assert stated(name, "Chance level") == round(y.std(), 1)


@every_set
def test_stated_baseline_is_true(name):
    """Within two examples of the set, or within 0.1 of an RMSE.

    Another linear algebra library may move an example that lies on the
    boundary; half a unit of the last stated digit comes on top.
    """
    facts = SETS[name]
    tolerance = 2 / facts.shape[0] + 0.0005 if facts.classes else 0.1
    measured = np.mean(baseline_scores(name))
    assert stated(name, "Baseline") == pytest.approx(measured, abs=tolerance)
