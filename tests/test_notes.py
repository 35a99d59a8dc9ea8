"""The headings of the notes, which every recipe cites one of."""

import csv
import io
from itertools import groupby
from pathlib import Path

NOTES = Path(__file__).parents[1] / "data" / "notes.csv"

TITLES = [
    "Deep Neural Nets Basics",
    "Deep Learning Models",
    "Everything You Always Wanted to Know About Deep Learning",
    "Deep learning, wiki notes",
]


def text():
    return NOTES.read_bytes().decode("utf-8")


def rows():
    """Title and heading of every row, without the header."""
    return list(csv.reader(io.StringIO(text(), newline=""), strict=True))[1:]


def test_header():
    assert text().splitlines()[0] == "title,heading"


def test_the_four_notes_come_in_their_order():
    assert [title for title, _ in groupby(row[0] for row in rows())] == TITLES


def test_every_row_is_a_title_and_a_heading():
    for row in rows():
        assert len(row) == 2
        assert all(cell and cell == cell.strip() for cell in row)


def test_no_heading_has_a_semicolon():
    """It stands between two citations in the header of a recipe."""
    assert not [heading for _, heading in rows() if ";" in heading]


def test_no_heading_comes_twice():
    """Upper and lower case make no difference: a citation must be plain."""
    headings = [(title, heading.casefold()) for title, heading in rows()]
    assert len(headings) == len(set(headings))


def test_quoted_and_ended_as_csv_should_be():
    """No trailing blanks, one newline a row, quotes only where needed."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerows([["title", "heading"], *rows()])
    assert text() == written.getvalue()
