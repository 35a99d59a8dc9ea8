"""Every rule of `diagnose` on curves written by hand, at its borders too."""

import re

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrecipes.analysis import diagnose

E = np.arange(24)
FALLS = np.exp(-E / 4)  # the last third spans 0.016
ZIGZAG = (-1.0) ** E
SHAPES = {
    "plateau": (FALLS, FALLS + 0.02),
    "underfitting": (0.5 + FALLS / 2, 0.52 + FALLS / 2),
    "overfitting": (FALLS, 0.3 + 0.7 * FALLS + 0.02 * E),
    "leak": (FALLS - 0.4 * (1 - FALLS), FALLS - 0.5 * (1 - FALLS)),
    "too low learning rate": (1 - 0.01 * E, 1.01 - 0.01 * E),
    "too high learning rate": (1.1 + 0.05 * ZIGZAG, 1.2 + 0.1 * ZIGZAG),
    "divergence": (1.5**E, 1.6**E),
}
every_shape = pytest.mark.parametrize("case", SHAPES)


def read(loss, val_loss=None, **arguments):
    history = {"loss": loss}
    if val_loss is not None:
        history["val_loss"] = val_loss
    return diagnose(history, **arguments)


def level(at, size=0.0):
    """A training loss that falls from 1 and ends in a tail of this span."""
    falls = at + 0.2 + (0.8 - at) * np.exp(-np.arange(16) / 2)
    return np.concatenate([falls, [at, at + size] * 4])


@every_shape
def test_each_shape_has_its_name(case):
    assert read(*SHAPES[case], chance=1.0) == case


@pytest.mark.parametrize(
    "case",
    [
        "plateau",
        "underfitting",
        "overfitting",
        "too low learning rate",
        "divergence",
    ],
)
def test_the_first_epoch_stands_for_guessing(case):
    assert read(*SHAPES[case]) == case


@every_shape
@given(
    factor=st.floats(1e-6, 1e6),
    shift=st.floats(-5, 5),
    epochs=st.sampled_from([24, 24.0]),
)
@settings(max_examples=25, deadline=None)
def test_the_unit_of_the_loss_does_not_matter(case, factor, shift, epochs):
    curves = [factor * (curve + shift) for curve in SHAPES[case]]
    found = read(
        *curves, chance=factor * (1 + shift), attainable=factor * shift
    )
    assert found == case


@every_shape
def test_lists_histories_and_other_curves(case):
    loss, val_loss = SHAPES[case]
    history = keras.callbacks.History()
    history.history = {
        "accuracy": [None],
        "loss": loss.tolist(),
        "val_loss": val_loss.tolist(),
    }
    assert diagnose(history, chance=1.0) == case


@pytest.mark.parametrize(
    ("left", "case"),
    [
        (0.92, "unclear"),
        (0.88, "underfitting"),
        (0.32, "underfitting"),
        (0.28, "unclear"),
        (0.17, "unclear"),
        (0.13, "plateau"),
        (-0.13, "plateau"),
        (-0.17, "leak"),
    ],
)
def test_how_much_is_left_when_both_are_level(left, case):
    loss = left + (1 - left) * np.exp(-E / 2)
    assert read(loss, loss, chance=1.0) == case


@pytest.mark.parametrize(
    ("size", "case"), [(0.09, "plateau"), (0.11, "unclear")]
)
def test_how_level_is_level(size, case):
    assert read(level(0.0, size), level(0.0), chance=1.0) == case
    assert read(level(0.0), level(0.0, size), chance=1.0) == case


@pytest.mark.parametrize(
    ("apart", "case"),
    [(0.09, "plateau"), (0.11, "unclear"), (0.29, "unclear")],
)
def test_how_near_is_near(apart, case):
    assert read(FALLS, FALLS + apart, chance=1.0) == case


@pytest.mark.parametrize(
    ("behind", "case"), [(0.28, "unclear"), (0.32, "overfitting")]
)
def test_a_validation_loss_that_stays_behind(behind, case):
    assert read(FALLS, FALLS + behind * (1 - FALLS)) == case


