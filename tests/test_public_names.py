"""What the package offers by name, and that all of it is documented."""

import ast
import inspect
import re

import numpy as np
import pytest

import gnr_sklearn
from gnr_sklearn._base import BaseImputer
from tests.contract import assert_runs_in_a_new_process
from tests.toy_imputers import ToyImputer

PUBLIC = [getattr(gnr_sklearn, name) for name in gnr_sklearn.__all__]
PUBLIC_IMPUTERS = [
    each for each in PUBLIC if inspect.isclass(each) and issubclass(each, BaseImputer)
]


# Documentation


def test_documentation_is_inherited_at_its_place():
    docs = inspect.getdoc(ToyImputer)
    own, inherited = docs.index("fraction : float"), docs.index("missing_values : ")
    attributes = docs.index("Attributes\n")
    assert own < inherited < attributes
    own, inherited = docs.index("validation_skipped_ : bool"), docs.index("n_features_in_ : int")
    assert attributes < own < inherited


def test_documentation_of_a_class_made_later():
    class Later(ToyImputer):
        """Say more of one parameter.

        Parameters
        ----------
        {parameter_docs}

        Attributes
        ----------
        {attribute_docs}
        """

        _parameter_docs = """
            extra : int, default=1
                What it is for.
            fraction : float, default=0.25
                Another number : one that is not the same.
            """

        _attribute_docs = """
            later_ : bool
                Whether it is later.
            """

    lines = Later.__doc__.splitlines()
    assert lines[0] == "Say more of one parameter."
    start = lines.index("Parameters") + 2
    assert lines[start : start + 5] == [
        "extra : int, default=1",
        "    What it is for.",
        "fraction : float, default=0.25",
        "    Another number : one that is not the same.",
        "missing_values : int, float or pandas.NA, default=np.nan",
    ]
    attributes = lines.index("Attributes")
    assert lines[attributes + 2 : attributes + 6] == [
        "later_ : bool",
        "    Whether it is later.",
        "validation_skipped_ : bool",
        "    Whether scikit-learn would have validated parameters inside `fit`.",
    ]
    assert lines.count("fraction : float, default=0.25") == 1
    assert "default=0.5" not in Later.__doc__

    class Silent(ToyImputer):
        """Say nothing."""

    assert Silent.__doc__ == "Say nothing."


def parameters_in(docs):
    """Map the names in a numpydoc section Parameters to their specifications."""
    section = re.search(r"^Parameters\n-+\n(.*?)\n\n", inspect.cleandoc(docs), re.M | re.S)[1]
    found = {}
    for line in section.splitlines():
        if line.startswith(" "):
            continue
        names, separator, specification = line.partition(" : ")
        assert separator, f"No 'name : type' in {line!r}"
        for name in names.split(", "):
            assert name not in found, f"{name} is documented twice"
            found[name] = specification
    return found


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_every_parameter_is_documented_with_its_default(imputer_class):
    documented = parameters_in(imputer_class.__doc__)
    parameters = inspect.signature(imputer_class).parameters
    assert set(documented) == set(parameters)
    for name, specification in documented.items():
        match = re.fullmatch(r"(?P<type>\S.*), default=(?P<default>.+)", specification)
        assert match, f"{name}: no type and default in {specification!r}"
        default = match["default"]
        stated = np.nan if default == "np.nan" else ast.literal_eval(default)
        actual = parameters[name].default
        assert repr(stated) == repr(actual), f"{name}: {default} in the documentation"


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_every_parameter_has_a_constraint_and_a_type(imputer_class):
    parameters = inspect.signature(imputer_class).parameters
    assert set(imputer_class._parameter_constraints) == set(parameters)
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters.values())


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_no_place_is_left_in_documentation(imputer_class):
    assert not re.search(r"{(parameter|attribute)_docs}", imputer_class.__doc__)
    # Pieces are put in without the indentation that they have in the source.
    assert not re.search(r"^ +\w+ : ", imputer_class.__doc__, re.MULTILINE)


@pytest.mark.parametrize("imputer_class", PUBLIC_IMPUTERS, ids=lambda c: c.__name__)
def test_public_methods_are_documented(imputer_class):
    for name, method in inspect.getmembers(imputer_class, inspect.isfunction):
        if name.startswith("_") or not method.__module__.startswith("gnr_sklearn"):
            continue
        docs = inspect.getdoc(method)
        assert docs, f"{name} has no documentation"
        taken = [each for each in inspect.signature(method).parameters if each != "self"]
        assert not taken or list(parameters_in(docs)) == taken


# The package


def test_importing_the_package_does_not_import_torch():
    code = (
        "import sys, gnr_sklearn\n"
        "gnr_sklearn.MICEImputer().fit([[1.0, 2.0], [2.0, 3.0]])\n"
        "assert 'torch' not in sys.modules\n"
        "gnr_sklearn.GNRImputer\n"
        "assert 'torch' in sys.modules\n"
    )
    assert_runs_in_a_new_process(code)


def test_every_public_name_resolves_and_is_listed():
    assert len(set(gnr_sklearn.__all__)) == len(gnr_sklearn.__all__)
    assert len(PUBLIC_IMPUTERS) >= 4
    for name, value in zip(gnr_sklearn.__all__, PUBLIC, strict=True):
        assert value.__name__ == name
        assert value.__doc__
        assert name in dir(gnr_sklearn)
    namespace = {}
    exec("from gnr_sklearn import *", namespace)
    assert set(gnr_sklearn.__all__) <= set(namespace)


def test_unknown_names_raise_attribute_error():
    with pytest.raises(AttributeError, match="'gnr_sklearn' has no attribute 'NoSuchImputer'"):
        _ = gnr_sklearn.NoSuchImputer
    assert not hasattr(gnr_sklearn, "torch")
