"""Recipes as text: headers, helpers, and what changes a fingerprint."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kerasrecipes import catalogue
from kerasrecipes.catalogue import (
    PACKAGE,
    RecipeError,
    all_recipes,
    constant,
    find_recipe,
    fingerprint,
    helper_files,
    main_function,
    read_recipe,
    recipe_paths,
    split_citation,
    symbols,
)
from kerasrecipes.text import plain_text

HOUSE = Path(__file__).parents[1]

HEADER = '''"""
Soup of the day
===============

What to cook when the *cupboard* is empty: water, salt and

.. math::

   s = w + \\\\alpha

patience.

:question: What can be cooked
    out of nothing?
:level: beginner
:notes: Deep Neural Nets Basics, Dropout layers in Keras and general;
    Everything You Always Wanted to Know About Deep Learning,
    Neural Network - MWE
:papers: Anonymous 1904, https://example.org/soup
:backends: tensorflow, jax (no torch here, it is slow)
:before: foundations/iris_baseline
"""
'''

BODY = '''
import keras
import numpy as np

from kerasrecipes.datasets import FOLDS, load_soup
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials
from kerasrecipes.layers import Pot
from kerasrecipes.plotting import plot_curves

keras.config.set_floatx("float32")

SALT = 3
SPOONS = 4
VARIANTS = {"plain": {}, "salty": {"salt": SALT}}
CONDITIONS = {"small": {"size": 1}}
QUICK = {"seeds": 1}
FULL = {"seeds": 10}
COLOURS = ["red"]

# %%
# The pot
# -------


def build_model(salt):
    """A model of soup."""
    return Pot(salt * SPOONS, f"{salt!r:>{SPOONS}} grains" " of salt")


def taste(model, *, twice=False):
    match model:
        case [first, *_]:
            return first
        case _:
            return lambda: model @ 2 ** -1


def train(seed, size, salt=0):
    """Cooks one soup."""
    (x, y), _ = load_soup(fold=seed)
    if (total := x + y) > 3:
        total //= 1e3
    return {"taste": taste(build_model(salt)), "curves": {}}


def measure(seed):
    return {"ones": np.ones(3)[..., 0]}


def plot_soup(trials):
    """A picture."""
    return COLOURS, trials


def main(seeds: Count = 3) -> Report:
    """Cooks.

    Args:
        seeds: number of soups.
    """
    facts = run_trials(measure)
    trials = run_trials(
        train, VARIANTS, CONDITIONS, seeds=seeds, folds=FOLDS
    )
    return Report(
        plot_soup(trials),
        Claim("Salt helps", trials.is_higher("taste", "salty", than="plain"),
              "Deep Neural Nets Basics, Dropout"),
        Claim("One is one", facts.agrees("ones", 1.0, within=0.0), "notes"),
    )


if __name__ == "__main__":
    cook(main)
'''

# A small package with rooms of its own, so that a test can change a helper.
ROOMS = {
    "layers/__init__.py": """
        from kerasrecipes.layers.pot import Lid, Pot
        from kerasrecipes.layers.pan import Pan
        """,
    "layers/pot.py": """
        import keras
        from kerasrecipes.layers.base import Vessel

        class Pot(Vessel):
            '''Holds soup.'''
        class Lid:
            pass
        """,
    "layers/base.py": """
        class Vessel:
            walls = 4
        """,
    "layers/pan.py": """
        class Pan:
            pass
        """,
    "datasets/__init__.py": """
        '''Soups.'''
        from kerasrecipes.datasets.folds import FOLDS
        from kerasrecipes.datasets.soups import load_soup
        """,
    "datasets/folds.py": """
        FOLDS = 10
        """,
    "datasets/soups.py": """
        def load_soup(fold):
            return (1, 2), (3, 4)
        """,
    "experiment/__init__.py": """
        from kerasrecipes.experiment.cook import cook
        """,
    "experiment/cook.py": """
        def cook(main):
            pass
        """,
    "plotting.py": """
        from kerasrecipes.layers import Pan
        def plot_curves():
            pass
        """,
}


def unindented(text):
    return "".join(line[8:] + "\n" for line in text.splitlines())


@pytest.fixture
def write(tmp_path):
    """Writes a recipe's file and returns its path."""

    def write_text(text, name="soup.py"):
        path = tmp_path / "recipes" / "foundations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_text


