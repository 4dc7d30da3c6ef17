"""The formula is the docstring: no quantity goes without."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from her2node import quantities
from her2node.dicom.codes import Unit
from her2node.quantities import (
    attenuation,
    dce,
    dce_curve,
    dce_phases,
    diffusion,
    dual_energy,
    enhancement,
    histogram,
    morphology,
    perfusion,
    radiomics,
    texture,
    uptake,
)
from her2node.quantities.radiomics.feature import Dimension
from her2node.quantities.radiomics.names import Name, names

METHODS = (attenuation, dce, dce_phases, diffusion, dual_energy, enhancement, morphology, perfusion, texture, uptake)
TABLES = (radiomics,)
"""Methods of many quantities, whose formulas stand in tables."""
SHARED = (dce_curve, histogram)
"""Mathematics that several methods use."""
MEASURES = [measure for module in (*METHODS, *SHARED) for measure in module.MEASURES]
OF_VALUES = "that of the values"
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
    spoken = {code.value for code in vars(Unit).values() if hasattr(code, "value")}
    assert stated.group(1) in spoken | ({OF_VALUES} if measure.__module__ == histogram.__name__ else set())


def test_every_method_of_the_room_is_among_those_tested() -> None:
    modules = [
        importlib.import_module(f"her2node.quantities.{found.name}")
        for found in pkgutil.iter_modules(quantities.__path__)
    ]
    assert {m for m in modules if hasattr(m, "measure")} == {*METHODS, *TABLES}


def test_every_function_that_gives_a_number_alone_is_listed_as_a_quantity() -> None:
    for method in (*METHODS, *SHARED):
        numbers = {function for module in _modules(method) for function in _numbers(module)}
        assert numbers == set(method.MEASURES)


def _modules(method: ModuleType) -> Iterator[ModuleType]:
    """The method itself and, of a package, its modules."""
    yield method
    for found in pkgutil.iter_modules(getattr(method, "__path__", [])):
        yield importlib.import_module(f"{method.__name__}.{found.name}")


def _numbers(module: ModuleType) -> Iterator[Callable[..., float]]:
    """What gives a number, or one a voxel; in a package functions that give arrays are its parts."""
    of_numbers = {"float"} if module.__name__.count(".") > 2 else {"float", "Floats"}
    for name, function in inspect.getmembers(module, inspect.isfunction):
        here = function.__module__ == module.__name__ and not name.startswith("_")
        if here and function.__annotations__.get("return") in of_numbers:
            yield function


@pytest.mark.parametrize("name", names().values(), ids=lambda name: name.tag)
def test_every_feature_of_a_table_says_its_formula_unit_and_source(name: Name) -> None:
    feature = name.feature
    assert len(feature.formula) > 4
    assert re.match(r"[A-Z0-9]", feature.name)
    assert feature.dimension in Dimension
    assert re.fullmatch(r"[0-9A-Z]{4}", feature.code), "the source is IBSI's code"


def test_every_family_of_features_says_what_it_is_of_and_where_ibsi_defines_it() -> None:
    """By the code of the family in IBSI's manual."""
    families = (
        "morphology",
        "local_intensity",
        "statistics",
        "histogram",
        "volume_histogram",
        "cooccurrence",
        "counted",
        "tone_difference",
    )
    for family in families:
        module = importlib.import_module(f"her2node.quantities.radiomics.{family}")
        assert re.search(r"\b(IBSI )?[0-9A-Z]{4}\)", module.__doc__ or ""), family
