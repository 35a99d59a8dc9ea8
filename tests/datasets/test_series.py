"""The bundled series: files, hashes, what is read, and what is said of it."""

import importlib.util
import re
from importlib import resources
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from kerasrecipes.datasets import (
    FOLDS,
    data_hash,
    load_co2,
    load_eeg,
    load_monthly_stocks,
    series,
)
from kerasrecipes.datasets.series import SERIES, read_series

ROOT = Path(__file__).parents[2]
SAMPLES = Path(matplotlib.get_data_path()) / "sample_data"
STATSMODELS = importlib.util.find_spec("statsmodels")
HASHES = {
    "co2": "aa5acfed4f58c1828f01e0012cee15c040bec6830bc22e4759010587aacbd3db",
    "eeg": "19fea506f13583a0ef8c9c1975b6881c336121ffffff1e77279deb5d14b06148",
    "monthly_stocks": (
        "d8b9faf1596a21a82648fd57e01959a487c051e2c635d3655ebbf5b320e22716"
    ),
}
# The files that they are made of; statsmodels may not be installed.
MADE_OF = {
    "co2": (
        Path(STATSMODELS.origin if STATSMODELS else "none").parent
        / "datasets/co2/co2.csv"
    ),
    "eeg": SAMPLES / "eeg.dat",
    "monthly_stocks": SAMPLES / "Stocks.csv",
}
OWNERS = {"co2": "statsmodels'"}

every_series = pytest.mark.parametrize("name", SERIES)
every_loader = pytest.mark.parametrize(
    "load", [load_co2, load_eeg, load_monthly_stocks]
)


def data_file(name):
    return resources.files("kerasrecipes.data") / name


def stated(load, what):
    """The first number that a docstring gives for `what`."""
    text = " ".join(load.__doc__.split())
    return float(re.search(rf"{what}: .*?RMSE of ([\d.]*\d)", text)[1])


def rmse(errors):
    return np.sqrt(np.mean(np.square(errors, dtype="float64")))


# ----------------------------------------------------------------------
# The files


