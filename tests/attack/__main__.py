"""`make attack EXAMPLES=100`: schemathesis on both OpenAPI documents of a Kalla of its own."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.support import running_kalla

UNSAYABLE = "positive_data_acceptance"
"""A JSON schema cannot say that two sources need two aliases, that a URI begins as its type has it,
which card ids a session has, and that a recipe is named once: such requests are refused with a 400."""


def main() -> None:
    """Attack the gateway and the runner; ends with 1 if anything undocumented came back."""
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("--program", required=True, help="schemathesis of an environment of its own")
    parser.add_argument("--examples", type=int, default=100, help="of each operation")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--strict", action="store_true", help="also show what a schema cannot say")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory(prefix="kalla-attack-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o711)
        (root / "data").mkdir()
        with running_kalla(root / "home", root / "data") as kalla:
            command = [options.program, "run", "-n", str(options.examples), "--seed", str(seed)]
            command += ["--continue-on-failure", "--request-timeout", "60", "--no-shrink"]
            command += [] if options.strict else ["--exclude-checks", UNSAYABLE]
            ends = [
                subprocess.run([*command, f"{kalla.state[name]}/openapi.json"], cwd=root, check=False)
                for name in ("gateway", "runner")
            ]
    sys.exit(any(end.returncode for end in ends))


if __name__ == "__main__":
    main()
