"""The table of errors in docs/api.md; `python -m tests.unit.docs.error_table` writes it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from kalla_common import errors

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
BEGIN = "<!-- errors: made from the catalogue, checked by tests/unit/docs/test_docs.py -->\n"
END = "<!-- /errors -->\n"


def meanings() -> dict[str, str]:
    """The docstring below each code."""
    (tree,) = [
        node
        for node in ast.parse(inspect.getsource(errors)).body
        if isinstance(node, ast.ClassDef) and node.name == "Code"
    ]
    found: dict[str, str] = {}
    for code, text in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(code, ast.Assign)
            and isinstance(text, ast.Expr)
            and isinstance(code.targets[0], ast.Name)
        ):
            found[code.targets[0].id] = str(ast.literal_eval(text.value))
    return found


def error_table() -> str:
    """The table as Markdown."""
    lines = ["| Code | HTTP | gRPC | Again | Meaning |", "|---|---|---|---|---|"]
    known = meanings()
    for code, info in errors.CATALOGUE.items():
        again = "yes" if info.retryable else ""
        lines.append(f"| {code} | {info.http_status} | {info.grpc_status.name} | {again} | {known[code]} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the present table in its place."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + error_table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