@pytest.mark.parametrize(
    ("rise", "case"), [(0.006, "unclear"), (0.014, "overfitting")]
)
def test_a_validation_loss_that_turns(rise, case):
    """From its lowest in epoch 9 the tail's median is 11.5 epochs away."""
    val_loss = 0.15 + np.where(E < 8, 0.05 * (8 - E), rise * (E - 8))
    assert read(FALLS, val_loss, chance=1.0) == case


def test_overfitting_takes_a_falling_training_loss():
    _, val_loss = SHAPES["overfitting"]
    assert read(level(0.2)[::-1], val_loss, chance=1.0) == "unclear"


@pytest.mark.parametrize(
    ("part", "case"), [(0.65, "unclear"), (1.0, "too low")]
)
def test_too_low_is_a_straight_line(part, case):
    slope = np.where(E < 12, 0.01, 0.01 * part)
    loss = 1 - np.cumsum(slope)
    expected = case if case == "unclear" else f"{case} learning rate"
    assert read(loss) == read(loss, loss + 0.01) == expected


def test_too_low_leaves_more_than_half_and_falls_by_half_a_percent():
    assert read(1 - 0.02 * E) == "too low learning rate"
    assert read(1 - 0.03 * E) == "unclear"
    assert read(1 - 0.0005 * E) == "too low learning rate"
    assert read(1 - 0.0003 * E) == "unclear"


def test_too_low_takes_a_validation_loss_that_falls_too():
    loss = 1 - 0.01 * E
    assert read(loss, np.ones(24)) == "unclear"


def test_too_high_stays_worse_than_guessing():
    loss = 1.1 + 0.05 * ZIGZAG
    high = "too high learning rate"
    assert read(loss, chance=1.0) == high
    assert read(loss) == "unclear"  # who knows what guessing is?
    assert read(loss - 0.05, chance=1.0) == "unclear"
    moved = np.where(E == 0, 1.2, 1.1)
    assert read(moved, chance=1.0) == high
    assert read(1.1 + 0.02 * ZIGZAG, chance=1.0) == "unclear"
    assert read(1.5 + 0.01 * E, chance=1.0) == "unclear"
    assert read(3.1 + 0.05 * ZIGZAG, chance=1.0) == "divergence"


@pytest.mark.parametrize("at", [4, 5, 6, 12, 18, 19, 20])
def test_too_high_where_what_was_learned_is_lost(at):
    def lost(bottom):
        low = np.where(at >= E, bottom + 0.01 * ZIGZAG, bottom + 0.5)
        return np.where(E == 0, 1.0, low)

    # Epochs 1 to `at` are low, and 23 - `at` are high.
    found = read(lost(0.3), lost(0.4))
    assert (found == "too high learning rate") == (5 <= at <= 18)
    assert read(lost(0.3), 0.4 + 0.01 * ZIGZAG) == "unclear"


@pytest.mark.parametrize(
    ("end", "case"),
    [
        ([np.inf], "divergence"),
        ([2.9, np.nan], "unclear"),
        ([3.1, np.nan], "divergence"),
        ([np.nan], "unclear"),
        ([-np.inf], "unclear"),
    ],
)
def test_a_loss_that_is_no_number(end, case):
    assert (
        read([1.0, *end]) == read([1.0, *end], [1.0] * (1 + len(end))) == case
    )
    assert read([*FALLS, *end]) == case


def test_divergence_by_numbers():
    spike = np.where(E == 5, 999, 1.0)
    assert read(spike, chance=1.0) == "unclear"
    assert read(np.where(E == 5, 1001, 1.0), chance=1.0) == "divergence"
    assert read(np.linspace(1, 5, 24)) == "divergence"
    assert read(np.linspace(1, 3.2, 24)) == "unclear"
    assert read(np.full(24, 3.1), chance=1.0) == "divergence"


@every_shape
def test_too_few_epochs_are_unclear(case):
    step = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 21, 23]
    loss, val_loss = (np.asarray(curve)[step] for curve in SHAPES[case])
    if case == "too high learning rate":  # whose zigzag needs odd epochs
        loss, val_loss = (np.asarray(curve)[:12] for curve in SHAPES[case])
    assert read(loss, val_loss, chance=1.0) == case
    if loss.max() < 1000:
        assert read(loss[:11], val_loss[:11], chance=1.0) == "unclear"


