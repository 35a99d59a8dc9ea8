"""Demand of several cities: what its docstring says is true."""

import hashlib
import re

import numpy as np
import pytest

from kerasrecipes.datasets import make_demand, make_demand_windows

YEAR = 365


@pytest.fixture(scope="module")
def long():
    """Forty years of five cities, for what is true on the average."""
    return make_demand(5, 40 * YEAR, seed=3)


def test_shapes_and_kinds():
    demand, signals, is_anomaly = make_demand(4, 100, seed=1)
    assert demand.shape == (4, 100) and demand.dtype == "float32"
    assert signals.shape == (100, 12) and signals.dtype == "float32"
    assert is_anomaly.shape == (4, 100) and is_anomaly.dtype == bool
    assert demand.min() > 0 and not is_anomaly.any()


def test_calendar():
    _, signals, _ = make_demand(1, 3 * YEAR, seed=2)
    weekday = signals[:, :7].argmax(1)
    np.testing.assert_array_equal(weekday, np.arange(3 * YEAR) % 7)
    np.testing.assert_array_equal(signals[:, :7].sum(1), 1)
    # Ten quiet days and ten busy ones a year, the same ones each year.
    holidays = signals[:, 7:9].reshape(3, YEAR, 2)
    np.testing.assert_array_equal(holidays.sum(1), 10)
    np.testing.assert_array_equal(holidays[0], holidays[2])
    assert not holidays.all(-1).any()
    np.testing.assert_allclose(signals[0, 10:], [0, 1])
    np.testing.assert_allclose(signals[YEAR, 10:], [0, 1], atol=1e-5)


def test_weather(long):
    """Of 14,600 days, as good as 2,600 that are independent."""
    weather = long[1][:, 9].astype(float)
    assert abs(weather.mean()) < 0.1 and abs(weather.std() - 1) < 0.07
    assert abs(np.corrcoef(weather[1:], weather[:-1])[0, 1] - 0.7) < 0.03


def test_noise_by_kind_of_day(long):
    """What a regression on all that is known leaves over."""
    demand, signals, _ = long
    days = np.arange(demand.shape[1])
    x = np.column_stack([signals, days / 1000]).astype(float)
    logs = np.log(demand.astype(float)).T
    left = logs - x @ np.linalg.lstsq(x, logs, rcond=None)[0]
    is_holiday = signals[:, 7:9].any(1)
    is_weekend = (days % 7 >= 5) & ~is_holiday
    working = ~is_holiday & ~is_weekend
    for chosen, deviation in (
        (working, 0.04),
        (is_weekend, 0.08),
        (is_holiday, 0.16),
    ):
        assert abs(left[chosen].std() / deviation - 1) < 0.06
    assert round(left.std(), 3) == 0.065
    assert round(left[~is_holiday].std(), 3) in (0.054, 0.055)


def test_effects(long):
    demand, signals, _ = long
    logs = np.log(demand.astype(float)).T
    days = np.arange(len(logs))
    x = np.column_stack([signals, days / YEAR]).astype(float)
    weights = np.linalg.lstsq(x, logs, rcond=None)[0]
    slack = 0.03
    quiet, busy, sky, sine, cosine, growth = weights[7:]
    assert -0.6 - slack < quiet.min() and quiet.max() < -0.3 + slack
    assert 0.2 - slack < busy.min() and busy.max() < 0.5 + slack
    assert 0.05 - slack < sky.min() and sky.max() < 0.15 + slack
    assert -slack < growth.min() and growth.max() < 0.3 + slack
    wave = np.hypot(sine, cosine)
    assert 0.05 - slack < wave.min() and wave.max() < 0.2 + slack
    assert (weights[:7].argmin(0) == 6).all()
    assert (weights[:7].mean(1).argmax()) == 4


def test_baselines_of_the_docstring():
    errors = []
    for seed in range(100):
        logs = np.log(make_demand(seed=seed)[0].astype(float))
        errors.append(
            [
                np.sqrt(np.mean((logs[:, lag:] - logs[:, :-lag]) ** 2))
                for lag in (7, 1)
            ]
        )
    np.testing.assert_allclose(np.mean(errors, 0), [0.216, 0.240], atol=6e-4)


def test_anomalies_are_all_that_they_change():
    clean, signals, _ = make_demand(20, 2000, seed=4)
    odd, same, labels = make_demand(20, 2000, anomalies=0.02, seed=4)
    np.testing.assert_array_equal(signals, same)
    np.testing.assert_array_equal(clean[~labels], odd[~labels])
    moved = np.log(odd[labels].astype(float)) - np.log(clean[labels])
    assert np.abs(moved).min() > 0.1 - 1e-5
    assert np.abs(moved).max() < 0.4 + 1e-5
    assert 0.45 < np.mean(moved > 0) < 0.55
    # Episodes of one day and of three: two days of each that begins.
    assert abs(labels.mean() - 0.039) < 0.004
    # The three days of an episode move by the same.
    shift = np.log(odd.astype(float)) - np.log(clean)
    same_as_before = np.abs(np.diff(shift, axis=1)) < 1e-5
    runs = (same_as_before & labels[:, 1:])[:, 1:] & same_as_before[:, :-1]
    assert 0.3 < runs.sum() / (0.02 * labels.size) < 0.6


