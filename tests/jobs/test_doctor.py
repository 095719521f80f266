"""The doctor on machines that have everything, something and nothing: programs are little scripts on a made-up PATH."""

import importlib.util
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs import doctor
from jobs.cli import app
from jobs.doctor import Check, checks
from setup.tools import GET_JAVA, GET_PACKAGES, missing_packages

PYTHON = ".".join(map(str, sys.version_info[:3]))
BROWSER = "Chromium 140.0.7339.80 built on Debian GNU/Linux 12"
JAVA = 'openjdk version "17.0.15" 2025-04-15'
MAVEN = "\x1b[1mApache Maven 3.8.7\x1b[m"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with Python and its packages, and nothing else."""
    for name in ("bin", "tapes", "web/dist"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("QUICKSILVER_TAPES", str(tmp_path / "no-tapes"))
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    return tmp_path


def install(machine: Path, name: str, says: str, *, stream: str = "1", code: int = 0, shell: str = "/bin/sh") -> None:
    path = machine / "bin" / name
    path.write_text(f"#!{shell}\necho '{says}' >&{stream}\nexit {code}\n")
    path.chmod(0o755)


def install_all(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, "node", "v20.20.2")
    install(machine, "chromium", BROWSER)
    install(machine, "java", JAVA, stream="2")
    install(machine, "javac", "javac 17.0.15")
    install(machine, "mvn", MAVEN)
    (machine / "web/dist/index.html").touch()
    monkeypatch.setenv("QUICKSILVER_TAPES", str(machine / "tapes"))


def by_name() -> dict[str, Check]:
    return {check.name: check for check in checks()}


def test_a_machine_with_everything_is_well(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_all(machine, monkeypatch)
    result = CliRunner().invoke(app, ["doctor"])
    there = importlib.util.find_spec("hftbacktest") is not None
    missing = "-    bench        not found\n     -> for `make bench`: run `make test`"
    lacking = f"-    cluster      missing: {', '.join(missing_packages())}\n     -> for the cluster: {GET_PACKAGES}"
    assert result.exit_code == 0
    assert result.stdout == (
        f"ok   python       {PYTHON}\n"
        "ok   packages     installed\n"
        "ok   node         20.20.2\n"
        "ok   page         built\n"
        "ok   chromium     140.0.7339.80\n"
        f"ok   recordings   {machine}/tapes\n"
        f"{'ok   bench        installed' if there else missing}\n"
        "ok   java         17.0.15\n"
        "ok   javac        17.0.15\n"
        "ok   maven        3.8.7\n"
        f"{'ok   cluster      installed' if not missing_packages() else lacking}\n"
    )


def test_what_is_missing_is_said_with_its_remedy_and_needed_things_fail(machine: Path) -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    lines = [
        line
        for line in result.stdout.splitlines()
        if not line.startswith(
            ("ok ", "-    bench", "     -> for `make", "-    cluster", f"     -> for the cluster: {GET_PACKAGES}")
        )
    ]
    assert lines == [
        "MISS node         not found",
        "     -> install Node.js 20 or newer, with npm",
        "MISS page         not built",
        "     -> run `make setup`",
        "-    chromium     not found",
        "     -> browser tests: apt-get install chromium",
        f"-    recordings   {machine}/no-tapes",
        "     -> for tests on real data: set QUICKSILVER_TAPES",
        "-    java         not found",
        f"     -> for the cluster: {GET_JAVA}",
        "-    javac        not found",
        f"     -> for the cluster: {GET_JAVA}",
        "-    maven        not found",
        "     -> for the cluster: apt-get install maven",
    ]


def test_only_needed_things_fail(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, "node", "v22.1.0")
    (machine / "web/dist/index.html").touch()
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "MISS" not in result.stdout
    assert "-    java         not found" in result.stdout


@pytest.mark.parametrize(("says", "found", "ok"), [("v18.19.0", "18.19.0", False), ("v20.0.0", "20.0.0", True)])
def test_a_program_that_is_too_old_is_a_miss(machine: Path, says: str, found: str, ok: bool) -> None:
    install(machine, "node", says)
    assert by_name()["node"] == Check("node", ok, True, found, "install Node.js 20 or newer, with npm")


def test_missing_packages_are_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in {"river", "numba"} else find(name))
    assert by_name()["packages"] == Check("packages", False, True, "missing: ['numba', 'river']", "run `make setup`")


def test_a_program_that_cannot_be_run_fails_or_hangs_counts_as_missing(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setup.tools.TIMEOUT_S", 0.2)
    install(machine, "node", "v20.0.0", shell="/no/such/shell")
    install(machine, "java", "The operation couldn\u2019t be completed: error 17", code=1)
    install(machine, "mvn", "3.8.7")
    (machine / "bin/mvn").write_text("#!/bin/sh\necho 3.8.7\nexec /bin/sleep 30\n")
    found = by_name()
    assert {name: (found[name].ok, found[name].found) for name in ("node", "java", "maven")} == {
        "node": (False, "not found"), "java": (False, "not found"), "maven": (False, "not found"),
    }  # fmt: skip
