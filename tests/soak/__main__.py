"""`python -m tests.soak --minutes 30 --seed 1`: bad luck for so long; ends with 1 if anything went wrong."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import soak


def main() -> None:
    """Run one soak with a printed seed."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--runs", type=int, default=1000, help="small runs at the end, for leaks")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="kalla-soak-"))
    folder.chmod(0o711)
    _say(f"SEED={seed}, logs in {folder / 'home' / 'logs'}")
    wrong = soak(folder, minutes=options.minutes, seed=seed, runs=options.runs, say=_say)
    for sentence in wrong:
        _say(f"WRONG: {sentence}")
    _say(f"SEED={seed}: {'FAILED' if wrong else 'nothing lost, doubled, wrong or left'}")
    if not wrong and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(wrong))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
