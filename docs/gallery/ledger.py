"""The ledger: every claim of every recipe, and what came of it."""

import html

from gallery.entries import Entry
from gallery.markup import (
    counts,
    effect_and_interval,
    html_table,
    raw,
    verdict,
)
from gallery.overview import choice

COLUMNS = (
    "recipe",
    "claim",
    "source in the notes",
    "verdict",
    "effect",
    "95 % interval",
    "n",
)


def row(entry: Entry, claim: dict) -> str:
    """HTML of a claim's row.

    Args:
        entry: its recipe.
        claim: the recorded claim.
    """
    effect, interval = effect_and_interval(claim)
    size = "" if claim["effect"] is None else f"{claim['effect']:.6g}"
    low, high = claim["low"], claim["high"]
    width = "" if low is None else f"{high - low:.6g}"
    kind = "exact" if claim["exact"] else "measured"
    link = f"{entry.page}.html"
    return (
        f'<tr data-chapter="{entry.recipe.chapter}" data-kind="{kind}" '
        f'data-verdict="{html.escape(claim["outcome"])}">'
        f'<td><a href="{link}">{html.escape(entry.recipe.topic)}</a></td>'
        f"<td>{html.escape(claim['text'])}"
        f'<div class="measured">{html.escape(claim["measured"])}</div></td>'
        f'<td class="small">{html.escape(claim["notes"])}</td>'
        f"<td>{verdict(claim['outcome'])}</td>"
        f'<td class="number" data-sort="{size}">{effect}</td>'
        f'<td class="number" data-sort="{width}">{interval}</td>'
        f'<td class="number" data-sort="{claim["n"]}">{claim["n"]}</td></tr>'
    )


def ledger(entries: list[Entry]) -> str:
    """The ledger's filters and its table."""
    chapters = dict.fromkeys(entry.recipe.chapter for entry in entries)
    claims = [claim for entry in entries for claim in entry.claims]
    head = "".join(
        f'<th><button type="button" data-column="{number}">{name}</button></th>'
        for number, name in enumerate(COLUMNS)
    )
    rows = [row(entry, claim) for entry in entries for claim in entry.claims]
    kinds = [("measured", "measured"), ("exact", "must hold exactly")]
    lines = [
        '<form class="filters" data-filters=".ledger tbody tr">',
        choice("verdict", [(name, name) for name in counts(claims)]),
        choice("kind", kinds),
        choice("chapter", [(name, name) for name in chapters]),
        '<label>words <input data-filter="" type="search" '
        'autocomplete="off"></label>',
        '<button type="reset">all</button>',
        '<output aria-live="polite"></output>',
        "</form>",
        '<div class="scroll"><table class="table ledger">',
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody></table></div>",
    ]
    return raw("\n".join(lines))


def expectation(entries: list[Entry]) -> str:
    """The counts, and how many verdicts chance alone makes wrong."""
    claims = [claim for entry in entries for claim in entry.claims]
    exact = [claim for claim in claims if claim["exact"]]
    measured = [claim for claim in claims if not claim["exact"]]
    # An interval without width knows no chance: all differences were zero.
    drawn = [
        claim
        for claim in measured
        if claim["low"] is not None and claim["low"] < claim["high"]
    ]
    names = [*counts(claims)]
    rows = [["", *names, "all"]]
    for words, group in (
        ("measured over seeds", measured),
        ("must hold exactly", exact),
        ("all", claims),
    ):
        found = counts(group)
        cells = [str(found.get(name, 0)) for name in names]
        rows.append([words, *cells, str(len(group))])
    n = len(drawn)
    text = (
        f"{n} of these verdicts rest on an interval that is made to cover the "
        f"truth in 19 of 20 cases: about {n / 20:.0f} of the {n} are expected "
        "to miss it, by chance alone, half of them to either side. A claim "
        "that one thing is higher than another, where they are equal, comes "
        "out as supported in one of 40 cases, and as contradicted in one of "
        f"40: if all {n} claims were like that, about {n / 40:.0f} would be "
        "supported all the same. Which verdicts are false, only a recording "
        "with other seeds can tell."
    )
    return f"{raw(html_table(rows, 'counts'))}\n{text}\n"
