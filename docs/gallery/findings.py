"""What a recipe's recording found, as parts of its page."""

import html

from gallery.entries import ENGINES, Entry
from gallery.markup import (
    bar,
    effect_and_interval,
    figure,
    heading,
    indented,
    page_link,
    raw,
    verdict,
)
from kerasrecipes.catalogue import Recipe


def chips(recipe: Recipe) -> str:
    """HTML of a recipe's chapter, level and backends."""
    words = [recipe.chapter, recipe.level]
    words += [ENGINES[name] for name in recipe.backends]
    found = "".join(f'<span class="chip">{word}</span>' for word in words)
    return f'<p class="chips">{found}</p>'


def claim_rows(claims: list[dict]) -> str:
    """HTML rows of claims, with verdict, effect, interval and n."""
    rows = []
    for claim in claims:
        effect, interval = effect_and_interval(claim)
        rows.append(
            f"<tr><td>{html.escape(claim['text'])}"
            f'<div class="measured">{html.escape(measured(claim))}</div></td>'
            f"<td>{verdict(claim['outcome'])}</td>"
            f'<td class="number">{effect}</td>'
            f'<td class="number">{interval}</td>'
            f'<td class="number">{claim["n"]}</td></tr>'
        )
    return "\n".join(rows)


def measured(claim: dict) -> str:
    """What a claim's effect is, and why there is no verdict on it.

    That an interval contains its border can be seen beside it.
    """
    reason = claim["reason"]
    if not reason or reason.startswith("the interval"):
        return claim["measured"]
    return f"{claim['measured']}: {reason}"


def claim_table(claims: list[dict]) -> str:
    """HTML of a table of claims."""
    head = "".join(
        f"<th>{name}</th>"
        for name in ("claim", "verdict", "effect", "95 % interval", "n")
    )
    return (
        f'<table class="table claims"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{claim_rows(claims)}\n</tbody></table>"
    )


def findings(entry: Entry) -> str:
    """The box with a recipe's verdicts and figures."""
    exact = [claim for claim in entry.claims if claim["exact"]]
    others = [claim for claim in entry.claims if not claim["exact"]]
    parts = [".. rubric:: What was found\n", raw(bar(entry.claims))]
    for path in entry.figures:
        image = indented(figure(path, entry.recipe.title))
        parts.append(f".. container:: scroll\n\n{image}\n")
    if others:
        parts.append(raw(claim_table(others)))
    if exact:
        held = sum(claim["outcome"] == "supported" for claim in exact)
        is_open = "" if held == len(exact) else " open"
        parts.append(
            raw(
                f'<details class="exact"{is_open}><summary>What must hold '
                f"exactly: {held} of {len(exact)} do</summary>\n"
                f"{claim_table(exact)}\n</details>"
            )
        )
    parts.append(
        "A verdict is about this data and this network: see "
        f"{page_link('how verdicts are made', 'verdicts')}.\n"
    )
    box = indented("\n".join(parts))
    return f".. container:: findings\n\n{box}\n"


def other_backends(entry: Entry) -> str:
    """The verdicts side by side, where several backends were recorded."""
    if len(entry.results) < 2:
        return ""
    names = [*entry.results]
    head = ["claim", *(ENGINES[name] for name in names)]
    lines = ["".join(f"<th>{name}</th>" for name in head)]
    for claim in entry.claims:
        cells = [html.escape(claim["text"])]
        for results in entry.results.values():
            same = [c for c in results["claims"] if c["text"] == claim["text"]]
            said = [
                f"{verdict(one['outcome'])}<div class='measured'>"
                f"{' '.join(effect_and_interval(one)).removesuffix(' –')}</div>"
                for one in same
            ]
            cells.append("".join(said) or "–")
        lines.append("".join(f"<td>{cell}</td>" for cell in cells))
    rows = "\n".join(f"<tr>{line}</tr>" for line in lines[1:])
    table = (
        '<div class="scroll"><table class="table">'
        f"<thead><tr>{lines[0]}</tr></thead>\n<tbody>\n{rows}\n"
        "</tbody></table></div>"
    )
    return f"{heading('On other backends')}\n{raw(table)}"