@pytest.fixture
def kitchen(tmp_path, monkeypatch, write):
    """Fingerprints a recipe among helpers, with what is changed in them."""
    package = tmp_path / "kerasrecipes"
    monkeypatch.setattr(catalogue, "PACKAGE", package)

    def cook(*changes, helper=None):
        room = {name: unindented(text) for name, text in ROOMS.items()}
        text = HEADER + BODY
        for old, new in changes:
            if helper is None:
                assert text.count(old) >= 1, old
                text = text.replace(old, new)
            else:
                assert room[helper].count(old) >= 1, old
                room[helper] = room[helper].replace(old, new)
        for name, content in room.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_text(content)
        catalogue.syntax_tree.cache_clear()
        return write(text)

    yield cook
    catalogue.syntax_tree.cache_clear()


# Headers


def test_header(write):
    recipe = read_recipe(write(HEADER + BODY))
    assert recipe.title == "Soup of the day"
    assert recipe.topic == "soup"
    assert recipe.chapter == "foundations"
    assert recipe.name == "foundations/soup"
    assert recipe.level == "beginner"
    assert recipe.story.startswith("What to cook when the *cupboard*")
    assert recipe.story.endswith("patience.")
    assert ":level:" not in recipe.story


def test_fields_of_several_lines(write):
    recipe = read_recipe(write(HEADER + BODY))
    assert recipe.question == "What can be cooked out of nothing?"
    assert recipe.notes == [
        (
            "Deep Neural Nets Basics",
            "Dropout layers in Keras and general",
        ),
        (
            "Everything You Always Wanted to Know About Deep Learning",
            "Neural Network - MWE",
        ),
    ]
    assert recipe.fields["before"] == "foundations/iris_baseline"


def test_a_reason_beside_the_backends_is_no_backend(write):
    assert read_recipe(write(HEADER)).backends == ("tensorflow", "jax")


def test_a_raw_docstring(write):
    assert read_recipe(write("r" + HEADER)).title == "Soup of the day"


def test_results_by_backend(write):
    recipe = read_recipe(write(HEADER))
    folder = catalogue.RESULTS / "foundations"
    assert recipe.results() == folder / "soup.json"
    assert recipe.results("jax") == folder / "soup.jax.json"


def without(field):
    """The header without the lines of a field."""
    kept, inside = [], False
    for line in HEADER.splitlines():
        if line.startswith(":"):
            inside = line.startswith(f":{field}:")
        inside = inside and not line.startswith('"""')
        kept += [] if inside else [line]
    return "\n".join(kept) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "docstring"),
        ("import keras\n", "docstring"),
        ('"""Soup."""\n', "docstring"),
        ('"""\nSoup\n"""\n', "docstring"),
        (HEADER.replace("=", "-"), "docstring"),
        (HEADER.replace('"""', "'''"), "docstring"),
        (without("question"), "no `:question:`"),
        (without("level"), "no `:level:`"),
        (without("notes"), "no `:notes:`"),
        (without("backends"), "no `:backends:`"),
        (HEADER.replace(":papers:", ":paper:"), "`:paper:`"),
        (HEADER.replace("beginner", "easy"), "Received: easy"),
        (HEADER.replace("jax", "jaxx"), "Received: jaxx"),
        (HEADER.replace("tensorflow, jax", "all"), "Received: all"),
    ],
)
def test_a_broken_header_is_one_line(write, text, message):
    with pytest.raises(RecipeError) as raised:
        read_recipe(write(text))
    line = str(raised.value)
    assert line.startswith("foundations/soup.py: ")
    assert message in line
    assert len(line.splitlines()) == 1


def test_optional_fields_may_be_left_out(write):
    for field in ("papers", "before"):
        assert field not in read_recipe(write(without(field))).fields


