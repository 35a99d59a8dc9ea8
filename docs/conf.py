"""Sphinx's settings for the gallery. README.md names the build command."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "kerasrecipes"
author = "the kerasrecipes authors"
release = importlib.metadata.version("kerasrecipes")
extensions = ["gallery"]
root_doc = "index"
exclude_patterns = ["_build", "generated"]
nitpicky = True
default_role = "literal"  # `name` in prose is code, as in Markdown

html_theme = "pydata_sphinx_theme"
html_title = "kerasrecipes"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["gallery.css"]
html_js_files = [("gallery.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    "index": [],
    "start": [],
    "ledger": [],
    "verdicts": [],
    "benchmarks": [],
    "recipes/index": [],
}
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "search_bar_text": "Search the recipes",
    "show_prev_next": False,
    "show_nav_level": 1,
    "pygments_light_style": "github-light",
    "pygments_dark_style": "github-dark",
    "secondary_sidebar_items": {
        "**": ["page-toc"],
        "index": [],
        "ledger": [],
        "recipes/index": [],
    },
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
}
