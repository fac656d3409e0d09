"""Generates the Python stubs of all contracts from protos/.

Run it through `make stubs`; `--check` compares instead and fails on a difference.
"""

from __future__ import annotations

import filecmp
import os
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # pyright: ignore[reportMissingTypeStubs]

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
TARGET = ROOT / "libs/kalla_common/src"


def generate(out: Path) -> None:
    """Write all stubs below `out`; raises SystemExit if protoc fails."""
    files = sorted(str(p.relative_to(PROTOS)) for p in PROTOS.rglob("*.proto"))
    well_known = Path(protoc.__file__).parent / "_proto"
    for kind in ("python", "grpc_python", "mypy", "mypy_grpc"):
        options = [f"--{kind}_out={out}"]
        services = kind.endswith("grpc") or kind == "grpc_python"
        wanted = [f for f in files if not services or f.endswith("_service.proto")]
        status = protoc.main(["protoc", f"-I{PROTOS}", f"-I{well_known}", *options, *wanted])
        if status:
            sys.exit(f"protoc failed with status {status}")
    for folder in {p.parent for p in (out / "kalla").rglob("*.py")}:
        for package in (folder, *folder.relative_to(out).parents):
            target = out / package
            if target != out:
                (target / "__init__.py").touch()


def main() -> None:
    """Write the stubs, or compare them with the committed ones."""
    plugins = str(Path(sys.executable).parent)
    os.environ["PATH"] = plugins + os.pathsep + os.environ["PATH"]
    if "--check" not in sys.argv:
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        new = {p.relative_to(fresh) for p in fresh.rglob("*.py*") if p.is_file()}
        old = {
            p.relative_to(TARGET)
            for p in (TARGET / "kalla").rglob("*.py*")
            if p.is_file() and "__pycache__" not in p.parts
        }
        differ = (new ^ old) | {p for p in new & old if not filecmp.cmp(fresh / p, TARGET / p, shallow=False)}
    if differ:
        sys.exit("stubs differ from protos/, run `make stubs`: " + ", ".join(sorted(map(str, differ))))


if __name__ == "__main__":
    main()
