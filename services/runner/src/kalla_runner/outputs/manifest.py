"""What a run states about its outputs, and the check that they are what it states."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from kalla_common.domain import SideDiagnostics, WitnessReport
from kalla_common.errors import Code, KallaError

from kalla_runner.outputs.writer import WrittenFile
from kalla_runner.storage import storage_errors

MANIFEST: Final = "manifest.json"
MATCHED: Final = "matched.parquet"
UNMATCHED_LEFT: Final = "unmatched_left.parquet"
UNMATCHED_RIGHT: Final = "unmatched_right.parquet"
OUTPUT_FILES: Final = (MATCHED, UNMATCHED_LEFT, UNMATCHED_RIGHT)
FORMAT: Final = "kalla-manifest/1"


@cache
def engine_versions() -> dict[str, str]:
    """The versions of what made the outputs."""
    packages = ("kalla", "datafusion", "pyarrow", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What a manifest says of the run beyond its outputs.

    Attributes:
        run_id: the run.
        recipe_hash: identifies what was asked (query, sources, keys, filters), without secrets.
        pins: per alias the state of the source that was read.
    """

    run_id: str = ""
    recipe_hash: str = ""
    pins: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict[str, Mapping[str, str | int]])


@dataclass(frozen=True, slots=True)
class Manifest:
    """The statement that lies beside the outputs as manifest.json. `files` are in OUTPUT_FILES' order."""

    identity: RunIdentity
    match_path: str
    files: tuple[WrittenFile, ...]
    left: SideDiagnostics
    right: SideDiagnostics
    engine: Mapping[str, str]
    witness: WitnessReport | None = None

    def to_json(self) -> bytes:
        """UTF-8 JSON, the same bytes for the same manifest."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "run_id": self.identity.run_id,
            "recipe_hash": self.identity.recipe_hash,
            "match_path": self.match_path,
            "files": [asdict(entry) for entry in self.files],
            "left": asdict(self.left),
            "right": asdict(self.right),
            "pins": {alias: dict(pin) for alias, pin in self.identity.pins.items()},
            "engine": dict(self.engine),
        }
        if self.witness is not None:
            document["witness"] = self.witness.as_json()
        return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, body: bytes) -> Manifest:
        """The manifest of `to_json`; ValueError, KeyError or TypeError for anything else."""
        document: dict[str, Any] = json.loads(body)
        if document["format"] != FORMAT:
            raise ValueError(f"unknown manifest format {document['format']!r}")
        return cls(
            identity=RunIdentity(document["run_id"], document["recipe_hash"], document["pins"]),
            match_path=document["match_path"],
            files=tuple(WrittenFile(**entry) for entry in document["files"]),
            left=_side(document["left"]),
            right=_side(document["right"]),
            engine=document["engine"],
            witness=WitnessReport(**document["witness"]) if "witness" in document else None,
        )


def _side(document: dict[str, Any]) -> SideDiagnostics:
    for name in ("duplicate_key_examples", "shared_key_examples"):
        document[name] = tuple(document.get(name, ()))
    return SideDiagnostics(**document)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write and sync manifest.json; the last file of an attempt, so that its presence says "whole"."""
    path = folder / MANIFEST
    with storage_errors(path), path.open("wb") as file:
        file.write(manifest.to_json())
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder of outputs.

    Raises:
        KallaError: DATA_NOT_FOUND if there is none, INVALID_DATA if it cannot be read.
    """
    path = folder / MANIFEST
    try:
        return Manifest.from_json(path.read_bytes())
    except OSError as error:
        raise KallaError(
            Code.DATA_NOT_FOUND, f"There is no readable manifest in {folder}; no run has published there."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise KallaError(Code.INVALID_DATA, f"{path} is not a manifest of Kalla.") from error


def verify_manifest(folder: Path) -> Manifest:
    """Read every file of a folder of outputs again and compare it with the manifest.

    Raises:
        KallaError: DATA_NOT_FOUND or INVALID_DATA for the manifest, CONSERVATION_FAILED if a file is
            missing or its bytes or rows are not those that were written.
    """
    manifest = read_manifest(folder)
    if tuple(entry.name for entry in manifest.files) != OUTPUT_FILES:
        raise KallaError(Code.INVALID_DATA, f"The manifest in {folder} does not list the three outputs.")
    for entry in manifest.files:
        _verify(folder / entry.name, entry)
    return manifest


def _verify(path: Path, entry: WrittenFile) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found = WrittenFile(path.name, footer_rows(path), path.stat().st_size, digest)
    except (OSError, ValueError) as error:
        raise KallaError(
            Code.CONSERVATION_FAILED, f"{path} is missing or damaged; run the reconciliation again."
        ) from error
    if found != entry:
        raise KallaError(
            Code.CONSERVATION_FAILED,
            f"{path} is not the file that the run wrote ({entry.rows} rows and {entry.bytes} bytes stated, "
            f"{found.rows} rows and {found.bytes} bytes found); run the reconciliation again.",
        )


def footer_rows(path: Path) -> int:
    """Rows that the footer of a Parquet file states; OSError or ValueError if there is none."""
    return pq.read_metadata(path).num_rows
