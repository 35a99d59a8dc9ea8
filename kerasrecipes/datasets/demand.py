"""Daily demand of several cities, with holidays and labelled anomalies."""

import numpy as np

from kerasrecipes.checks import (
    check_integer,
    check_seed,
    invalid_argument,
    is_number,
)

_YEAR = 365  # days; the calendar has no leap years
_HOLIDAYS = 10  # days a year that are quiet, and as many that are busy
_WEEK = np.array([-0.06, -0.04, 0.0, 0.04, 0.16, 0.12, -0.22])
# Standard deviations of the noise: Monday to Friday, weekend, holiday.
_NOISE = np.array([0.04, 0.08, 0.16])


def make_demand(cities=6, days=1460, anomalies=0.0, seed=0):
    """Trips a day in several cities, which share a calendar and the weather.

    The logarithm of a city's demand on day `t` is a sum of

    - a level (normal, mean 8, standard deviation 1) and a yearly growth
      (uniform from 0 to 0.3);
    - a wave of one year (0.05 to 0.2 high, with a phase of its own), and a
      week that is busiest on Friday and quietest on Sunday, a little
      different in every city;
    - what a holiday does: of 365 days ten are quiet (-0.6 to -0.3 in a city,
      the same on all of them) and ten are busy (0.2 to 0.5). They are drawn
      once and come back every year;
    - the weather, in a city times 0.05 to 0.15: one series for all cities,
      normal with mean 0 and standard deviation 1, and a correlation of 0.7
      from a day to the next;
    - normal noise with a standard deviation of 0.04 from Monday to Friday,
      0.08 at the weekend and 0.16 on holidays.

    Day 0 is a Monday and the first of its year. Years have 365 days.

    Anomalies are episodes that begin on a share of a city's days, at random.
    An episode lasts one day or three, with equal chances, and moves the
    logarithm by 0.1 to 0.4, up or down. Everything else of a seed stays the
    same with them as without.

    Error of the best forecast, which knows all but the noise: an RMSE of
    0.065 of the logarithm over whole years, which is some 6 % of the demand,
    and of 0.055 without the holidays.

    Baseline: an RMSE of 0.216 by the demand a week ago, and of 0.240 by that
    of the day before. Both are means over the seeds 0 to 99, of six cities and
    four years.

    Args:
        cities: positive integer. Defaults to `6`.
        days: integer of at least 7. Defaults to `1460`, four years.
        anomalies: number from 0 to 1, the share of days on which an episode
            begins. Defaults to `0.0`.
        seed: non-negative integer below 2 ** 32. Equal seeds give equal
            series. Defaults to `0`.

    Returns:
        `demand, signals, is_anomaly`: `demand` is float32 of shape `(cities,
        days)`, positive, as a rule from a hundred to 160,000.
        `signals` is float32 of shape `(days, 12)`, known for every day: seven
        columns that are 1 on their weekday and else 0, Monday first; 1 on a
        quiet and 1 on a busy holiday; the weather; sine and cosine of the
        day's place in the year. `is_anomaly` is bool of shape `(cities,
        days)`.

    Raises:
        ValueError: if an argument is not as described above.
    """
    cities = check_integer("cities", cities, 1, "a positive integer")
    days = check_integer("days", days, 7, "an integer of at least 7")
    if not is_number(anomalies) or not 0 <= anomalies <= 1:
        raise invalid_argument("anomalies", "a number from 0 to 1", anomalies)
    # NumPy keeps the stream of this older generator the same in every version,
    # and recorded results need the same series again.
    generator = np.random.RandomState(check_seed("seed", seed))
    uniform, normal = generator.uniform, generator.normal
    city = (cities, 1)
    day = np.arange(days)
    turn = 2 * np.pi * day / _YEAR
    order = generator.permutation(_YEAR)
    quiet, busy = (
        np.isin(day % _YEAR, order[start : start + _HOLIDAYS])
        for start in (0, _HOLIDAYS)
    )
    weather = _make_weather(normal(size=days))

    level = normal(8, 1, city) + uniform(0, 0.3, city) * day / _YEAR
    wave = uniform(0.05, 0.2, city) * np.sin(turn + uniform(0, 2 * np.pi, city))
    week = (_WEEK + normal(0, 0.03, (cities, 7)))[:, day % 7]
    holiday = uniform(-0.6, -0.3, city) * quiet + uniform(0.2, 0.5, city) * busy
    sky = uniform(0.05, 0.15, city) * weather
    kind = np.where(quiet | busy, 2, day % 7 >= 5)
    noise = normal(size=(cities, days)) * _NOISE[kind.astype(int)]

    # Drawn last, so that the rest does not depend on them.
    begins = uniform(size=(cities, days)) < anomalies
    size = uniform(0.1, 0.4, (cities, days))
    size *= np.where(uniform(size=(cities, days)) < 0.5, -1, 1)
    is_long = uniform(size=(cities, days)) < 0.5
    shift = np.zeros((cities, days))
    for late in (2, 1, 0):  # where episodes meet, the newer one counts
        at = np.zeros((cities, days), bool)
        at[:, late:] = (begins & (is_long | (late == 0)))[:, : days - late]
        shift[at] = np.roll(size, late, axis=1)[at]

    demand = np.exp(level + wave + week + holiday + sky + noise + shift)
    signals = np.column_stack(
        [
            np.eye(7)[day % 7],
            quiet,
            busy,
            weather,
            np.sin(turn),
            np.cos(turn),
        ]
    )
    return demand.astype("float32"), signals.astype("float32"), shift != 0


