"""Tags, codes and what others call them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from her2node.quantities import compiling
from her2node.quantities.radiomics.names import names, pyradiomics
from tests.quantities.radiomics import made

LEFT_OUT = {
    "morph_vol_dens_ombb",
    "morph_area_dens_ombb",
    "morph_vol_dens_mvee",
    "morph_area_dens_mvee",
    "ivh_auc",
}
"""IBSI names them and did not standardise them."""


@pytest.mark.truth
def test_every_standardised_tag_is_known_and_no_other(shared: Path) -> None:
    tables = [made.rows(shared, name) for name in ("digital_phantom", *(f"config_{c}" for c in "ABCDE"))]
    standardised = {row.tag for rows in tables for row in rows if not row.is_diagnostic}
    assert names().keys() == standardised
    assert not names().keys() & LEFT_OUT


def test_every_code_has_four_characters_and_belongs_to_one_feature() -> None:
    by_code = Counter(name.feature.code for name in names().values() if name.aggregation is None)
    by_code += Counter({name.feature.tag: name.feature.code for name in names().values() if name.aggregation}.values())
    assert set(by_code.values()) == {1}
    assert {len(code) for code in by_code} == {4}


def test_every_code_that_dicom_has_too_bears_its_meaning() -> None:
    concepts = {
        getattr(codes.IBSI, keyword).value: getattr(codes.IBSI, keyword).meaning for keyword in codes.IBSI.dir()
    }
    ours = {name.code.value: name.code.meaning for name in names().values()}
    shared = ours.keys() & concepts.keys()
    assert len(shared) > 130
    assert {code: ours[code] for code in shared} == {code: concepts[code] for code in shared}
    assert concepts.keys() - ours.keys() == {"ZH1A", "IQYR", "SWZ1", "BRI8"}  # bounding box, minimum volume ellipsoid


def test_the_names_of_pyradiomics_belong_to_known_tags_and_to_one_each() -> None:
    assert pyradiomics().keys() <= names().keys()
    assert len(set(pyradiomics().values())) == len(pyradiomics()) == 105
    assert pyradiomics()["cm_joint_max_3D_avg"] == "original_glcm_MaximumProbability"


def test_importing_the_room_loads_no_compiler() -> None:
    code = "import sys, her2node.quantities.radiomics; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kernel_is_compiled_without_a_cache_where_none_can_be_written() -> None:
    scope: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x\n", scope)  # of no file, so that numba finds no place for a cache
    assert compiling.compiled(scope["double"])(21) == 42  # type: ignore[type-var]
