"""The formula is the docstring: no quantity goes without."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable

import pytest

from her2node import quantities
from her2node.dicom.codes import Unit
from her2node.quantities import attenuation, enhancement, morphology

METHODS = (attenuation, enhancement, morphology)
MEASURES = [measure for method in METHODS for measure in method.MEASURES]
SECTIONS = ("Formula", "Unit", "Shapes", "Source", "Known deviation")


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
@pytest.mark.parametrize("section", SECTIONS)
def test_every_quantity_says_its_formula_unit_shapes_source_and_deviation(
    measure: Callable[..., float], section: str
) -> None:
    doc = inspect.getdoc(measure) or ""
    assert re.search(rf"^{section}: \S", doc, re.MULTILINE), f"{measure.__qualname__} lacks {section}"


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_the_unit_of_a_docstring_is_one_that_the_node_speaks(measure: Callable[..., float]) -> None:
    stated = re.search(r"^Unit: (.+)\.$", inspect.getdoc(measure) or "", re.MULTILINE)
    assert stated is not None
    assert stated.group(1) in {code.value for code in vars(Unit).values() if hasattr(code, "value")}


def test_every_method_of_the_room_is_among_those_tested() -> None:
    modules = [
        importlib.import_module(f"her2node.quantities.{found.name}")
        for found in pkgutil.iter_modules(quantities.__path__)
    ]
    assert {m for m in modules if hasattr(m, "measure")} == set(METHODS)


def test_every_function_that_gives_a_number_alone_is_listed_as_a_quantity() -> None:
    for method in METHODS:
        functions = inspect.getmembers(method, inspect.isfunction)
        numbers = {
            function
            for name, function in functions
            if function.__module__ == method.__name__
            and not name.startswith("_")
            and function.__annotations__.get("return") == "float"
        }
        assert numbers == set(method.MEASURES)
