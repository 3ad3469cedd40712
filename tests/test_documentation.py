"""HTML representations link to the pages of the documentation, which has one for each name."""

import re
from html.parser import HTMLParser
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import gnr_sklearn
from gnr_sklearn import GNRImputer, MeanImputer, _base

MODULES = (
    "datasets",
    "metrics",
    "missingness",
    "multiple",
    "persistence",
    "plotting",
    "sensitivity",
)
REFERENCE = Path(__file__).parent.parent / "docs" / "api.rst"


class Links(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.add(dict(attrs).get("href"))


def pages():
    """Names that the reference has a page for."""
    return set(re.findall(r"^   ([\w.]+)$", REFERENCE.read_text(), re.MULTILINE))


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs the sources of the documentation")
def test_every_public_name_has_a_page():
    public = set(gnr_sklearn.__all__)
    for module in MODULES:
        public |= {f"{module}.{name}" for name in import_module(f"gnr_sklearn.{module}").__all__}
    assert pages() == public


@pytest.mark.parametrize("name", gnr_sklearn.__all__)
def test_representations_link_to_the_page_of_their_class(name):
    links = Links(estimator_html_repr(getattr(gnr_sklearn, name)())).found
    ours = {link.partition("#")[0] for link in links if link and "gnr" in link}
    assert {link.rpartition("/")[2] for link in ours} == {f"gnr_sklearn.{name}.html"}
    assert all(link.startswith("https://") for link in ours)


def test_within_a_pipeline():
    links = Links(estimator_html_repr(make_pipeline(StandardScaler(), GNRImputer()))).found
    assert any("gnr_sklearn.GNRImputer.html" in str(link) for link in links)
    assert any("StandardScaler" in str(link) for link in links)


def test_classes_of_users_have_no_page():
    class Mine(MeanImputer):
        pass

    assert Mine()._get_doc_link() == ""


def test_no_link_where_the_package_is_not_installed(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_base, "metadata", missing)
    _base._documentation.cache_clear()
    try:
        assert MeanImputer()._get_doc_link() == ""
        assert "MeanImputer" in estimator_html_repr(MeanImputer())
    finally:
        _base._documentation.cache_clear()
