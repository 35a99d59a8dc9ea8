import numpy as np
import pytest

from kerasrecipes.datasets import make_signed_sums


def test_signs_by_hand():
    words, signs = make_signed_sums(200, seed=4)
    assert {len(word) for word in words} == set(range(3, 13))
    assert {*np.concatenate(words)} == set(range(1, 12))
    for word, sign in zip(words, signs, strict=True):
        total = 0
        for one, positive in zip(word, sign, strict=True):
            total += int(one) - 6
            assert positive == (total > 0)


def test_about_half_are_positive():
    _, signs = make_signed_sums(20_000)
    # Sums of zero count as not positive; three standard errors are 0.01.
    share = np.mean([sign[-1] for sign in signs])
    assert 0.45 < share < 0.5


def test_depends_on_the_seed_alone():
    first, second = (make_signed_sums(9, seed=3)[0] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    other = make_signed_sums(9, seed=5)[0]
    assert any(len(a) != len(b) for a, b in zip(first, other, strict=True))


def test_one_length():
    words, signs = make_signed_sums(5, shortest=1, longest=1)
    assert {word.shape for word in words} == {(1,)}
    assert [sign[0] for sign in signs] == [word[0] > 6 for word in words]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sequences": 0}, "`sequences`: expected a positive integer"),
        ({"shortest": 2.5}, "`shortest`: expected a positive integer"),
        ({"longest": 2}, "`longest`: expected an integer not below"),
        ({"seed": -1}, "`seed`: expected a non-negative integer"),
    ],
)
def test_bad_argument(bad, message):
    with pytest.raises(ValueError, match=message):
        make_signed_sums(**{"sequences": 3} | bad)