@pytest.mark.parametrize("kind", ["missing", "folder", "not text"])
def test_an_unreadable_file_is_one_line(tmp_path, kind):
    path = tmp_path / "foundations" / "soup.py"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "not text":
        path.write_bytes(b'"""\n\xff\xfe\n')
    with pytest.raises(RecipeError) as raised:
        read_recipe(path)
    line = str(raised.value)
    assert line.startswith("foundations/soup.py cannot be read: ")
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong", ["def train(:\n", "x = (\n", "  y = 1\n", "x = '\x00'\n"]
)
def test_a_syntax_error_is_one_line(write, wrong):
    path = write(HEADER + wrong)
    read_recipe(path)  # the header is well
    for question in (main_function, fingerprint, symbols, helper_files):
        with pytest.raises(RecipeError) as raised:
            question(path)
        line = str(raised.value)
        assert line.startswith("foundations/soup.py")
        assert len(line.splitlines()) == 1


def test_a_recipe_without_main(write):
    with pytest.raises(RecipeError, match=r"^foundations/soup.py: .*`main`"):
        main_function(write(HEADER))


def test_constants(write):
    path = write(HEADER + BODY)
    assert constant(path, "QUICK") == {"seeds": 1}
    assert constant(path, "SLOW") is None
    wrong = write(HEADER + "QUICK = dict(seeds=1)\n", "stew.py")
    with pytest.raises(RecipeError, match=r"stew.py: expected QUICK to be a"):
        constant(wrong, "QUICK")


def test_citations():
    title = "Everything You Always Wanted to Know About Deep Learning"
    found = split_citation(f"{title}, Neural Network - MWE")
    assert found == (title, "Neural Network - MWE")
    for wrong in (title, f"{title}, Soup", "Soup, Neural Network - MWE"):
        with pytest.raises(RecipeError, match="no title and heading"):
            split_citation(wrong)


# Names


def test_recipes_are_found_by_topic_and_by_name():
    for name, path in recipe_paths().items():
        assert find_recipe(name).path == path
        assert find_recipe(name.partition("/")[2]).path == path
    assert [r.name for r in all_recipes()] == list(recipe_paths())


def test_topics_are_unique():
    topics = [name.partition("/")[2] for name in recipe_paths()]
    assert len(set(topics)) == len(topics)


def test_every_chapter_is_known():
    folders = {
        path.parent.name
        for path in catalogue.RECIPES.glob("*/*.py")
        if path.name != "__init__.py"
    }
    assert folders <= set(catalogue.CHAPTERS)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("iris_basline", "Did you mean iris_baseline?"),
        ("foundation/iris_baseline", "Did you mean foundations/iris_baseline?"),
        ("zzzz", "See `list`."),
        ("", "See `list`."),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name, hint):
    with pytest.raises(RecipeError) as raised:
        find_recipe(name)
    expected = f"There is no recipe named {name!r}. {hint}"
    assert str(raised.value) == expected


@pytest.mark.parametrize("name", ["../setup", "foundations/", "/etc/passwd"])
def test_a_name_is_no_path(name):
    with pytest.raises(RecipeError, match="no recipe named"):
        find_recipe(name)


# Stories


@pytest.mark.parametrize(
    ("story", "text"),
    [
        ("Plain words.", "Plain words."),
        ("A share :math:`p` of ``rate``.", "A share p of `rate`."),
        ("*very* and **much**", "very and much"),
        ("`a page <https://example.org>`_ here", "a page here"),
        ("before\n\n.. math::\n\n   a + b\n", "before\n\n   a + b\n"),
        ("before\n\n.. math:: a + b\n", "before\n\n   a + b\n"),
        (":class:`Dropout` layers", "Dropout layers"),
        ("one\n\ntwo", "one\n\ntwo"),
    ],
)
def test_stories_lose_their_marks(story, text):
    assert plain_text(story) == text


def test_no_story_keeps_a_mark():
    for recipe in all_recipes():
        text = plain_text(recipe.story)
        for mark in ("``", ":math:", ".. math", "\\", "`_"):
            assert mark not in text, recipe.name


# Helpers and symbols


def names_of(files):
    return [file.relative_to(catalogue.PACKAGE).as_posix() for file in files]


def test_helpers_are_followed_through_their_room(kitchen):
    assert names_of(helper_files(kitchen())) == [
        "datasets/folds.py",
        "datasets/soups.py",
        "layers/base.py",
        "layers/pot.py",
    ]


def test_a_helper_that_training_does_not_use_is_none(kitchen):
    change = ("return COLOURS, trials", "return Pan(), trials")
    path = kitchen(("import Pot", "import Pan, Pot"), change)
    # One import line names both, so the file counts; a line of its own not.
    assert "layers/pot.py" in names_of(helper_files(path))
    line = "from kerasrecipes.layers import Pot\n"
    pan = "from kerasrecipes.layers import Pan\n"
    path = kitchen((line, line + pan), change)
    assert "layers/pan.py" not in names_of(helper_files(path))


