"""English text as characters, to be read and written one by one."""

import numpy as np

from kerasrecipes.checks import check_integer
from kerasrecipes.datasets.docstrings import read_docstrings
from kerasrecipes.datasets.folds import fold_indices

CHARACTERS = "\n abcdefghijklmnopqrstuvwxyz"
"""What texts are made of, each character at the place of its number."""
_VALIDATION = 400  # docstrings


def load_characters(length=100_000, fold=0):
    """Docstrings of four packages as running text, character by character.

    The texts are those of `load_docstrings`, 4,000 of them with 196 characters
    on average: words in small letters, without signs and digits. Here they
    stand one after another in random order, each in a line of its own. The
    parts are whole docstrings, a tenth of each package to test on, a tenth of
    all to validate, and of the other eight tenths the first `length`
    characters to train on.

    A character is its place in `CHARACTERS`: 0 ends a line, 1 is the space,
    and 2 to 27 are the letters from `a` to `z`. There are no others, in any
    part.

    Chance level: 4.81 bits a character, `log2(28)`, and 4.15 bits by the
    share of each character in the training text.

    Baseline: 1.984 bits a character by `NGramModel(train, order=5)` of
    `kerasrecipes.analysis` after 100,000 characters, the mean over the folds 0
    to 9.

    Args:
        length: positive integer, characters of the training text. A shorter
            text is the beginning of a longer one of its fold. Defaults to
            `100_000`.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.

    Returns:
        `train, validation, test`: int32 arrays from 0 to 27 of rank 1, the
        first of the shape `(length,)` and the others of about 80,000
        characters.

    Raises:
        ValueError: if an argument is no integer or out of range.
    """
    texts, y = read_docstrings()
    train, test = fold_indices(y, fold=fold)
    # NumPy keeps the stream of this older generator the same in every version.
    test = np.random.RandomState(fold).permutation(test)
    parts = train[_VALIDATION:], train[:_VALIDATION], test
    train, validation, test = (_codes(texts[part]) for part in parts)
    most = len(train)
    expected = (
        f"an integer between 1 and {most} (the size of the training part)"
    )
    check_integer("length", length, 1, expected, most)
    return train[:length].copy(), validation, test


def _codes(texts):
    """The characters of texts, each with the end of its line behind it."""
    joined = b"".join(text + b"\n" for text in texts.tolist())
    code = np.zeros(256, "int32")
    code[list(CHARACTERS.encode())] = np.arange(len(CHARACTERS))
    return code[np.frombuffer(joined, "uint8")]