def _make_weather(shocks):
    """An autoregression with a standard deviation of 1, from normal shocks."""
    shocks = np.append(shocks[:1], np.sqrt(1 - 0.7**2) * shocks[1:])
    for day in range(1, len(shocks)):
        shocks[day] += 0.7 * shocks[day - 1]
    return shocks


def make_demand_windows(steps=28, ahead=7, seed=0):
    """Windows of `make_demand`: to learn, held out, to test, and with labels.

    Six cities have four years of days: two to learn, one held out, and one to
    test. A window has `steps` days that are known and the days after them. Its
    first column is the logarithm of the demand, less that of its first day, so
    that large and small cities are the same; behind it are the twelve signals.

    To test there is every eighth day of the last year, and a second set: 60
    days in a row of each city, city by city, out of the same series with
    anomalies, which begin on 3 % of the days and are in the known days as well.

    Baseline: an RMSE of 0.211 on `test` by the day a week before, the mean
    over the seeds 0 to 29.

    Args:
        steps: integer from 1 to 300, the days that are known. Defaults to
            `28`.
        ahead: integer from 1 to 300, the days behind them, in windows to
            learn. All others have one. Defaults to `7`.
        seed: non-negative integer below 2 ** 32. Equal seeds give equal
            windows. Defaults to `0`.

    Returns:
        `learned, held_out, test, odd, labels`: `learned` is float32 of shape
        `(n, steps + ahead, 13)`, the next three are float32 of shape `(n,
        steps + 1, 13)`, and `labels` is bool of shape `(360,)`, whether the
        last day of a window of `odd` is an anomaly.

    Raises:
        ValueError: if an argument is not as described above.
    """
    steps, ahead = (
        check_integer(name, value, 1, "an integer from 1 to 300", 300)
        for name, value in (("steps", steps), ("ahead", ahead))
    )
    both = []
    for share in (0.0, 0.03):
        demand, signals, is_anomaly = make_demand(anomalies=share, seed=seed)
        signals = np.broadcast_to(signals, (*demand.shape, signals.shape[1]))
        logs = np.log(demand)[..., np.newaxis]
        both.append(np.concatenate([logs, signals], axis=-1))
    clean, odd = both
    start = 3 * _YEAR + 30 * (seed % 10)
    windows = [
        _cut(clean, steps, steps, 2 * _YEAR - ahead + 1, ahead),
        _cut(clean, steps, 2 * _YEAR, 3 * _YEAR)[::2],
        _cut(clean, steps, 3 * _YEAR, 4 * _YEAR)[::8],
        _cut(odd, steps, start, start + 60),
    ]
    for window in windows:
        window[..., 0] -= window[:, :1, 0]
    return *windows, is_anomaly[:, start : start + 60].ravel()


def _cut(series, steps, start, end, ahead=1):
    """Windows whose first day ahead is from `start` to before `end`."""
    days = np.arange(start, end)[:, np.newaxis] + np.arange(-steps, ahead)
    return series[:, days].reshape(-1, steps + ahead, series.shape[-1])
