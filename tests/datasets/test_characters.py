"""Text as characters: whose text it is, how it is cut, what is said of it."""

import re

import numpy as np
import pytest

from kerasrecipes.analysis import NGramModel
from kerasrecipes.datasets import (
    CHARACTERS,
    FOLDS,
    characters,
    data_hash,
    load_characters,
)
from kerasrecipes.datasets.docstrings import read_docstrings
from kerasrecipes.datasets.folds import fold_indices

HASH = "b56cf939ff6d5e28845c6a639134b4a8144fe5833199c0c0dcf39bf45253a8b9"
DOC = " ".join(load_characters.__doc__.split())


def lines_of(part):
    text = "".join(CHARACTERS[code] for code in part)
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.mark.parametrize("fold", [0, 13])
def test_parts_are_whole_docstrings(fold):
    texts, y = read_docstrings()
    (most,) = re.findall(r"between 1 and (\d+)", refused(10**9, fold))
    train, validation, test = map(lines_of, load_characters(int(most), fold))
    assert (len(train), len(validation), len(test)) == (3200, 400, 400)
    known = sorted(text.decode() for text in texts.tolist())
    assert sorted(train + validation + test) == known
    _, expected = fold_indices(y, fold=fold)
    assert sorted(test) == sorted(texts[index].decode() for index in expected)


def refused(length, fold=0):
    with pytest.raises(ValueError) as caught:
        load_characters(length, fold)
    return str(caught.value)


def test_types_and_sizes():
    for part in load_characters():
        assert part.dtype == "int32" and part.ndim == 1
        assert part.flags.writeable and part.flags.c_contiguous
        assert (part.min(), part.max()) == (0, 27)
    assert len(load_characters()[0]) == 100_000
    lengths = [len(text) + 1 for text in read_docstrings()[0].tolist()]
    assert int(re.search(r"with (\d+) characters", DOC)[1]) == round(
        np.mean(lengths)
    )
    for fold in range(FOLDS):
        for part in load_characters(1, fold)[1:]:
            assert len(part) == pytest.approx(80_000, rel=0.1)


def test_a_shorter_text_is_the_beginning():
    long, short = load_characters(5000, 3), load_characters(40, 3)
    np.testing.assert_array_equal(long[0][:40], short[0])
    for one, other in zip(long[1:], short[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_test_text_mixes_the_packages():
    """In the order of the set the packages would come one after another."""
    texts, y = read_docstrings()
    classes = dict(zip(texts.tolist(), y.tolist(), strict=True))
    _, _, test = load_characters(fold=2)
    labels = [classes[line.encode()] for line in lines_of(test)]
    changes = np.count_nonzero(np.diff(labels))
    assert 250 < changes < 350


def test_fresh_arrays():
    load_characters(50, 1)[2][:] = 0
    assert load_characters(50, 1)[2].any()


def test_stated_chance_level_is_true():
    train, _, test = load_characters()
    assert f"{np.log2(len(CHARACTERS)):.2f} bits a character, `log2(28)`" in DOC
    shares = np.bincount(train, minlength=28) / len(train)
    stated = float(re.search(r"and ([\d.]+) bits by the share", DOC)[1])
    assert -np.log2(shares[test]).mean() == pytest.approx(stated, abs=0.01)


def test_stated_baseline_is_true():
    if data_hash("characters") != HASH:
        pytest.skip("not the text of the recorded results")
    found = []
    for fold in range(FOLDS):
        train, _, test = load_characters(fold=fold)
        found.append(NGramModel(train, 5, 28).bits(test).mean())
    stated = float(re.search(r"Baseline: ([\d.]+) bits", DOC)[1])
    assert np.mean(found) == pytest.approx(stated, abs=0.001)


def test_hash_is_that_of_the_docstrings():
    assert data_hash("characters") == data_hash("docstrings")


@pytest.mark.parametrize("length", [0, -1, 2.0, True, None, 10**9])
def test_bad_lengths(length):
    expected = (
        "Invalid value for argument `length`: expected an integer between 1 "
        r"and 6\d\d\d\d\d \(the size of the training part\). "
        f"Received: length={re.escape(repr(length))}"
    )
    assert re.fullmatch(expected, refused(length))


def test_bad_fold():
    with pytest.raises(ValueError, match="argument `fold`: expected a non-neg"):
        load_characters(fold=-1)


def test_every_character_has_its_place():
    assert characters.CHARACTERS == "\n abcdefghijklmnopqrstuvwxyz"
    texts = np.array([b"ab z", b"y"])
    np.testing.assert_array_equal(
        characters._codes(texts), [2, 3, 1, 27, 0, 26, 0]
    )