def test_helpers_by_their_own_file(kitchen):
    path = kitchen(
        ("kerasrecipes.layers import", "kerasrecipes.layers.pot import")
    )
    assert "layers/pot.py" in names_of(helper_files(path))


def test_real_recipes_have_helpers_outside_the_harness():
    helped = [names_of(helper_files(path)) for path in recipe_paths().values()]
    # One that has all it needs from its libraries is an exception.
    assert sum(map(bool, helped)) > len(helped) / 2
    assert not any(
        name.startswith(("experiment/", "plotting"))
        for names in helped
        for name in names
    )


def test_symbols(kitchen):
    found = symbols(kitchen())
    # Names, attributes, imports; of the recipe and of its helpers.
    assert {"taste", "set_floatx", "load_soup", "Vessel", "walls"} <= found
    assert "Pan" not in found
    assert "cupboard" not in found


# Fingerprints

COUNTS = {
    "train": ('"curves": {}', '"curves": {"a": []}'),
    "an operator in train": ("x + y) > 3", "x + y) >= 3"),
    "a default in train": ("salt=0", "salt=1"),
    "build_model": ("salt * SPOONS", "salt + SPOONS"),
    "a function that train calls": ("@ 2 ** -1", "@ 2 ** 1"),
    "a format in a string": (":>{SPOONS}}", ":<{SPOONS}}"),
    "FULL": ('FULL = {"seeds": 10}', 'FULL = {"seeds": 11}'),
    "VARIANTS": ('"plain": {}', '"plain": {"salt": 1}'),
    "a variant's name": ('"salty": {', '"saltier": {'),
    "CONDITIONS": ('"size": 1', '"size": 2'),
    "a constant of VARIANTS": ("SALT = 3", "SALT = 4"),
    "a constant of build_model": ("SPOONS = 4", "SPOONS = 5"),
    "the type of a constant": ("SPOONS = 4", "SPOONS = 4.0"),
    "measure": ("np.ones(3)", "np.ones(4)"),
    "another loader": ("load_soup(fold=seed)", "load_soup(fold=0)"),
    "a call at the top": ('set_floatx("float32")', 'set_floatx("float64")'),
    "a call that goes": ('keras.config.set_floatx("float32")\n', ""),
    "an import's meaning": ("import numpy as np", "import cupy as np"),
}

DOES_NOT_COUNT = {
    "a claim": ('Claim("Salt helps"', 'Claim("Salt does not help"'),
    "a verdict": ("trials.is_higher", "trials.is_lower"),
    "a default of main": ("seeds: Count = 3", "seeds: Count = 7"),
    "main's docstring": ("number of soups", "how many soups"),
    "QUICK": ('QUICK = {"seeds": 1}', 'QUICK = {"seeds": 2}'),
    "the title": ("Soup of the day\n===", "Stew of the day\n==="),
    "the level": (":level: beginner", ":level: advanced"),
    "a docstring": ("A model of soup", "A model of stew"),
    "a docstring that goes": ('    """A model of soup."""\n', ""),
    "a comment": ("# The pot\n# -------\n", "# Pots\n"),
    "a comment in a function": ("    (x, y), _", "    # two\n    (x, y), _"),
    "blank lines": ("def taste", "\n\n\ndef taste"),
    "quotes": ('{"plain": {}', "{'plain': {}"),
    "brackets": ("total //= 1e3", "total //= (1_000.0)"),
    "lines": ("FULL = {", "FULL = {\n    "),
    "a comma": ('FULL = {"seeds": 10}', 'FULL = {"seeds": 10,}'),
    "strings that stand together": ('" of salt"', '" of" " salt"'),
    "a plot": ("return COLOURS, trials", "return trials"),
    "a constant of a plot": ('["red"]', '["green"]'),
    "a new plot": (
        "def measure",
        "def plot_more():\n    pass\n\n\ndef measure",
    ),
    "an import for main": ("import plot_curves", "import plot_curves, bars"),
}


@pytest.mark.parametrize("change", COUNTS.values(), ids=COUNTS)
def test_fingerprint_changes_with(kitchen, change):
    before = fingerprint(kitchen())
    assert fingerprint(kitchen(change)) != before


@pytest.mark.parametrize("change", DOES_NOT_COUNT.values(), ids=DOES_NOT_COUNT)
def test_fingerprint_does_not_change_with(kitchen, change):
    before = fingerprint(kitchen())
    after = kitchen(change)
    ast.parse(after.read_text())  # else the test would test nothing
    assert fingerprint(after) == before


