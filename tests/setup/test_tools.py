"""What is missing on a machine is said, all of it, before anything is started; Maven is a script on a made-up PATH."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from quicksilver.errors import InputError
from setup import tools
from setup.jars import fetch, have
from setup.tools import java, jdk, missing_packages, require_tools


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "bin"


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def version(path: Path, number: str) -> None:
    script(path, f"echo 'openjdk version \"{number}\"' >&2")


def test_all_that_is_missing_is_said_at_once(machine: Path) -> None:
    with pytest.raises(InputError) as caught:
        require_tools(jars_are_there=False)
    said = str(caught.value)
    assert "Java 17 is needed for the cluster, and there is none: apt-get install openjdk-17-jdk-headless" in said
    assert "Maven is needed to fetch the servers' jars: apt-get install maven" in said
    with pytest.raises(InputError) as caught:
        require_tools(jars_are_there=True)
    assert "Maven" not in str(caught.value)


def test_a_java_without_a_compiler_is_not_enough(machine: Path) -> None:
    version(machine / "java", "21.0.1")
    with pytest.raises(InputError, match="javac is needed to compile the Flink jobs' Java class"):
        require_tools(jars_are_there=True)
    version(machine / "javac", "21.0.1")
    if not missing_packages():
        require_tools(jars_are_there=True)


def test_packages_that_are_missing_are_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PACKAGES", {"no_such_module": "apache-none"})
    with pytest.raises(InputError, match="Python packages are missing, apache-none: `make cluster` installs them"):
        require_tools(jars_are_there=True)


@pytest.mark.parametrize("number", ["11.0.2", "1.8.0_392"])
def test_an_old_java_is_named_and_java_home_goes_before_path(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: str
) -> None:
    version(machine / "java", number)
    with pytest.raises(InputError, match=f"java is {number.partition('_')[0]}: .*or set JAVA_HOME"):
        java()
    version(tmp_path / "jdk/bin/java", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert java() == str(tmp_path / "jdk/bin/java")
    assert jdk("javac") is None


def test_looking_and_stopping_need_nothing_installed(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_FOLDER", str(tmp_path / "cluster"))
    monkeypatch.setenv("CLUSTER_JARS", str(tmp_path / "jars"))
    results = {name: CliRunner().invoke(app, ["cluster", *name.split()]) for name in ("status", "down", "logs kafka")}
    assert {name: result.exit_code for name, result in results.items()} == {"status": 1, "down": 0, "logs kafka": 2}
    assert results["down"].stdout == "nothing was running\n"
    assert results["logs kafka"].stderr == f"error: kafka has no log yet: it was never started in {tmp_path}/cluster\n"
    assert not (tmp_path / "jars").exists()
    up = CliRunner().invoke(app, ["cluster", "up"])
    assert up.exit_code == 2
    assert up.stderr.startswith("error: Java 17 is needed")
    assert not (tmp_path / "cluster").exists()


def test_jars_arrive_with_progress_and_an_interruption_leaves_no_half(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setup.jars.SAY_S", 0.0)
    said: list[str] = []
    script(machine / "mvn", "echo '[ERROR] no route to the repository'; exit 1")
    with pytest.raises(InputError, match="flink: Maven could not fetch the jars: no route to the repository"):
        fetch("flink", tmp_path / "jars", said.append)
    assert list((tmp_path / "jars").iterdir()) == []
    place = 'for one; do case $one in -DoutputDirectory=*) : > "${one#*=}/a.jar";; esac; done'
    line = "Downloaded from central: there/a-1.jar (1.5 MB at 900 kB/s)"
    script(machine / "mvn", f"echo '{line}'\n{place}")
    folder = fetch("flink", tmp_path / "jars", said.append)
    assert [one.name for one in folder.glob("*.jar")] == ["a.jar"]
    assert said[-2:] == ["flink: 1 jars fetched, 2 MB", "flink: 1 jars"]
    shutil.rmtree(machine)  # it is not asked again
    assert fetch("flink", tmp_path / "jars", said.append) == folder
    (folder / ".pom.xml").write_text("an older pom")
    assert not have("flink", tmp_path / "jars")
