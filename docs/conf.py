"""Sphinx's settings for the pages of the documentation."""

from typing import Any

import gnr_sklearn

project = "gnr_sklearn"
author = copyright = "The gnr_sklearn developers"
release = version = gnr_sklearn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
]
exclude_patterns = ["_build"]

autodoc_default_options = {"members": True, "inherited-members": True}
autodoc_typehints = "none"
numpydoc_show_class_members = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# README.md links to files beside it, which are no pages.
suppress_warnings = ["myst.xref_missing"]

html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "description": gnr_sklearn.__doc__}


def setup(app: Any) -> None:
    """Leave out what classes inherit from other packages, which document it themselves."""

    def is_of_others(
        app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
    ) -> bool | None:
        of_others = (name.startswith("set_") and name.endswith("_request")) or name == "__init__"
        module = getattr(obj, "__module__", None) or "gnr_sklearn"
        return True if of_others or not module.startswith("gnr_sklearn") else None

    app.connect("autodoc-skip-member", is_of_others)
