"""Makes eeg.csv and monthly_stocks.csv from matplotlib's sample data, and
co2.csv from that of statsmodels.

Run `python data/make_series.py` in a checkout to write them again: from the
same versions of both packages the bytes are the same. Without statsmodels
(`pip install statsmodels`), co2.csv is left as it is. `eeg.md`,
`monthly_stocks.md` and `co2.md` say where the figures come from.
"""

import csv
import importlib.util
import sys
from pathlib import Path

import matplotlib
import numpy as np

SOURCE = Path(matplotlib.get_data_path()) / "sample_data"
_STATSMODELS = importlib.util.find_spec("statsmodels")
# Where statsmodels has its sample data, or None where it is not installed.
CO2_SOURCE = (
    Path(_STATSMODELS.origin).parent / "datasets/co2" if _STATSMODELS else None
)
# The electrodes' names, as matplotlib's example "MRI with EEG" has them.
CHANNELS = ("PG3", "PG5", "PG7", "PG9")
# Seven digits is what the prices' single precision is good for; the last one
# is noise of the adjustment for dividends.
DIGITS = 6


def make_eeg(source=SOURCE):
    """Text of eeg.csv: 800 samples of four channels.

    Four decimals are finer than a converter of 16 bits is over this range,
    from -5.2 to 5.3.

    Args:
        source: path of the folder that has `eeg.dat`.
    """
    samples = np.fromfile(source / "eeg.dat", "<f8").reshape(-1, len(CHANNELS))
    rows = [[f"{value:.4f}" for value in sample] for sample in samples]
    return _text([CHANNELS, *rows])


def make_monthly_stocks(source=SOURCE):
    """Text of monthly_stocks.csv: prices at the start of 390 months.

    Rows on other days than the first of a month are left out: they are empty
    (days of a dividend), or repeat the last month. A row says where its month
    begins, and has the prices of its end.

    Args:
        source: path of the folder that has `Stocks.csv`.
    """
    lines = (source / "Stocks.csv").read_text(encoding="utf-8").splitlines()
    head, *rows = csv.reader(line for line in lines if line[:1] != "#")
    kept = [row for row in rows if row[0].endswith("-01") and any(row[1:])]
    prices = [[_rounded(cell) for cell in row[1:]] for row in kept]
    months = [row[0].removesuffix("-01") for row in kept]
    return _text(
        [
            ["month", *head[1:]],
            *([month, *row] for month, row in zip(months, prices, strict=True)),
        ]
    )


def make_co2(source=CO2_SOURCE):
    """Text of co2.csv: the air's carbon dioxide in 2,225 weeks.

    Weeks without a number are left out.

    Args:
        source: path of the folder that has `co2.csv`.
    """
    lines = (source / "co2.csv").read_text(encoding="ascii").splitlines()
    _, *rows = csv.reader(lines)
    return _text(
        [
            ["week", "co2"],
            *(
                [f"{date[:4]}-{date[4:6]}-{date[6:]}", cell]
                for date, cell in rows
                if cell
            ),
        ]
    )


def _rounded(cell):
    return f"{float(cell):.{DIGITS}g}" if cell else ""


def _text(rows):
    return "".join(",".join(row) + "\n" for row in rows)


def main(folder=None):
    """Writes the files whose sources are installed.

    Args:
        folder: path to write to. Defaults to this file's own folder.
    """
    folder = Path(folder or Path(__file__).parent)
    makers = {"eeg": make_eeg, "monthly_stocks": make_monthly_stocks}
    if CO2_SOURCE:
        makers["co2"] = make_co2
    for name, make in makers.items():
        # Bytes: no system's own ends of lines.
        folder.joinpath(f"{name}.csv").write_bytes(make().encode("ascii"))


if __name__ == "__main__":
    main(*sys.argv[1:])
