"""Functions over text. Characters are Unicode code points; texts are compared byte by byte."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import COUNT, INTEGER, PATTERN, TEXT, one

_FROM: Final = one("start", Family.INTEGER)
_PART: Final = one("part", Family.TEXT)
_FILL: Final = one("fill", Family.TEXT)
_CHARACTERS: Final = one("characters", Family.TEXT)
_ANYTHING: Final = Parameter(
    "value", frozenset({Family.TEXT, Family.INTEGER, Family.DECIMAL, Family.BOOLEAN, Family.DATE})
)
_REGEX: Final = one("pattern", Family.TEXT)
_DELIMITER: Final = one("delimiter", Family.TEXT)
_REPLACEMENT: Final = one("replacement", Family.TEXT)
_BYTES: Final = one("bytes", Family.BINARY, Family.TEXT)
_FLAGS: Final = Parameter("flags", frozenset({Family.TEXT}), literal=True)
_TIMES: Final = Parameter("count", frozenset({Family.INTEGER}), literal=True)


def _text(
    name: str,
    meaning: str,
    *signatures: Signature,
    aliases: tuple[str, ...] = (),
    form: str | None = None,
) -> Entry:
    return Entry(name, "scalar", meaning, signatures, aliases, form)


def _gives(
    duckdb: str | None,
    *parameters: Parameter,
    result: Family = Family.TEXT,
    optional: int = 0,
    repeated: bool = False,
) -> Signature:
    return Signature(parameters, repeated, optional, duckdb, result)


TEXT_FUNCTIONS: Final[tuple[Entry, ...]] = (
    _text(
        "upper",
        "The text in capital letters; ß becomes SS.",
        _gives("upper(replace({0}, 'ß', 'SS'))", TEXT),
        aliases=("ucase",),
    ),
    _text("lower", "The text in small letters.", _gives("lower({0})", TEXT), aliases=("lcase",)),
    _text(
        "initcap",
        "Every word with a capital first letter and small letters after it.",
        _gives(None, TEXT),
    ),
    _text(
        "length",
        "The number of characters, blanks at the end included.",
        _gives("length({0})", TEXT, result=Family.INTEGER),
        aliases=("char_length", "character_length"),
    ),
    _text(
        "octet_length",
        "The number of bytes in UTF-8.",
        _gives("strlen({0})", TEXT, result=Family.INTEGER),
    ),
    _text(
        "btrim",
        "Without blanks, or any of the characters, at both ends.",
        _gives("trim({0}, ' ')", TEXT),
        _gives("trim({0}, {1})", TEXT, _CHARACTERS),
        aliases=("trim",),
    ),
    _text(
        "ltrim",
        "Without blanks, or any of the characters, at the start.",
        _gives("ltrim({0}, ' ')", TEXT),
        _gives("ltrim({0}, {1})", TEXT, _CHARACTERS),
    ),
    _text(
        "rtrim",
        "Without blanks, or any of the characters, at the end.",
        _gives("rtrim({0}, ' ')", TEXT),
        _gives("rtrim({0}, {1})", TEXT, _CHARACTERS),
    ),
    _text(
        "substr",
        "Characters from a position, the first being 1; positions before it count as empty.",
        _gives("substr({0}, CASE WHEN {1} < 1 THEN 1 ELSE {1} END)", TEXT, _FROM),
        _gives(
            "CASE WHEN {0} IS NULL OR {1} IS NULL OR {2} IS NULL THEN NULL "
            "WHEN {2} < 0 THEN error('negative count') WHEN {1} < 1 THEN "
            "substr({0}, 1, CASE WHEN {1} + {2} > 1 THEN {1} + {2} - 1 ELSE 0 END) ELSE "
            "substr({0}, {1}, {2}) END",
            TEXT,
            _FROM,
            COUNT,
        ),
        aliases=("substring", "mid"),
    ),
    _text(
        "left",
        "The first characters; with a negative count all but the last ones.",
        _gives("left({0}, {1})", TEXT, COUNT),
    ),
    _text(
        "right",
        "The last characters; with a negative count all but the first ones.",
        _gives("right({0}, {1})", TEXT, COUNT),
    ),
    _text(
        "lpad",
        "Filled up at the start to a number of characters, at most 1,000, or cut at the end to it.",
        _gives("lpad({0}, {1}, ' ')", TEXT, _TIMES),
        _gives("CASE WHEN {2} = '' THEN left({0}, {1}) ELSE lpad({0}, {1}, {2}) END", TEXT, _TIMES, _FILL),
    ),
    _text(
        "rpad",
        "Filled up at the end to a number of characters, at most 1,000, or cut at the end to it.",
        _gives("rpad({0}, {1}, ' ')", TEXT, _TIMES),
        _gives("CASE WHEN {2} = '' THEN left({0}, {1}) ELSE rpad({0}, {1}, {2}) END", TEXT, _TIMES, _FILL),
    ),
    _text("repeat", "The text so many times, at most 1,000.", _gives("repeat({0}, {1})", TEXT, _TIMES)),
    _text("reverse", "The characters in reverse order.", _gives(None, TEXT)),
    _text(
        "replace",
        "Every occurrence of a part replaced; an empty part changes nothing.",
        _gives("replace({0}, {1}, {2})", TEXT, _PART, _REPLACEMENT),
    ),
    _text(
        "translate",
        "Each character of the second text replaced by the one at its place in the third, or removed.",
        _gives("translate({0}, {1}, {2})", TEXT, _CHARACTERS, _REPLACEMENT),
    ),
    _text(
        "overlay",
        "Characters from a position, at least 1, replaced by another text.",
        _gives(
            "CASE WHEN {2} < 1 AND {0} || {1} IS NOT NULL THEN error('position') "
            "ELSE substr({0}, 1, {2} - 1) || {1} || "
            "substr({0}, {2} + length({1})) END",
            TEXT,
            _REPLACEMENT,
            _FROM,
        ),
        _gives(
            "CASE WHEN {2} < 1 AND {0} || {1} || {3} IS NOT NULL THEN error('position') "
            "ELSE substr({0}, 1, {2} - 1) || {1} || "
            "substr({0}, CASE WHEN {2} + {3} < 1 THEN 1 ELSE {2} + {3} END) END",
            TEXT,
            _REPLACEMENT,
            _FROM,
            COUNT,
        ),
        form="overlay({0} PLACING {1} FROM {2} FOR {3})",
    ),
    _text(
        "split_part",
        "The part of that number between delimiters, counted from 1, or from the end by a negative number.",
        _gives(
            "CASE WHEN {0} IS NULL OR {1} IS NULL OR {2} IS NULL THEN NULL "
            "WHEN {2} = 0 THEN error('part 0') WHEN {1} = '' THEN (CASE WHEN {2} IN (1, -1) THEN {0} "
            "ELSE '' END) ELSE split_part({0}, {1}, {2}) END",
            TEXT,
            _DELIMITER,
            INTEGER,
        ),
    ),
    _text(
        "strpos",
        "The position of a part, the first being 1; 0 where it does not occur.",
        _gives("instr({0}, {1})", TEXT, _PART, result=Family.INTEGER),
        aliases=("instr",),
    ),
    _text(
        "starts_with",
        "Whether the text begins with another.",
        _gives("starts_with({0}, {1})", TEXT, _PART, result=Family.BOOLEAN),
    ),
    _text(
        "ends_with",
        "Whether the text ends with another.",
        _gives("ends_with({0}, {1})", TEXT, _PART, result=Family.BOOLEAN),
    ),
    _text(
        "contains",
        "Whether another text occurs in it.",
        _gives("contains({0}, {1})", TEXT, _PART, result=Family.BOOLEAN),
    ),
    _text(
        "concat",
        "All values as one text; NULLs are left out.",
        _gives("concat({all})", _ANYTHING, repeated=True),
    ),
    _text(
        "concat_ws",
        "All texts with a separator between them; NULLs are left out.",
        _gives("concat_ws({all})", _DELIMITER, _ANYTHING, repeated=True),
    ),
    _text(
        "ascii",
        "The number of the first character in Unicode; 0 of an empty text.",
        _gives("CASE WHEN {0} = '' THEN 0 ELSE unicode({0}) END", TEXT, result=Family.INTEGER),
    ),
    _text("chr", "The character of a number in Unicode, from 1.", _gives("chr({0}::INTEGER)", INTEGER)),
    _text(
        "levenshtein",
        "How many characters must be inserted, deleted or replaced to turn one text into the other.",
        _gives(None, TEXT, TEXT, result=Family.INTEGER),
    ),
    _text(
        "normalize",
        "The text in Unicode normal form NFC, or in NFD, NFKC or NFKD: letters and their marks in one way.",
        _gives("nfc_normalize({0})", TEXT),
        _gives(None, TEXT, Parameter("form", frozenset({Family.TEXT}), literal=True)),
    ),
    _text("md5", "The MD5 hash in hexadecimal small letters.", _gives("md5({0})", TEXT)),
    *(
        _text(
            f"sha{bits}",
            f"The SHA-{bits} hash as bytes; encode(..., 'hex') gives the usual text.",
            _gives("unhex(sha256({0}))" if bits == 256 else None, TEXT, result=Family.BINARY),  # noqa: PLR2004
        )
        for bits in (224, 256, 384, 512)
    ),
    _text(
        "encode",
        "Bytes, or the bytes of a text in UTF-8, in hexadecimal small letters; the second argument is 'hex'.",
        _gives("lower(hex({0}))", _BYTES, PATTERN),
    ),
    _text(
        "regexp_like",
        "Whether a regular expression matches somewhere in the text; flag i ignores the case.",
        _gives("regexp_matches({0}, {1})", TEXT, _REGEX, result=Family.BOOLEAN),
        _gives("regexp_matches({0}, {1}, {2})", TEXT, _REGEX, _FLAGS, result=Family.BOOLEAN),
    ),
    _text(
        "regexp_match",
        "The groups of the first match as a list, or the whole match where there are none; NULL without one.",
        _gives(None, TEXT, _REGEX, result=Family.LIST),
        _gives(None, TEXT, _REGEX, _FLAGS, result=Family.LIST),
    ),
    _text(
        "regexp_replace",
        "The first match replaced, all of them with flag g; \\1 in the replacement is the first group.",
        _gives("regexp_replace({0}, {1}, {2})", TEXT, _REGEX, _REPLACEMENT),
        _gives("regexp_replace({0}, {1}, {2}, {3})", TEXT, _REGEX, _REPLACEMENT, _FLAGS),
    ),
    _text(
        "regexp_count",
        "How often a regular expression matches.",
        _gives("len(regexp_extract_all({0}, {1}))", TEXT, _REGEX, result=Family.INTEGER),
    ),
    _text(
        "regexp_substr",
        "The first match of a regular expression as a whole; NULL without one.",
        _gives("CASE WHEN regexp_matches({0}, {1}) THEN regexp_extract({0}, {1}) END", TEXT, PATTERN),
        aliases=("regexp_extract",),
    ),
    _text(
        "string_to_array",
        "The parts between delimiters as a list; an empty text has none.",
        Signature(
            (TEXT, Parameter("delimiter", frozenset({Family.TEXT}), literal=True)),
            duckdb="CASE WHEN {0} = '' THEN [] ELSE string_split({0}, {1}) END",
            result=Family.LIST,
        ),
        aliases=("string_to_list",),
    ),
)