@pytest.mark.parametrize(
    "case", ["plateau", "underfitting", "overfitting", "leak"]
)
def test_without_validation_these_are_unclear(case):
    loss, val_loss = SHAPES[case]
    assert read(loss, chance=1.0) == "unclear"
    broken = np.where(E == 3, np.nan, val_loss)
    assert read(loss, broken, chance=1.0) == "unclear"


def test_a_leak_is_too_good_for_what_is_attainable():
    assert read(FALLS, FALLS, chance=1.0, attainable=0.2) == "leak"
    assert read(FALLS, FALLS, chance=1.0, attainable=0.1) == "plateau"


def test_noisy_labels_look_like_underfitting_until_one_says_so():
    curves = SHAPES["underfitting"]
    assert read(*curves, chance=1.0) == "underfitting"
    assert read(*curves, chance=1.0, attainable=0.5) == "plateau"


def test_a_start_that_was_not_seen_is_unclear():
    """Most is learned within the first epoch, whose loss is no guessing."""
    loss = 0.3 + 0.15 * np.exp(-3.0 * E)
    assert read(loss, loss) == "unclear"
    assert read(loss, loss, chance=2.3) == "plateau"
    assert read([0.0] * 24, [0.0] * 24) == "unclear"


def noise(seed, epochs, kind):
    generator = np.random.default_rng(seed)
    draws = {
        "uniform": generator.random,
        "normal": lambda shape: 1 + 0.2 * generator.normal(size=shape),
        "faint": lambda shape: 1 + 0.01 * generator.normal(size=shape),
    }
    return draws[kind]((2, epochs))


@given(
    seed=st.integers(0, 2**32 - 1),
    epochs=st.integers(16, 60),
    kind=st.sampled_from(["uniform", "normal", "faint"]),
    is_told=st.booleans(),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_random_noise_is_unclear(seed, epochs, kind, is_told):
    loss, val_loss = noise(seed, epochs, kind)
    chance = float(np.median(loss)) if is_told else None
    assert read(loss, val_loss, chance=chance) == "unclear"
    assert read(loss, chance=chance) == "unclear"


def test_noise_is_named_as_rarely_as_documented():
    """Expected is 0.2 of 2,000; four or more would be a rare accident."""
    named = [
        read(*noise(seed, 12, "uniform")) != "unclear" for seed in range(2000)
    ]
    assert sum(named) <= 3


@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0, 0.01))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_little_noise_changes_no_name(seed, size):
    generator = np.random.default_rng(seed)
    for case in ("plateau", "underfitting", "overfitting", "leak"):
        loss, val_loss = SHAPES[case]
        noisy = loss * (1 + size * generator.uniform(-1, 1, 24))
        noisy_val = val_loss + size * generator.uniform(-1, 1, 24)
        assert read(noisy, noisy_val, chance=1.0) == case


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (None, "`history`: expected a History or a dict"),
        ([1.0], "Received: list"),
        ({"val_loss": [1.0]}, "Received: keys ['val_loss']"),
        ({"loss": []}, "at least one. Received: []"),
        ({"loss": 1.0}, "`loss` as a sequence"),
        ({"loss": ["high"]}, "`loss` as a sequence"),
        ({"loss": [[1.0]]}, "`loss` as a sequence"),
        ({"loss": [1.0, 2.0], "val_loss": [1.0]}, "Received: 1 for 2"),
    ],
)
def test_bad_histories(history, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        diagnose(history)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chance": "two"}, "`chance`: expected None or a finite number"),
        ({"chance": np.nan}, "Received: chance=nan"),
        ({"chance": True}, "Received: chance=True"),
        ({"chance": 0.0}, "above 0.0. Received: chance=0.0"),
        ({"chance": 1.0, "attainable": 1.0}, "above 1.0"),
        ({"attainable": np.inf}, "`attainable`: expected a finite number"),
        ({"attainable": None}, "Received: attainable=None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        diagnose({"loss": FALLS}, **arguments)
