"""Reports as text: for a terminal, and as Markdown for a code host."""

import math
import re
from collections.abc import Iterator

COLOURS = {"supported": "green", "contradicted": "red"}
# What a terminal shows in place of LaTeX's commands.
SIGNS = {
    r"\\+[lc]?dots": "...",
    r"\\+lVert": "‖",
    r" *\\+rVert": "‖",
    r"\\+odot": "⊙ ",
    r"\\+leftarrow": "← ",
    r"\\+pm": "± ",
    r"\^\\+top": "ᵀ ",
    r"\\+nabla": "∇",
    r"\\+partial *": "∂",
    r"\\+approx": "≈ ",
    r"\\+infty": "∞ ",
    r"\\+prod": "Π",
    r"\\+sum": "Σ",
    r"\\+cdot": "· ",
    r"\\+le": "<= ",
}
# Marks that stand above the letter before them.
ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303"}


def short(value: float, beside: float = 0.0) -> str:
    """A number with three significant digits, and a true minus sign.

    Args:
        value: the number.
        beside: a larger number beside it, whose decimals it takes.
    """
    size = max(abs(value), abs(beside))
    if value == int(value) and abs(value) < 1e5:
        text = f"{int(value):,}"
    elif not 1e-3 <= size < 1e5:
        text = f"{value:.2e}"
    else:
        digits = 2 - math.floor(math.log10(size))
        text = f"{value:,.{min(max(digits, 0), 4)}f}"
    return text.replace("-", "−")


def table_lines(rows: list[list[str]]) -> list[str]:
    """A table of text cells, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [c.ljust(w) for c, w in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    rule = "  ".join("-" * width for width in widths)
    return [lines[0], rule, *lines[1:]]


def claim_numbers(claim: dict) -> str:
    """Effect, interval and n of a claim, as a reader sees them."""
    if claim["effect"] is None:
        return f"{claim['measured']}: not measured"
    ends = [claim["low"], claim["high"]] if claim["low"] is not None else []
    most = max(map(abs, ends), default=0.0)
    text = f"{claim['measured']}: {short(claim['effect'], most)}"
    if ends:
        text += f" [{', '.join(short(end, most) for end in ends)}]"
    return f"{text}, n = {claim['n']}"


def report_lines(
    report: dict, recorded: dict | None = None
) -> Iterator[tuple[str, str]]:
    """A report as lines of text, each with the colour of its outcome.

    Args:
        report: what `Report.to_dict` returns.
        recorded: the recorded report to set beside it, or None.
    """
    before = {c["text"]: c for c in (recorded or {}).get("claims", [])}
    for rows in report["tables"]:
        yield from ((line, "") for line in table_lines(rows))
        yield "", ""
    for number, claim in enumerate(report["claims"], 1):
        yield f"{number}. {claim['text']}", ""
        outcome = f"   {claim['outcome'].upper()}  {claim['words']}"
        yield outcome, COLOURS.get(claim["outcome"], "yellow")
        yield f"   {claim_numbers(claim)}", ""
        if recorded is not None:
            old = before.get(claim["text"])
            text = "not recorded yet"
            if old:
                text = f"recorded: {old['outcome']}"
                if old["low"] is not None:
                    text += f", {claim_numbers(old).rpartition(': ')[2]}"
            yield f"   {text}", ""


def markdown(title: str, report: dict, figures: list[str]) -> str:
    """A report as Markdown, for a reader on a code host.

    Args:
        title: the recipe's title.
        report: what `Report.to_dict` returns.
        figures: file names of the figures.
    """
    parts = [f"# {title}\n"]
    parts += [f"![{title}]({figure})\n" for figure in figures]
    for rows in report["tables"]:
        parts.append(_markdown_table(rows))
    rows = [["claim", "verdict", "measured, with 95 % interval", "meaning"]]
    rows += [
        [c["text"], f"**{c['outcome']}**", claim_numbers(c), c["words"]]
        for c in report["claims"]
    ]
    parts.append(_markdown_table(rows))
    parts.append("A verdict is about this data and this network.\n")
    return "\n".join(parts)


def _markdown_table(rows: list[list[str]]) -> str:
    head, *body = [[c.replace("|", "\\|") for c in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plain_text(story: str) -> str:
    """The story for a terminal: without reStructuredText's marks."""
    story = re.sub(r"(?m)^\.\. math:: *(?=\S)", "   ", story)
    story = re.sub(r"(?m)^\.\. math::\n\n?", "", story)
    story = re.sub(r":\w+:`([^`]*)`", r"\1", story)
    story = re.sub(r"`([^`<]*?) ?<[^`>]*>`_+", r"\1", story)
    return _plain_formulas(story).replace("``", "`").replace("*", "")


def _plain_formulas(story: str) -> str:
    """LaTeX as one would type it; names of Greek letters stay names."""
    story = re.sub(r"\\+(?:[,;!]|q?quad\b|[bB]igg?[lr]?)", "", story)
    for name, sign in SIGNS.items():
        story = re.sub(rf"{name}(?![A-Za-z]) *", sign, story)
    for name, mark in ACCENTS.items():
        letter = r"(?:\{([A-Za-z])\}|([A-Za-z])(?![A-Za-z]))"
        story = re.sub(rf"\\+{name} *{letter}", rf"\1\2{mark}", story)
        story = re.sub(rf"\\+{name} *\\+", f"{name} ", story)
    story = re.sub(
        r"\\+(?:mathrm|operatorname|text) ?(?:\{([^{}]*)\}|(\w+))",
        r"\1\2",
        story,
    )
    story = re.sub(r"([_^])\{(\w+)\}", r"\1\2", story)
    story = re.sub(r"([_^])\{([^{}]*)\}", r"\1(\2)", story)
    one = r"(?:\{([^{}]*)\}|(\w|\\+[a-z]+))"
    for _ in range(2):  # a root of a fraction, or the other way round
        story = re.sub(r"\\+sqrt *\{([^{}]*)\}", r"sqrt(\1)", story)
        story = re.sub(rf"\\+frac\s*{one}\s*{one}", _plain_fraction, story)
    story = re.sub(r"\\+(?:left|right)(?![a-z])", "", story)
    return re.sub(r"\\|(?<!\S)&[ =]", "", story)


def _plain_fraction(found: re.Match) -> str:
    above, below = (
        part if re.fullmatch(r"\\*\w+", part) else f"({part})"
        for part in (found[1] or found[2], found[3] or found[4])
    )
    return f"{above} / {below}"