def test_every_day_may_be_an_anomaly():
    assert make_demand(2, 50, anomalies=1)[2].all()
    assert not make_demand(2, 50, anomalies=0)[2].any()


def test_windows():
    seed = 12
    learned, held, test, odd, labels = make_demand_windows(seed=seed)
    assert learned.shape == (6 * (2 * YEAR - 28 - 6), 35, 13)
    assert held.shape == (1095, 29, 13) and test.shape == (274, 29, 13)
    assert odd.shape == (360, 29, 13) and labels.shape == (360,)
    assert {part.dtype.name for part in (learned, held, test, odd)} == {
        "float32"
    }
    demand, signals, _ = make_demand(seed=seed)
    logs = np.log(demand)

    def window(city, day, length=29):  # `day` is the first one ahead
        span = slice(day - 28, day - 28 + length)
        line = logs[city, span] - logs[city, day - 28]
        return np.column_stack([line, signals[span]])

    np.testing.assert_allclose(learned[0], window(0, 28, 35), atol=1e-6)
    np.testing.assert_allclose(learned[-1], window(5, 723, 35), atol=1e-6)
    np.testing.assert_allclose(held[0], window(0, 2 * YEAR), atol=1e-6)
    np.testing.assert_allclose(test[0], window(0, 3 * YEAR), atol=1e-6)
    np.testing.assert_allclose(
        test[46], window(1, 3 * YEAR + 8 * 46 - YEAR), atol=1e-6
    )
    begin = 3 * YEAR + 30 * (seed % 10)
    _, _, is_anomaly = make_demand(anomalies=0.03, seed=seed)
    np.testing.assert_array_equal(
        labels, is_anomaly[:, begin : begin + 60].ravel()
    )
    clean = ~is_anomaly[0, begin - 28 : begin + 1].any()
    if clean:
        np.testing.assert_allclose(odd[0], window(0, begin), atol=1e-6)
    np.testing.assert_array_equal(odd[60, :, 1:], odd[0, :, 1:])


def test_baseline_of_the_windows():
    errors = []
    for seed in range(30):
        test = make_demand_windows(seed=seed)[2]
        errors.append(np.sqrt(np.mean((test[:, -1, 0] - test[:, -8, 0]) ** 2)))
    assert round(np.mean(errors), 3) == 0.211


def test_other_windows():
    learned, held, *_ = make_demand_windows(steps=np.int64(14), ahead=1)
    assert learned.shape[1:] == held.shape[1:] == (15, 13)


def test_series_are_those_of_the_recorded_results():
    """Where this fails, every recorded result must be recorded again."""
    demand, signals, labels = make_demand(2, 30, anomalies=0.1, seed=7)
    # Rounded, as the last digit of a normal number may depend on the machine.
    rounded = np.round(1000 * np.log(demand)).astype("int32")
    columns = np.round(1000 * signals).astype("int32")
    digest = hashlib.sha256(
        rounded.tobytes() + columns.tobytes() + labels.tobytes()
    ).hexdigest()
    assert digest == (
        "02f004bb891c4e5897ba260102e9e63a7cea4a0ebd4ae6e48e5fbfac810194f3"
    )
    again = make_demand(2, 30, anomalies=0.1, seed=np.int64(7))
    np.testing.assert_array_equal(demand, again[0])
    assert not np.array_equal(demand, make_demand(2, 30, 0.1, seed=8)[0])


@pytest.mark.parametrize(
    ("make", "bad", "message"),
    [
        (make_demand, {"cities": 0}, "a positive integer. Received: cities=0"),
        (
            make_demand,
            {"days": 6},
            "an integer of at least 7. Received: days=6",
        ),
        (
            make_demand,
            {"anomalies": 1.5},
            "a number from 0 to 1. Received: anomalies=1.5",
        ),
        (
            make_demand,
            {"anomalies": float("nan")},
            "a number from 0 to 1. Received: anomalies=nan",
        ),
        (
            make_demand,
            {"seed": -1},
            "a non-negative integer below 2 ** 32. Received: seed=-1",
        ),
        (
            make_demand_windows,
            {"steps": 0},
            "an integer from 1 to 300. Received: steps=0",
        ),
        (
            make_demand_windows,
            {"ahead": 301},
            "an integer from 1 to 300. Received: ahead=301",
        ),
        (
            make_demand_windows,
            {"seed": 0.5},
            "a non-negative integer below 2 ** 32. Received: seed=0.5",
        ),
    ],
)
def test_bad_arguments(make, bad, message):
    message = (
        f"Invalid value for argument `{next(iter(bad))}`: expected {message}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(**bad)