@pytest.fixture(scope="module")
def script():
    """data/make_series.py, which an installed package has as well."""
    path = data_file("make_series.py")
    found = importlib.util.spec_from_file_location("make_series", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@every_series
def test_the_script_gives_the_same_bytes(script, name, tmp_path):
    if not MADE_OF[name].exists():
        pytest.skip(f"there is no {MADE_OF[name].name} here to make it of")
    script.main(tmp_path)
    made = (tmp_path / f"{name}.csv").read_bytes()
    there = data_file(f"{name}.csv").read_bytes().replace(b"\r\n", b"\n")
    assert made == there


@every_series
def test_a_text_beside_it_says_where_it_is_from(name):
    text = data_file(f"{name}.md").read_text(encoding="utf-8")
    for heading in ("Origin", "Units", "What was done", "Licence", "Hashes"):
        assert f"**{heading}" in text
    assert f"| {name}.csv | {SERIES[name]} |" in text
    source = MADE_OF[name]
    if source.exists():
        content = source.read_bytes()
        digest = series.hashlib.sha256(content).hexdigest()
        owner = OWNERS.get(name, "matplotlib's")
        assert f"| {owner} {source.name} | {digest} |" in text


def test_weeks_without_a_number_are_left_out(script, tmp_path):
    text = "date,co2\n19580329,316.1\n19580405,\n19580412,317.6\n"
    (tmp_path / "co2.csv").write_text(text)
    made = script.make_co2(tmp_path)
    assert made == "week,co2\n1958-03-29,316.1\n1958-04-12,317.6\n"


def test_the_eeg_is_matplotlibs_to_four_decimals():
    source = SAMPLES / "eeg.dat"
    if not source.exists():
        pytest.skip("this matplotlib comes without eeg.dat")
    raw = np.fromfile(source, "<f8").reshape(800, 4)
    (samples,) = read_series("eeg")
    # Half of the last decimal, and float32 beside it.
    np.testing.assert_allclose(samples, raw, rtol=1e-7, atol=0.5001e-4)


@every_series
def test_it_is_installed_with_the_package(name):
    """setup.cfg's patterns reach the file, its text and the script."""
    patterns = (ROOT / "setup.cfg").read_text().split("kerasrecipes.data =")
    assert {"*.csv", "*.md"} <= set(patterns[-1].split())
    assert data_file(f"{name}.csv").is_file()


@every_series
def test_hash_is_that_of_the_recorded_results(name):
    assert data_hash(name) == HASHES[name]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in place of data/, with caches that know nothing."""
    monkeypatch.setattr(series.resources, "files", lambda package: tmp_path)
    caches = series._rows, read_series
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    for cache in caches:
        cache.cache_clear()


@every_series
def test_a_missing_file(name, folder):
    message = f"{folder / name}.csv is missing: install kerasrecipes again."
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        read_series(name)


@every_series
def test_a_damaged_file(name, folder):
    path = folder / f"{name}.csv"
    path.write_bytes(b"month,a\n1990-01,1\n")
    message = (
        f"{path} is damaged: install kerasrecipes again. Its SHA-256 is "
        "c50f59e9117997b95e0f7ea12fe7412efd020d2fdf53c027f99dd60acc3569bb, "
        f"expected {SERIES[name]}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        read_series(name)


@every_series
def test_another_systems_ends_of_lines_are_no_damage(name, folder):
    content = (ROOT / "data" / f"{name}.csv").read_bytes()
    content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    (folder / f"{name}.csv").write_bytes(content)
    assert data_hash(name) == HASHES[name]


# ----------------------------------------------------------------------
# The EEG


@pytest.mark.parametrize("fold", [0, 4, 9, 17])
@pytest.mark.parametrize(("steps", "every"), [(20, 1), (7, 3), (79, 1)])
def test_windows_of_the_eeg(fold, steps, every):
    """None of them reaches across the edge of the test block."""
    (samples,) = read_series("eeg")
    rows = {row.tobytes(): place for place, row in enumerate(samples)}
    assert len(rows) == 800, "samples tell where a window is from"
    seen = []
    for x, y in load_eeg(steps, every, fold=fold):
        assert x.dtype == y.dtype == "float32"
        assert x.shape == y.shape == (len(x), steps, 4)
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
        places = [
            [rows[row.tobytes()] for row in window]
            for window in np.concatenate([x, y[:, -1:]], axis=1)
        ]
        assert np.all(np.diff(places) == 1)
        seen.append(np.array(places))
    train, test = seen
    block = range(80 * (fold % 10), 80 * (fold % 10) + 80)
    assert np.isin(test, block).all()
    assert not np.isin(train, block).any()
    assert len(test) == len(range(0, 80 - steps, every))
    before, after = block.start, 800 - block.stop
    assert len(train) == sum(
        len(range(0, max(length - steps, 0), every))
        for length in (before, after)
    )


def test_ten_seeds_test_on_the_whole_eeg():
    (samples,) = read_series("eeg")
    tested = np.concatenate(
        [
            np.append(x[:, 0], y[-1], axis=0)
            for x, y in (load_eeg(1, fold=fold)[1] for fold in range(FOLDS))
        ]
    )
    np.testing.assert_array_equal(tested, samples)


def test_the_eeg_has_the_unit_that_is_stated():
    (samples,) = read_series("eeg")
    np.testing.assert_allclose(samples.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(samples.std(0), 1, atol=3e-3)
    assert samples.min() == pytest.approx(-5.2, abs=0.05)
    assert samples.max() == pytest.approx(5.3, abs=0.05)
    assert stated(load_eeg, "Chance level") == 1.0


def test_stated_baselines_of_the_eeg_are_true():
    still, linear = [], []
    for fold in range(FOLDS):
        (x, y), (x_test, y_test) = load_eeg(steps=4, fold=fold)
        ridge = Ridge(alpha=1.0).fit(x.reshape(len(x), -1), y[:, -1])
        said = ridge.predict(x_test.reshape(len(x_test), -1))
        linear.append(rmse(said - y_test[:, -1]))
        still.append(rmse(x_test[:, -1] - y_test[:, -1]))
    assert stated(load_eeg, "Baseline") == round(np.mean(still), 3)
    # Another linear algebra library may round otherwise.
    assert np.mean(linear) == pytest.approx(0.414, abs=0.001)
    assert "0.414" in load_eeg.__doc__


@pytest.mark.parametrize("steps", [0, 80, -1, 2.0, True, None])
def test_steps_are_checked(steps):
    message = (
        "Invalid value for argument `steps`: expected an integer from 1 to "
        f"79. Received: steps={steps!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_eeg(steps)


@pytest.mark.parametrize("every", [0, -1, 1.5, False])
def test_every_is_checked(every):
    message = (
        "Invalid value for argument `every`: expected a positive integer. "
        f"Received: every={every!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_eeg(every=every)


# ----------------------------------------------------------------------
# The stocks


def test_months_and_prices():
    (months, prices), (last, last_prices) = load_monthly_stocks(fold=9)
    months = np.concatenate([months, last])
    prices = np.concatenate([prices, last_prices])
    assert months.dtype == "datetime64[M]" and prices.dtype == "float32"
    assert prices.shape == (390, 10)
    assert str(months[0]) == "1990-01" and str(months[-1]) == "2022-06"
    assert np.all(np.diff(months) == 1)
    assert np.nanmin(prices) > 0
    columns = series._columns("monthly_stocks")[1:]
    listed = {"AMZN": "1997-06", "DELL": "2016-09", "GOOGL": "2004-09"}
    for name, column in zip(columns, prices.T, strict=True):
        there = np.flatnonzero(~np.isnan(column))
        assert np.all(np.diff(there) == 1), "no gap after the first price"
        assert str(months[there[0]]) == listed.get(name, "1990-01")


def test_prices_are_those_of_a_months_end():
    """The S&P 500 closed at 1,469.25 on the last day of 1999."""
    (months, prices), _ = load_monthly_stocks(["^GSPC"], fold=0)
    assert str(months[-1]) == "1999-12"
    assert prices[-1, 0] == 1469.25


def test_folds_walk_forward():
    whole = np.arange("1990-01", "2022-07", dtype="datetime64[M]")
    tested = []
    for fold in range(FOLDS):
        (months, prices), (test, test_prices) = load_monthly_stocks(fold=fold)
        assert (len(prices), len(test_prices)) == (len(months), len(test))
        np.testing.assert_array_equal(
            np.append(months, test), whole[: len(months) + 27]
        )
        tested.append(test)
    np.testing.assert_array_equal(np.concatenate(tested), whole[120:])
    np.testing.assert_array_equal(load_monthly_stocks(fold=13)[1][0], tested[3])


def test_columns_come_as_they_are_named():
    names = ["^IXIC", "IBM"]
    whole, part = load_monthly_stocks(), load_monthly_stocks(names)
    columns = series._columns("monthly_stocks")[1:]
    chosen = [columns.index(name) for name in names]
    np.testing.assert_array_equal(whole[0][1][:, chosen], part[0][1])
    np.testing.assert_array_equal(whole[1][1][:, chosen], part[1][1])


def test_stated_baseline_of_the_stocks_is_true():
    errors = []
    for fold in range(FOLDS):
        parts = load_monthly_stocks(["^GSPC"], fold=fold)
        (_, before), (_, prices) = parts
        steps = np.diff(np.log(np.append(before[-1:], prices)))
        errors.append(rmse(steps))
    stated_error = stated(load_monthly_stocks, "Baseline")
    assert stated_error == round(np.mean(errors), 3)


@pytest.mark.parametrize("names", [["INTC"], ["IBM", "IBM"], [], "IBM", [1]])
def test_names_are_checked(names):
    message = (
        "Invalid value for argument `names`: expected a list of different "
        "names among 'IBM', 'AAPL', 'MSFT', 'XRX', 'AMZN', 'DELL', 'GOOGL', "
        f"'ADBE', '^GSPC', '^IXIC'. Received: names={names!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_monthly_stocks(names)


# ----------------------------------------------------------------------
# Carbon dioxide


def test_weeks_and_concentrations():
    (weeks, co2), (gap_weeks, gap_co2) = load_co2(fold=4)
    assert weeks.dtype == gap_weeks.dtype == "datetime64[D]"
    assert co2.dtype == gap_co2.dtype == "float32"
    assert len(weeks) == len(co2) and len(gap_weeks) == len(gap_co2)
    assert len(weeks) + len(gap_weeks) == 2225
    assert str(weeks[0]) == "1958-03-29" and str(weeks[-1]) == "2001-12-29"
    steps = np.diff(np.sort(np.append(weeks, gap_weeks))).astype(int)
    assert np.all(steps > 0) and np.all(steps % 7 == 0)
    # Saturdays: day 2 since 1970 was the first one.
    assert np.all(weeks.astype(int) % 7 == 2)
    every = np.append(co2, gap_co2)
    assert (every.min(), every.max()) == pytest.approx((313.0, 373.9))


def test_gaps_are_four_whole_years_within_the_series():
    every = np.concatenate(load_co2()[0][:1] + load_co2()[1][:1])
    missed = []
    for fold in range(FOLDS):
        (weeks, _), (gap_weeks, _) = load_co2(fold=fold)
        years = np.unique(gap_weeks.astype("datetime64[Y]").astype(int) + 1970)
        first = 1960 + 4 * fold
        np.testing.assert_array_equal(years, first + np.arange(4))
        before, after = (
            (weeks < gap_weeks[0]).sum(),
            (weeks > gap_weeks[-1]).sum(),
        )
        assert before + after == len(weeks) and min(before, after) > 70
        together = np.sort(np.append(weeks, gap_weeks))
        np.testing.assert_array_equal(together, np.sort(every))
        missed.append(gap_weeks)
    assert len(np.unique(np.concatenate(missed))) == sum(map(len, missed))
    np.testing.assert_array_equal(load_co2(fold=13)[1][0], missed[3])


def test_stated_errors_for_the_gaps_are_true():
    straight, linear = [], []
    for fold in range(FOLDS):
        (weeks, co2), (gap_weeks, gap_co2) = load_co2(fold=fold)
        years, gap = (w.astype(float) / 365.25 for w in (weeks, gap_weeks))
        straight.append(rmse(np.interp(gap, years, co2) - gap_co2))

        def describe(t):
            turns = [2 * np.pi * t, 4 * np.pi * t]
            waves = [wave(a) for a in turns for wave in (np.sin, np.cos)]
            return np.stack([t - 10, (t - 10) ** 2, *waves], axis=1)

        model = LinearRegression().fit(describe(years), co2)
        linear.append(rmse(model.predict(describe(gap)) - gap_co2))
    assert stated(load_co2, "Chance level") == round(np.mean(straight), 3)
    assert np.mean(linear) == pytest.approx(0.877, abs=0.001)
    assert stated(load_co2, "Baseline") == 0.877


# ----------------------------------------------------------------------
# All of them


@every_loader
@pytest.mark.parametrize("fold", [-1, 1.0, True, 2**32])
def test_folds_are_checked(load, fold):
    message = (
        "Invalid value for argument `fold`: expected a non-negative integer "
        f"below 2 ** 32. Received: fold={fold!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(fold=fold)


@every_loader
def test_writing_into_one_answer_leaves_the_others_alone(load):
    first = [array.copy() for part in load(fold=2) for array in part]
    arrays = [array for part in load(fold=2) for array in part]
    for number, array in enumerate(arrays):
        assert array.flags.c_contiguous
        array[...] = np.zeros(1, array.dtype)
        later = slice(number + 1, None)
        for other, kept in zip(arrays[later], first[later], strict=True):
            np.testing.assert_array_equal(other, kept)
    again = [array for part in load(fold=2) for array in part]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
