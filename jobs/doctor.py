"""What this machine has of what Quicksilver needs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 20.0
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # Maven prints its version in bold, and the code for that holds a number


class Check(NamedTuple):
    """One thing looked for; ``needed`` is False for what only some commands want."""

    name: str
    ok: bool
    needed: bool
    found: str
    remedy: str


def _version(command: str, *arguments: str) -> str:
    """Return the first version number that a program prints, or nothing if it cannot be run."""
    path = shutil.which(command)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = COLOUR.sub("", done.stdout + done.stderr)
    match = re.search(r"\d+(\.\d+)*", said) if done.returncode == 0 else None
    return match[0] if match else ""


def _at_least(found: str, major: int) -> bool:
    return bool(found) and int(found.split(".", maxsplit=1)[0]) >= major


def checks() -> list[Check]:
    """Look at everything, what is needed first."""
    python = ".".join(map(str, sys.version_info[:3]))
    node, java = _version("node", "--version"), _version("java", "-version")
    maven, chromium = _version("mvn", "--version"), _version("chromium", "--version")
    tapes = Path(os.environ.get("QUICKSILVER_TAPES", ROOT.parent / "shared" / "data"))
    packages = [name for name in ("numba", "fastapi", "river", "msgspec") if importlib.util.find_spec(name) is None]
    page = ROOT / "web" / "dist" / "index.html"
    hftbacktest = importlib.util.find_spec("hftbacktest") is not None
    return [
        Check("python", sys.version_info[:2] == (3, 11), True, python, "install Python 3.11 (apache-flink's newest)"),
        Check("packages", not packages, True, f"missing: {packages}" if packages else "installed", "run `make setup`"),
        Check("node", _at_least(node, 20), True, node or "not found", "install Node.js 20 or newer, with npm"),
        Check("page", page.is_file(), True, "built" if page.is_file() else "not built", "run `make setup`"),
        Check("chromium", bool(chromium), False, chromium or "not found", "browser tests: apt-get install chromium"),
        Check("recordings", tapes.is_dir(), False, str(tapes), "for tests on real data: set QUICKSILVER_TAPES"),
        Check(
            "bench",
            hftbacktest,
            False,
            "installed" if hftbacktest else "not found",
            "for `make bench`: run `make test`",
        ),
        Check("java", _at_least(java, 17), False, java or "not found", "for the cluster: install OpenJDK 17"),
        Check("maven", bool(maven), False, maven or "not found", "for the cluster: apt-get install maven"),
    ]
