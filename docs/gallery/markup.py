"""Small pieces of reStructuredText and HTML that several pages are made of."""

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from kerasrecipes.text import short

# The verdicts from the best for a claim to the worst, as a reader meets them.
OUTCOMES = (
    "supported",
    "smaller than claimed",
    "no difference",
    "inconclusive",
    "contradicted",
)


def heading(text: str, mark: str = "-") -> str:
    """A heading, underlined by a character.

    Args:
        text: the heading.
        mark: the character; it stands for the heading's level.
    """
    return f"{text}\n{mark * len(text)}\n"


def escape(text: str) -> str:
    """Plain text as reStructuredText that means nothing but itself."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def raw(text: str) -> str:
    """HTML within reStructuredText."""
    lines = "\n".join(f"   {line}" for line in text.splitlines())
    return f".. raw:: html\n\n{lines}\n"


def indented(text: str, spaces: int = 3) -> str:
    """A text with spaces before each of its lines."""
    return "\n".join(
        f"{' ' * spaces}{line}" if line else "" for line in text.splitlines()
    )


def code(text: str, language: str = "python") -> str:
    """A block of code.

    Args:
        text: the code.
        language: what it is written in.
    """
    return f".. code-block:: {language}\n\n{indented(text.strip(chr(10)))}\n"


def page_link(text: str, page: str) -> str:
    """A link to a page of the gallery.

    Args:
        text: what the reader sees.
        page: the page's name, from the root of the documentation.
    """
    return f":doc:`{re.sub(r'([<>`])', '', text)} </{page}>`"


def slug(text: str) -> str:
    """A verdict or another name as a CSS class."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def figure(path: Path, title: str, target: str = "") -> str:
    """A recorded figure as it stands on a page.

    Args:
        path: its file below data/results.
        title: the recipe's title.
        target: address that a click leads to; none by default.
    """
    place = "/".join(path.parts[-2:])
    lines = [
        f".. image:: /../data/results/{place}",
        f"   :alt: Figure of the recorded results: {title}",
        "   :loading: lazy",
    ]
    if target:
        lines.append(f"   :target: {target}")
    return "\n".join(lines) + "\n"


def toctree(caption: str, names: list[str]) -> str:
    """A part of the navigation, which the page itself does not show.

    Args:
        caption: its heading.
        names: the pages.
    """
    lines = "\n".join(f"   {name}" for name in names)
    return f".. toctree::\n   :hidden:\n   :caption: {caption}\n\n{lines}\n"


# Verdicts


def verdict(outcome: str) -> str:
    """HTML of a verdict: a coloured word."""
    name = html.escape(outcome)
    return f'<span class="verdict {slug(outcome)}">{name}</span>'


def counts(claims: Iterable[dict]) -> dict[str, int]:
    """How many claims have each verdict, in the order of `OUTCOMES`."""
    found = Counter(claim["outcome"] for claim in claims)
    order = [*OUTCOMES, *sorted(found.keys() - set(OUTCOMES))]
    return {name: found[name] for name in order if found[name]}


def count_words(claims: Iterable[dict]) -> str:
    """The verdicts' counts in words: "5 supported, 1 contradicted"."""
    found = counts(claims)
    return ", ".join(f"{n} {outcome}" for outcome, n in found.items())


def bar(claims: Sequence[dict]) -> str:
    """HTML of the verdicts at a glance: a bar of colours, and its words."""
    if not claims:
        return '<div class="at-a-glance">not recorded yet</div>'
    parts = "".join(
        f'<span class="{slug(outcome)}" style="flex-grow: {n}"></span>'
        for outcome, n in counts(claims).items()
    )
    words = html.escape(count_words(claims))
    return (
        f'<div class="at-a-glance"><div class="bar" aria-hidden="true">{parts}'
        f"</div>{words}</div>"
    )


def effect_and_interval(claim: dict) -> tuple[str, str]:
    """A claim's effect and interval as a reader sees them.

    Args:
        claim: a recorded claim.

    Returns:
        Two texts; a dash where there is no such number.
    """
    if claim["effect"] is None:
        return "–", "–"
    ends = [claim["low"], claim["high"]] if claim["low"] is not None else []
    most = max(map(abs, ends), default=0.0)
    interval = ", ".join(short(end, most) for end in ends)
    return short(claim["effect"], most), f"[{interval}]" if ends else "–"


# Tables


def html_table(rows: list[list[str]], name: str = "") -> str:
    """HTML of a table whose first row is its head.

    Args:
        rows: the cells, as plain text.
        name: a CSS class.
    """
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    lines = ["<tr>" + "".join(f"<th>{c}</th>" for c in head) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in body
    ]
    return (
        f'<div class="scroll"><table class="table {name}">\n'
        f"<thead>{lines[0]}</thead>\n<tbody>\n"
        + "\n".join(lines[1:])
        + "\n</tbody></table></div>"
    )
