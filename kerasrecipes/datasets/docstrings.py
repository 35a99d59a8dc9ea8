"""English text that is there already: docstrings of four packages.

They are read from the installed source files, which are neither imported nor
run.
"""

import ast
import functools
import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np

from kerasrecipes.checks import check_integer
from kerasrecipes.datasets.folds import fold_indices

PACKAGES = ("keras", "matplotlib", "numpy", "sklearn")
EACH = 1000  # docstrings of a package
SHORTEST, LONGEST = 8, 100  # words of a docstring
OPENING = 10  # words; those that share them are copies with a name changed

# Folders of tests, of other people's code, and of wrappers without text.
_SKIPPED = {
    "_build_utils",
    "_pyinstaller",
    "_tf_keras",
    "backend",
    "backends",
    "distutils",
    "externals",
    "f2py",
    "legacy",
    "sphinxext",
    "testing",
    "tests",
}
# An underlined heading, or "Args:" and the like, alone in a line.
_SECTION = re.compile(r"(?m)^ *(?:.+\n *[-=]{3,}|[A-Z]\w*(?: \w+)?:) *$")
_CODE = re.compile(r"(?m)```[^`]*(?:```)?|^ *(?:>>>|\.\.).*$")
# Whoever says a package's name gives the answer away.
_OWN_NAMES = {
    *("keras", "tensorflow", "tf"),
    *("matplotlib", "mpl", "pyplot", "plt"),
    *("numpy", "np"),
    *("sklearn", "scikit", "learn"),
}


def load_docstrings(examples=None, fold=0, length=32, words=2000):
    """Docstrings of four packages, to be told apart by their words.

    The texts are 4,000 docstrings of modules, classes and functions, 1,000 of
    each package, as they are installed. Of a docstring the description is
    taken, which ends at the first heading (`Parameters`, `Args:` and so on),
    as words in small letters, without signs, digits and code examples; half
    of them have 23 words or fewer. The packages' own names are left out, and
    so are docstrings of less than 8 words, or with the same ten first words
    as another one.

    A word is an integer: 0 fills up short texts at their end, 1 is any word
    that is not in the vocabulary, and 2, 3, ... are the vocabulary, the most
    frequent word first. It is made of the training examples that are returned,
    and of no other text.

    Chance level: an accuracy of 0.25, the share of every class.

    Baseline: an accuracy of 0.848, the mean over the folds 0 to 9 of
    scikit-learn's `MultinomialNB()` on the counts of the words, 0 and 1 left
    out.

    Args:
        examples: integer, how many docstrings to train on, from 4 to 3,600,
            the size of the training part. They hold the classes in their
            shares, and a smaller subset lies within every larger one of its
            fold, though its words have other integers. Defaults to `None`:
            all of them.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.
        length: integer, how many words to keep of a docstring, from 1 to 100.
            Defaults to `32`.
        words: integer above 2, the number of different integers: the
            `input_dim` of an embedding, and two more than the vocabulary has
            words. Defaults to `2000`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is int32 in [0, words) of
        shape `(n, length)`; `y` is int32 of shape `(n,)`, the package: 0 Keras,
        1 Matplotlib, 2 NumPy, 3 scikit-learn.

    Raises:
        ValueError: if an argument is no integer or out of range.
    """
    expected = f"an integer between 1 and {LONGEST}"
    check_integer("length", length, 1, expected, LONGEST)
    check_integer("words", words, 3, "an integer above 2")
    texts, y = read_docstrings()
    train, test = fold_indices(y, examples, fold)
    texts = [text.split()[:length] for text in texts.tolist()]
    codes = _vocabulary([texts[index] for index in train], words)
    x = np.zeros((len(texts), length), "int32")
    for row, text in zip(x, texts, strict=True):
        row[: len(text)] = [codes.get(word, 1) for word in text]
    return (x[train], y[train]), (x[test], y[test])


def _vocabulary(texts, words):
    """Integers from 2 on for the most frequent words."""
    found, counts = np.unique(np.concatenate(texts), return_counts=True)
    # Stable, so that the alphabet decides among equally frequent ones.
    order = np.argsort(-counts, kind="stable")[: words - 2]
    return {word: code for code, word in enumerate(found[order].tolist(), 2)}


@functools.cache
def read_docstrings():
    """All texts and their classes, read once in a process and read-only.

    Returns:
        Two arrays of shape `(4000,)`: the words of a docstring as bytes, 100
        at most, separated by spaces; and the class as int32.
    """
    texts, y, openings = [], [], set()
    for label, package in enumerate(PACKAGES):
        taken = 0
        for found in _words_of_docstrings(package):
            opening = tuple(found[:OPENING])
            if len(found) < SHORTEST or opening in openings:
                continue
            openings.add(opening)
            texts.append(" ".join(found[:LONGEST]))
            y.append(label)
            taken += 1
            if taken == EACH:
                break
    arrays = np.array(texts, "bytes"), np.array(y, "int32")
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _words_of_docstrings(package):
    """Words of every docstring of a package, as lists, file after file."""
    # The package is looked for, and not imported.
    folder = Path(importlib.util.find_spec(package).origin).parent
    names = [path.relative_to(folder) for path in folder.rglob("*.py")]
    names = [
        name
        for name in names
        if not _SKIPPED.intersection(name.parts)
        and not name.stem.endswith("_test")
    ]
    # In an order that mixes the topics and is the same everywhere: those who
    # need a part of the docstrings need not read all files.
    for name in sorted(names, key=_mixed):
        for text in _documentation(ast.parse((folder / name).read_bytes())):
            yield _words(text)


def _mixed(name):
    return hashlib.sha256(name.as_posix().encode()).digest()


def _documentation(node):
    """The docstrings of a syntax tree, from top to bottom."""
    text = ast.get_docstring(node)
    if text:
        yield text
    for child in node.body:
        if isinstance(
            child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            yield from _documentation(child)


def _words(text):
    """The words of a docstring's description."""
    description = _SECTION.split(text, maxsplit=1)[0]
    found = re.findall("[a-z]+", _CODE.sub(" ", description).lower())
    return [word for word in found if word not in _OWN_NAMES]
