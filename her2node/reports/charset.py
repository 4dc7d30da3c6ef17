"""The Specific Character Set of an object: the source's own, wherever it can say everything.

A PACS shows a name rightly when an object bears the same character set as its study, so the source's is kept: GB18030,
GBK, UTF-8, ISO 2022 mixes. Our own sentences give way: signs that it lacks are folded to ASCII. Only where text from
elsewhere (a region's label) does not fit does the object change to UTF-8, with every value converted.

pydicom 3.0 neither removes nor writes the escape sequence of ISO 2022 IR 58 (GB 2312). What it read it writes back
byte by byte, so names survive; text that did not come that way gets its escapes here.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydicom.charset import encode_string, python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

UTF8 = "ISO_IR 192"
_GB2312 = "ISO 2022 IR 58"
_ESCAPE = "\x1b$)A"
_DEFAULT = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u2033", '"'),
        "\u00d7": "x",
        "\u00b7": "*",
        "\u00b1": "+/-",
        "\u2264": "<=",
        "\u2265": ">=",
        "\u2248": "~",
        "\u03bc": "u",
        "\u00b5": "u",
    }
)


def settle(ds: Dataset, source: tuple[str, ...], theirs: frozenset[str]) -> None:
    """Choose and set the character set of ``ds``, folding or converting its texts where that must be.

    ``source``: the terms of the source, () where it names none. ``theirs``: keywords of the elements of ``ds`` that
    were copied from the source; they are never folded. Their undeclared bytes, where the source names no character
    set and yet is not ASCII, stay as they are.
    """
    texts = tuple(_texts(ds, theirs))
    terms = _known(source)
    if terms is not None:
        for text in texts:
            text.fit(terms)
    if terms is None or not all(text.fits(terms) for text in texts):
        terms = (UTF8,) if _declared(texts, terms) else ("",)
        for text in texts:
            text.convert(terms)
    if any(terms):
        ds.SpecificCharacterSet = list(terms) if len(terms) > 1 else terms[0]
    elif "SpecificCharacterSet" in ds:
        del ds.SpecificCharacterSet


def folded(text: str) -> str:
    """``text`` with typographic signs and accents as ASCII; letters of other scripts stay."""
    plain = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return unicodedata.normalize("NFC", "".join(sign for sign in plain if not unicodedata.combining(sign)))


def unescaped(text: str) -> str:
    """``text`` without the escape sequences that pydicom leaves in it."""
    return text.replace(_ESCAPE, "")


@dataclass(frozen=True)
class _Text:
    element: DataElement
    theirs: bool

    @property
    def values(self) -> tuple[str, ...]:
        value = self.element.value
        return tuple(map(str, value)) if isinstance(value, (MultiValue, list)) else (str(value),)

    def fits(self, terms: tuple[str, ...]) -> bool:
        return all(_fits(value, terms, self.theirs) for value in self.values)

    def fit(self, terms: tuple[str, ...]) -> None:
        """Fold our own texts that do not fit, and give those that need them their escape sequences."""
        if not self.theirs and not self.fits(terms):
            self._set(tuple(value if _fits(value, terms, False) else folded(value) for value in self.values))
        if _GB2312 in terms and self.fits(terms):
            self._set(tuple(map(_escaped, self.values)))

    def convert(self, terms: tuple[str, ...]) -> None:
        """To UTF-8, or, where that cannot be, to ASCII with ? for what is lost; theirs stay."""
        if terms == (UTF8,):
            self._set(tuple(map(unescaped, self.values)))
        elif not self.theirs:
            self._set(tuple(folded(value).encode("ascii", "replace").decode() for value in self.values))

    def _set(self, values: tuple[str, ...]) -> None:
        if values != self.values:
            self.element.value = list(values) if len(values) > 1 else values[0]


def _texts(ds: Dataset, theirs: frozenset[str]) -> Iterator[_Text]:
    """Every element at any depth whose text depends on the character set."""
    for root in ds:
        members = [root] if root.VR != "SQ" else [element for item in root.value for element in item.iterall()]
        for element in members:
            if element.VR in CUSTOMIZABLE_CHARSET_VR and element.value:
                yield _Text(element, root.keyword in theirs)


def _known(source: tuple[str, ...]) -> tuple[str, ...] | None:
    """The source's terms, ('',) for the default repertoire; None when one of them is unknown."""
    if _DEFAULT.issuperset(source):
        return ("",)
    return source if all(term in python_encoding for term in source) else None


def _declared(texts: tuple[_Text, ...], terms: tuple[str, ...] | None) -> bool:
    """Whether the source's texts are known to be what they seem."""
    return terms != ("",) or all(value.isascii() for text in texts if text.theirs for value in text.values)


def _fits(text: str, terms: tuple[str, ...], theirs: bool) -> bool:
    if text.isascii():
        return True
    if terms == ("",):
        return theirs
    return all(any(_encodable(sign, python_encoding[term]) for term in terms) for sign in set(text))


@lru_cache(maxsize=4096)
def _encodable(sign: str, encoding: str) -> bool:
    if sign.isascii():
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydicom warns and writes a question mark
        try:
            encode_string(sign, [encoding])
        except UserWarning:
            return False
    return True


def _escaped(text: str) -> str:
    """GB 2312 is designated anew in each line and each component of a name that holds any of it (PS3.5 6.1.2.5.3)."""
    if text.isascii() or _ESCAPE in text:
        return text
    pieces = re.split(r"([\r\n\f\t^=]+)", text)
    return "".join(piece if piece.isascii() else _ESCAPE + piece for piece in pieces)
