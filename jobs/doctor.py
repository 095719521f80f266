"""What this machine has of what Quicksilver needs."""

import importlib.util
import os
import sys
from pathlib import Path
from shutil import which
from typing import NamedTuple

from setup.tools import GET_JAVA, GET_MAVEN, GET_PACKAGES, JAVA, at_least, jdk, missing_packages, version_of

ROOT = Path(__file__).resolve().parent.parent


class Check(NamedTuple):
    """One thing looked for; ``needed`` is False for what only some commands want."""

    name: str
    ok: bool
    needed: bool
    found: str
    remedy: str


def checks() -> list[Check]:
    """Look at everything, what is needed first."""
    python = ".".join(map(str, sys.version_info[:3]))
    node, chromium = version_of(which("node"), "--version"), version_of(which("chromium"), "--version")
    tapes = Path(os.environ.get("QUICKSILVER_TAPES", ROOT.parent / "shared" / "data"))
    packages = [name for name in ("numba", "fastapi", "river", "msgspec") if importlib.util.find_spec(name) is None]
    page = ROOT / "web" / "dist" / "index.html"
    hftbacktest = importlib.util.find_spec("hftbacktest") is not None
    return [
        Check("python", sys.version_info[:2] == (3, 11), True, python, "install Python 3.11 (apache-flink's newest)"),
        Check("packages", not packages, True, f"missing: {packages}" if packages else "installed", "run `make setup`"),
        Check("node", at_least(node, 20), True, node or "not found", "install Node.js 20 or newer, with npm"),
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
        *_cluster_checks(),
    ]


def _cluster_checks() -> list[Check]:
    """Look at what only the cluster needs."""
    java, javac = version_of(jdk("java"), "-version"), version_of(jdk("javac"), "-version")
    maven, packages = version_of(which("mvn"), "--version"), missing_packages()
    lacks = f"missing: {', '.join(packages)}"
    return [
        Check("java", at_least(java, JAVA), False, java or "not found", f"for the cluster: {GET_JAVA}"),
        Check("javac", at_least(javac, JAVA), False, javac or "not found", f"for the cluster: {GET_JAVA}"),
        Check("maven", bool(maven), False, maven or "not found", f"for the cluster: {GET_MAVEN}"),
        Check("cluster", not packages, False, lacks if packages else "installed", f"for the cluster: {GET_PACKAGES}"),
    ]