def test_fingerprint_changes_with_a_constant_of_a_call_at_the_top(kitchen):
    call = 'set_floatx("float32")'
    first = kitchen(
        (call, "set_floatx(TYPE)"), ("SALT = 3", 'SALT, TYPE = 3, "a"')
    )
    before = fingerprint(first)
    second = kitchen(
        (call, "set_floatx(TYPE)"), ("SALT = 3", 'SALT, TYPE = 3, "b"')
    )
    assert fingerprint(second) != before


def test_fingerprint_changes_with_what_is_set_under_a_condition(kitchen):
    top = "\nSALT = 3\n"
    choice = '\nSALT = 3\nif keras.backend.backend() == "jax":\n    SALT = 5\n'
    before = fingerprint(kitchen((top, choice)))
    after = kitchen((top, choice.replace("5", "6")))
    assert fingerprint(after) != before


@pytest.mark.parametrize(
    ("helper", "old", "new"),
    [
        ("layers/pot.py", "class Pot(Vessel):", "class Pot(Vessel, Lid):"),
        ("layers/pot.py", "    pass", "    height = 2"),
        ("layers/base.py", "walls = 4", "walls = 5"),
        ("datasets/soups.py", "(1, 2)", "(1, 3)"),
        ("datasets/folds.py", "FOLDS = 10", "FOLDS = 9"),
    ],
)
def test_fingerprint_changes_with_a_helper(kitchen, helper, old, new):
    before = fingerprint(kitchen())
    assert fingerprint(kitchen((old, new), helper=helper)) != before


@pytest.mark.parametrize(
    ("helper", "old", "new"),
    [
        ("layers/pot.py", "'''Holds soup.'''", "'''Holds stew.'''"),
        ("layers/pot.py", "import keras\n", "import keras\n# soup\n"),
        ("layers/pan.py", "pass", "iron = True"),
        ("layers/__init__.py", "import Lid, Pot", "import Pot, Lid"),
        ("datasets/__init__.py", "Soups.", "Stews."),
        ("experiment/cook.py", "pass", "main()"),
        ("experiment/__init__.py", "import cook", "import cook, eat"),
        ("plotting.py", "pass", "return 1"),
    ],
)
def test_fingerprint_does_not_change_with_other_files(
    kitchen, helper, old, new
):
    before = fingerprint(kitchen())
    assert fingerprint(kitchen((old, new), helper=helper)) == before


def test_fingerprint_does_not_depend_on_the_folder(kitchen, tmp_path):
    path = kitchen()
    other = tmp_path / "elsewhere" / "stew.py"
    other.parent.mkdir()
    shutil.copy(path, other)
    assert fingerprint(other) == fingerprint(path)


def test_copies_of_real_recipes_have_their_fingerprint(tmp_path):
    for name, path in recipe_paths().items():
        copy = tmp_path / name.replace("/", "_")
        shutil.copy(path, copy)
        assert fingerprint(copy) == fingerprint(path)


def pythons():
    """Every python3.x on PATH that starts and is new enough for us."""
    found = {sys.executable}
    for minor in (11, 12, 13):
        name = shutil.which(f"python3.{minor}")
        if name and not subprocess.call(
            [name, "-c", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            found.add(name)
    return sorted(found)


@pytest.mark.parametrize("python", pythons())
def test_every_python_gives_the_same_fingerprints(python, write):
    # The trees differ between versions, and the text must not.
    paths = [*recipe_paths().values(), write(HEADER + BODY)]
    text = (
        "import sys; from kerasrecipes.catalogue import Path, fingerprint;"
        "print(*[fingerprint(Path(path)) for path in sys.argv[1:]])"
    )
    found = subprocess.run(
        [python, "-W", "error", "-c", text, *paths],
        # Only the standard library: any Python will do.
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [fingerprint(path) for path in paths]


def test_the_catalogue_reads_the_package_it_is_in():
    assert PACKAGE == HOUSE / "kerasrecipes"
    assert catalogue.IN_CHECKOUT


@pytest.mark.parametrize("name", catalogue.recipe_paths())
def test_results_without_their_trials(name):
    recipe = catalogue.find_recipe(name)
    whole = catalogue.load_results(recipe)
    assert whole.pop("runs")
    assert catalogue.load_results(recipe, trials=False) == whole
