"""The docstrings: what is read, which words it has, and what is said of it."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from sklearn.naive_bayes import MultinomialNB

from kerasrecipes.datasets import FOLDS, data_hash, docstrings, load_docstrings
from kerasrecipes.datasets.docstrings import read_docstrings
from kerasrecipes.datasets.folds import fold_indices

DISTRIBUTIONS = ("keras", "matplotlib", "numpy", "scikit-learn")
HASH = "b56cf939ff6d5e28845c6a639134b4a8144fe5833199c0c0dcf39bf45253a8b9"


def stated(what):
    """The number that the docstring gives for `what`."""
    pattern = rf"{what}: an accuracy of ([\d.]*\d)"
    return float(re.search(pattern, load_docstrings.__doc__)[1])


def count_words(x, words):
    """How often each word of the vocabulary occurs, in every row."""
    counts = np.zeros((len(x), words))
    np.add.at(counts, (np.arange(len(x))[:, np.newaxis], x), 1)
    return counts[:, 2:]


def skip_with_other_versions():
    lines = Path(__file__).parents[2].joinpath("constraints.txt").read_text()
    pinned = dict(re.findall(r"(?m)^([\w-]+)==(\S+)", lines))
    for name in DISTRIBUTIONS:
        if version(name) != pinned[name]:
            pytest.skip(f"{name} is not the version of the recorded results")


# ----------------------------------------------------------------------
# What is read


def test_as_many_of_each_package():
    texts, y = read_docstrings()
    assert texts.shape == y.shape == (4000,)
    np.testing.assert_array_equal(np.bincount(y), [1000] * 4)


def test_texts_are_words_without_the_answer():
    texts, _ = read_docstrings()
    words = [text.split() for text in texts.tolist()]
    lengths = [len(found) for found in words]
    assert (min(lengths), max(lengths)) == (8, 100)
    assert re.fullmatch(rb"[a-z ]+", b" ".join(texts.tolist()))
    known = {word.decode() for found in words for word in found}
    assert not known & {"keras", "matplotlib", "numpy", "np", "sklearn"}
    assert {"array", "layer", "axes", "estimator"} <= known


def test_half_of_the_texts_are_as_short_as_stated():
    (middle,) = re.findall(
        r"half\s+of them have (\d+)\s+words or fewer", load_docstrings.__doc__
    )
    skip_with_other_versions()
    lengths = [len(text.split()) for text in read_docstrings()[0].tolist()]
    assert np.median(lengths) == int(middle)


def test_no_two_texts_begin_alike():
    texts, _ = read_docstrings()
    openings = [tuple(text.split()[:10]) for text in texts.tolist()]
    assert len(set(openings)) == len(openings)


def test_a_known_docstring_is_there():
    texts, y = read_docstrings()
    opening = b"compute the eigenvalues and right eigenvectors of a square"
    (place,) = np.flatnonzero(np.char.startswith(texts, opening))
    assert docstrings.PACKAGES[y[place]] == "numpy"


def test_hash_is_that_of_the_recorded_results():
    skip_with_other_versions()
    assert data_hash("docstrings") == HASH


def test_the_packages_are_not_imported():
    """Nor is Keras: none of its engines starts, nothing is drawn."""
    script = (
        "import sys\n"
        "from kerasrecipes.datasets import data_hash\n"
        "print(data_hash('docstrings'))\n"
        "print('keras' in sys.modules, 'matplotlib' in sys.modules)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = data_hash("docstrings")
    assert answer.stdout.split() == [here, "False", "False"]


SOURCE = '''
"""About the module."""

if True:
    def hidden():
        """Not looked for."""

class Bowl:
    """About the class."""

    size = """Not a docstring."""

    def fill(self):
        """About the method."""
        def inner():
            """About the inner function."""

    def empty(self): return "nothing said"

async def wait():
    """About the coroutine."""
'''


def test_docstrings_of_a_file():
    found = list(docstrings._documentation(ast.parse(SOURCE)))
    assert found == [
        "About the module.",
        "About the class.",
        "About the method.",
        "About the inner function.",
        "About the coroutine.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Mix two bowls.\n\nBoth are float32.\n\nArgs:\n    one: A bowl.",
        "Mix two bowls.\nBoth are float32.\n\nParameters\n----------\none : x",
        "Mix two bowls.\n\nBoth are float32.\n\n  Input shape:\n    (3, 4)",
        "Mix two bowls.\n>>> mix(one)\n3\n\nBoth are float32.",
        "Mix two\n.. versionadded:: 2.0\nbowls.\n```python\nm()\n```\n"
        "Both are NumPy float32.",
    ],
)
def test_words_of_a_description(text):
    assert " ".join(docstrings._words(text)) == "mix two bowls both are float"


# ----------------------------------------------------------------------
# Folds and vocabulary


def test_shapes_types_and_ranges():
    (x_train, y_train), (x_test, y_test) = load_docstrings()
    assert x_train.shape == (3600, 32) and x_test.shape == (400, 32)
    for x, y in [(x_train, y_train), (x_test, y_test)]:
        assert x.dtype == y.dtype == "int32"
        assert y.shape == (len(x),)
        np.testing.assert_array_equal(np.bincount(y), [len(x) // 4] * 4)
    assert (x_train.min(), x_train.max()) == (0, 1999)


def test_words_come_first_and_zeros_behind():
    (x, _), _ = load_docstrings()
    is_word = x > 0
    assert is_word[:, :8].all()
    assert (is_word[:, :-1] >= is_word[:, 1:]).all()


def load_by_hand(examples, fold, length, words):
    """The same from a counter, a word at a time."""
    texts, y = read_docstrings()
    texts = [text.split()[:length] for text in texts.tolist()]
    parts = fold_indices(y, examples, fold)
    counts = Counter(word for index in parts[0] for word in texts[index])
    order = sorted(counts, key=lambda word: (-counts[word], word))
    vocabulary = ["", "unknown", *order][:words]
    coded = []
    for part in parts:
        rows = []
        for index in part:
            row = [
                vocabulary.index(word) if word in vocabulary else 1
                for word in texts[index]
            ]
            rows.append(row + [0] * (length - len(row)))
        coded.append((np.array(rows), y[part]))
    return coded


@pytest.mark.parametrize(
    ("examples", "fold", "length", "words"),
    [(40, 0, 32, 2000), (200, 13, 5, 50), (7, 2, 100, 3), (30, 1, 1, 10**6)],
)
def test_equals_a_loader_by_hand(examples, fold, length, words):
    expected = load_by_hand(examples, fold, length, words)
    found = load_docstrings(examples, fold, length=length, words=words)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_ten_seeds_test_on_every_docstring_once():
    """The length and the first two words of a text tell it well enough."""
    texts, y = read_docstrings()
    lengths = [len(text.split()) for text in texts.tolist()]
    found = Counter()
    for fold in range(FOLDS):
        _, (x, labels) = load_docstrings(fold=fold, length=100)
        found.update(zip((x > 0).sum(1).tolist(), labels.tolist(), strict=True))
    assert found == Counter(zip(lengths, y.tolist(), strict=True))


def test_no_word_of_the_test_part_is_learned(monkeypatch):
    texts, y = read_docstrings()
    train, test = fold_indices(y, 100, fold=4)
    other = texts.copy()
    other[np.setdiff1d(np.arange(len(y)), train)] = b"zzz zzz"
    before = load_docstrings(100, fold=4)
    monkeypatch.setattr(docstrings, "read_docstrings", lambda: (other, y))
    (x, _), (x_test, _) = load_docstrings(100, fold=4)
    np.testing.assert_array_equal(x, before[0][0])
    np.testing.assert_array_equal(x_test[:, :2], 1)
    assert not x_test[:, 2:].any() and len(x_test) == len(test)


def test_parts_are_fresh_arrays():
    first = load_docstrings(30, 2)
    for part in load_docstrings(30, 2):
        for array in part:
            assert array.flags.writeable and array.flags.c_contiguous
            array[...] = 0
    again = load_docstrings(30, 2)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_stated_chance_level_and_sizes_are_true():
    assert stated("Chance level") == 1 / len(docstrings.PACKAGES)
    assert "from 4 to 3,600," in load_docstrings.__doc__
    assert len(load_docstrings(4)[0][0]) == 4
    assert len(load_docstrings(3600)[0][0]) == 3600


def test_stated_baseline_is_true():
    """Within two docstrings of the whole set, and half of the last digit."""
    skip_with_other_versions()
    scores = []
    for fold in range(FOLDS):
        (x, y), (x_test, y_test) = load_docstrings(fold=fold)
        model = MultinomialNB().fit(count_words(x, 2000), y)
        scores.append(model.score(count_words(x_test, 2000), y_test))
    assert stated("Baseline") == pytest.approx(np.mean(scores), abs=0.001)


# ----------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"length": 0}, "an integer between 1 and 100"),
        ({"length": 101}, "an integer between 1 and 100"),
        ({"length": 2.0}, "an integer between 1 and 100"),
        ({"length": None}, "an integer between 1 and 100"),
        ({"words": 2}, "an integer above 2"),
        ({"words": True}, "an integer above 2"),
        ({"words": "100"}, "an integer above 2"),
        (
            {"examples": 3},
            "an integer between 4 and 3600 (the size of the training part)",
        ),
        (
            {"examples": 3601},
            "an integer between 4 and 3600 (the size of the training part)",
        ),
        ({"fold": -1}, "a non-negative integer below 2 ** 32"),
    ],
)
def test_bad_arguments_are_refused(arguments, expected):
    ((name, value),) = arguments.items()
    message = (
        f"Invalid value for argument `{name}`: expected {expected}. "
        f"Received: {name}={value!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_docstrings(**arguments)
