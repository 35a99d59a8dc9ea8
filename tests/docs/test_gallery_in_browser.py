"""The built gallery in Chromium: `pytest -m browser`, after the build.

The pages of docs/_build come from a server on this machine. Whatever a page
asks of another host is noted and refused.
"""

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from kerasrecipes import catalogue

BUILT = Path(__file__).parents[2] / "docs" / "_build"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (400, 1400)
THREE = (
    "recipes/foundations/iris_baseline",
    "recipes/regularization/dropout",
    "recipes/recurrent/stateful_lstm",
)

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket]
every_width = pytest.mark.parametrize("width", WIDTHS)


def recipes():
    """The recipes that have recorded results."""
    found = catalogue.all_recipes()
    return [one for one in found if catalogue.load_results(one)]


@pytest.fixture(scope="module")
def chromium():
    reason = "needs Playwright's Python package, from the extra `test`"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    if CHROMIUM is None:
        pytest.skip("needs Chromium, such as Debian's package `chromium`")
    if not (BUILT / "index.html").exists():
        pytest.skip("needs the built gallery; README.md has the line")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    handler = functools.partial(Quiet, directory=BUILT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Reader:
    """A browser's window, and all that went wrong in it."""

    def __init__(self, chromium, host, width, theme="light"):
        self.host, self.faults = host, []
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            accept_downloads=True,
        )
        self.context.route(lambda url: not url.startswith(host), self._refuse)
        self.page = self.context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("response", self._check)

    def _refuse(self, route):
        self.faults.append(f"asked for {route.request.url}")
        route.abort()

    def _check(self, response):
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def _listen(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def open(self, name):
        self.page.goto(f"{self.host}/{name}.html")

    def count(self, selector):
        """How many elements of a kind can be seen."""
        return self.page.locator(selector).filter(visible=True).count()

    def widest(self):
        """Width of the page's content; more than the window's scrolls."""
        return self.page.evaluate("document.documentElement.scrollWidth")


@pytest.fixture
def open_reader(chromium, host):
    readers = []

    def open_one(*arguments):
        readers.append(Reader(chromium, host, *arguments))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.context.close()
        assert reader.faults == []


@every_width
def test_the_first_page_leads_to_a_recipe(open_reader, width):
    reader = open_reader(width)
    reader.open("index")
    claims = sum(len(catalogue.load_results(r)["claims"]) for r in recipes())
    text = reader.page.inner_text("article")
    assert f"{claims} claims in" in text and "supported" in text
    question = "Will dropout help"
    assert question in text
    reader.page.click(f"article a[href='{THREE[1]}.html']")
    assert question in reader.page.inner_text("article")


@every_width
def test_search(open_reader, width):
    reader = open_reader(width)
    reader.open("index")
    reader.page.keyboard.press("Control+k")
    reader.page.keyboard.type("neighbouring channels")
    reader.page.keyboard.press("Enter")
    # What is found comes one after the other.
    title = "Local response normalization"
    found = reader.page.locator("#search-results a", has_text=title)
    found.first.wait_for()


@every_width
def test_filters_of_the_gallery(open_reader, width):
    reader = open_reader(width)
    reader.open("recipes/index")
    known = catalogue.all_recipes()
    assert reader.count(".recipe-card") == len(known)
    field = reader.page.locator

    field("[data-filter=level]").select_option("beginner")
    count = sum(recipe.level == "beginner" for recipe in known)
    assert reader.count(".recipe-card") == count
    assert f"{count} shown" in reader.page.inner_text(".filters")
    field("[data-filter=chapter]").select_option("regularization")
    names = reader.page.locator(".card-title").filter(visible=True)
    assert names.all_inner_texts() == [
        recipe.title
        for recipe in known
        if recipe.level == "beginner" and recipe.chapter == "regularization"
    ]
    # A chapter without a recipe that fits is not shown.
    assert reader.count("section:has(> .cards)") == 1
    reader.page.click(".filters button[type=reset]")
    reader.page.wait_for_function(
        f"document.querySelector('output').value === '{len(known)} shown'"
    )

    field("[data-filter=backends]").select_option("jax")
    count = sum("jax" in recipe.backends for recipe in known)
    assert reader.count(".recipe-card") == count
    field("[data-filter=symbols]").fill("SeedGenerator")
    using = [r for r in known if "SeedGenerator" in catalogue.symbols(r.path)]
    assert reader.count(".recipe-card") == len(using)
    field("[data-filter=symbols]").fill("")
    field("[data-filter='']").fill("hidden UNITS dropout")
    assert reader.count(".recipe-card") == 1


@every_width
@pytest.mark.parametrize("name", THREE)
def test_a_recipe(open_reader, name, width):
    reader = open_reader(width)
    reader.open(name)
    page = reader.page
    results = catalogue.load_results(catalogue.find_recipe(name[8:]))
    measured = [one for one in results["claims"] if not one["exact"]]
    exact = len(results["claims"]) - len(measured)
    assert reader.count(".findings .verdict") == len(measured)
    if exact:
        page.click(".findings summary")
        assert reader.count(".findings .verdict") == len(results["claims"])
    for one in results["claims"]:
        assert one["text"] in page.inner_text(".findings")
    image = page.locator(".findings img").first
    assert image.evaluate("element => element.naturalWidth") > 300
    cell = page.locator(".scroll td", has_text=results["tables"][0][1][-2])
    assert cell.first.is_visible()
    assert "def train(" in page.inner_text("article")
    for formula in page.locator("math").all():
        box = formula.bounding_box()
        assert box["width"] > 4 and box["height"] > 4
    hidden = (
        "[...document.querySelectorAll('pre')]"
        ".some(e => e.scrollWidth > e.clientWidth)"
    )
    assert width < 1400 or not page.evaluate(hidden)
    assert reader.widest() <= width


@every_width
def test_the_ledger(open_reader, width):
    reader = open_reader(width)
    reader.open("ledger")
    page = reader.page
    claims = [c for r in recipes() for c in catalogue.load_results(r)["claims"]]
    assert reader.count(".ledger tbody tr") == len(claims)

    button = page.locator(".ledger [data-column='4']")
    effects = sorted(c["effect"] for c in claims if c["effect"] is not None)
    shown = "[...document.querySelectorAll('.ledger td:nth-child(5)')].map"
    for expected in (effects, effects[::-1]):
        button.click()
        cells = page.evaluate(f"{shown}(cell => cell.dataset.sort)")
        numbers = [float(cell) for cell in cells if cell]
        assert numbers == pytest.approx(expected, rel=1e-5)
        assert "" not in cells[: len(numbers)], "What has no number is last."
    button = page.locator(".ledger [data-column='3']")
    button.click()
    words = page.locator(".ledger tbody .verdict").all_inner_texts()
    assert words == sorted(words)

    page.locator("[data-filter=verdict]").select_option("contradicted")
    found = [c for c in claims if c["outcome"] == "contradicted"]
    assert reader.count(".ledger tbody tr") == len(found)
    page.locator("[data-filter='']").fill("no such words")
    assert reader.count(".ledger tbody tr") == 0
    assert reader.widest() <= width


@every_width
def test_every_internal_link_leads_somewhere(open_reader, width):
    """And no page is wider than the window, or has code that is at 1,400."""
    reader = open_reader(width)
    waiting, anchors, links = [f"{reader.host}/index.html"], {}, {}
    too_wide = []
    for address in waiting:
        reader.page.goto(address)
        anchors[address] = set(
            reader.page.evaluate(
                "[...document.querySelectorAll('[id]')].map(e => e.id)"
            )
        )
        found = reader.page.evaluate(
            "[...document.querySelectorAll('a[href]')]"
            ".filter(e => !e.hasAttribute('download')).map(e => e.href)"
        )
        for link in found:
            if link.startswith(reader.host):
                page, _ = urldefrag(link)
                links.setdefault(link, address)
                if page not in waiting:
                    waiting.append(page)
        if reader.widest() > width:
            too_wide.append(address)
    broken = [
        f"{source}: {link}"
        for link, source in links.items()
        for page, fragment in [urldefrag(link)]
        if fragment and unquote(fragment) not in anchors[page]
    ]
    assert broken == [] and too_wide == []
    for recipe in recipes():
        assert f"{reader.host}/recipes/{recipe.name}.html" in waiting


@every_width
def test_downloads(open_reader, width, tmp_path):
    import nbformat

    reader = open_reader(width)
    reader.open(THREE[1])
    for ending in (".ipynb", ".py", ".zip"):
        with reader.page.expect_download() as waited:
            reader.page.click(f"a.download[href$='{ending}']")
        file = tmp_path / waited.value.suggested_filename
        waited.value.save_as(file)
        assert file.name == f"dropout{ending}"
        assert file.stat().st_size > 1000
    notebook = nbformat.read(tmp_path / "dropout.ipynb", as_version=4)
    nbformat.validate(notebook)
    compile((tmp_path / "dropout.py").read_text("utf-8"), "dropout", "exec")


def test_a_downloaded_notebook_runs(open_reader, tmp_path):
    """With fewer epochs, and where kerasrecipes cannot be imported."""
    reader = open_reader(WIDTHS[-1])
    reader.open(THREE[0])
    with reader.page.expect_download() as waited:
        reader.page.click("a.download[href$='.ipynb']")
    file = tmp_path / "notebook.ipynb"
    waited.value.save_as(file)
    text, changes = re.subn(r'"epochs = \d+', '"epochs = 1', file.read_text())
    assert changes == 1
    file.write_text(text)
    # In a process of its own: Playwright's loop is running in this one.
    code = (
        "import nbclient, nbformat\n"
        "notebook = nbformat.read('notebook.ipynb', 4)\n"
        "block = 'import sys; sys.modules[\"kerasrecipes\"] = None'\n"
        "notebook.cells.insert(0, nbformat.v4.new_code_cell(block))\n"
        "nbclient.NotebookClient(notebook, timeout=300).execute()\n"
        "for output in notebook.cells[-1].outputs:\n"
        "    print(output.get('text', ''))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "train network" in done.stdout and "accuracy: 0." in done.stdout


@every_width
@pytest.mark.parametrize("name", ["index", THREE[1], "ledger"])
def test_the_dark_theme_is_dark(open_reader, name, width):
    reader = open_reader(width, "dark")
    reader.open(name)
    back = _brightness(reader.page, "body", "backgroundColor")
    assert back < 60
    for selector in ("article p", ".at-a-glance", ".verdict", "td", "math"):
        if reader.count(selector):
            assert _brightness(reader.page, selector, "color") > back + 80


def _brightness(page, selector, part):
    colour = (
        page.locator(selector)
        .filter(visible=True)
        .first.evaluate(f"element => getComputedStyle(element).{part}")
    )
    red, green, blue = map(float, re.findall(r"[\d.]+", colour)[:3])
    return 0.3 * red + 0.6 * green + 0.1 * blue
