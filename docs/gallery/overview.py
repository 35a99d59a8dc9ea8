"""The gallery's cards, the index by question, and the counts."""

import html
from collections.abc import Iterable

from gallery.entries import ENGINES, Entry
from gallery.markup import (
    bar,
    escape,
    figure,
    heading,
    page_link,
    raw,
    toctree,
)
from kerasrecipes.catalogue import LEVELS


def card(entry: Entry) -> str:
    """A recipe in the gallery: thumbnail, title, level, verdicts."""
    recipe = entry.recipe
    data = {
        "chapter": recipe.chapter,
        "level": recipe.level,
        "backends": " ".join(recipe.backends),
        "symbols": " ".join(entry.symbols),
    }
    marks = "".join(
        f' data-{name}="{html.escape(value)}"' for name, value in data.items()
    )
    engines = ", ".join(ENGINES[name] for name in recipe.backends)
    parts = [raw(f'<article class="recipe-card"{marks}>')]
    for path in entry.figures[:1]:
        parts.append(figure(path, recipe.title, f"{recipe.name}.html"))
    parts += [
        f".. rst-class:: card-title\n\n{page_link(recipe.title, entry.page)}\n",
        f".. rst-class:: question\n\n{escape(recipe.question)}\n",
        raw(
            f'{bar(entry.claims)}\n<p class="small">{recipe.level} · '
            f"{engines}</p>\n</article>"
        ),
    ]
    return "\n".join(parts)


def cards(entries: list[Entry]) -> str:
    """The gallery: its filters, then each chapter with its cards."""
    parts = [raw(filters(entries))]
    for chapter in dict.fromkeys(entry.recipe.chapter for entry in entries):
        found = [one for one in entries if one.recipe.chapter == chapter]
        parts += [
            f".. _chapter-{chapter}:\n",
            heading(chapter.capitalize()),
            raw(f'<div class="cards" data-chapter="{chapter}">'),
            *map(card, found),
            raw("</div>"),
        ]
    return "\n".join(parts)


def choice(name: str, values: Iterable[tuple[str, str]]) -> str:
    """HTML of a menu that filters.

    Args:
        name: what it filters by.
        values: each value with the words for it.
    """
    options = "".join(
        f'<option value="{html.escape(value)}">{html.escape(words)}</option>'
        for value, words in values
    )
    return (
        f'<label>{name} <select data-filter="{name}">'
        f'<option value="">all</option>{options}</select></label>'
    )


def filters(entries: list[Entry]) -> str:
    """HTML of the filters above the cards."""
    recipes = [entry.recipe for entry in entries]
    chapters = dict.fromkeys(recipe.chapter for recipe in recipes)
    symbols = sorted(
        {symbol for entry in entries for symbol in entry.symbols},
        key=str.casefold,
    )
    options = "".join(f'<option value="{symbol}">' for symbol in symbols)
    return "\n".join(
        [
            '<form class="filters" data-filters=".recipe-card">',
            choice("chapter", [(name, name) for name in chapters]),
            choice("level", [(name, name) for name in LEVELS]),
            choice("backends", ENGINES.items()),
            '<label>uses <input data-filter="symbols" type="search" '
            'list="symbols" placeholder="SeedGenerator" autocomplete="off">'
            f'</label><datalist id="symbols">{options}</datalist>',
            '<label>words <input data-filter="" type="search" '
            'autocomplete="off"></label>',
            '<button type="reset">all</button>',
            '<output aria-live="polite"></output>',
            "</form>",
        ]
    )


def questions(entries: list[Entry]) -> str:
    """The index by question, the simplest first."""
    parts = []
    for level in LEVELS:
        found = [entry for entry in entries if entry.recipe.level == level]
        if found:
            lines = [
                f"{escape(entry.recipe.question)}\n"
                f"   {page_link(entry.recipe.title, entry.page)}\n"
                for entry in found
            ]
            parts += [heading(level.capitalize(), "~"), *lines]
    return "\n".join(parts)


def all_pages(entries: list[Entry]) -> str:
    """The table of contents that the navigation is made of, by chapter."""
    parts = []
    for chapter in dict.fromkeys(entry.recipe.chapter for entry in entries):
        names = [
            entry.recipe.name
            for entry in entries
            if entry.recipe.chapter == chapter
        ]
        parts.append(toctree(chapter.capitalize(), names))
    return "\n".join(parts)


def totals(entries: list[Entry]) -> str:
    """The verdicts of all recipes at a glance."""
    claims = [claim for entry in entries for claim in entry.claims]
    words = f"{len(claims)} claims in {len(entries)} recipes"
    return raw(f"<p>{words}:</p>\n{bar(claims)}")
