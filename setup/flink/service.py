"""Flink's JobManager and TaskManagers, and the ZooKeeper that remembers their jobs.

https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/deployment/resource-providers/standalone/overview/
The distribution is that of the Python package ``apache-flink``.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_paths
from typing import Any

from quicksilver.errors import InputError
from setup.flink.messages_jar import build
from setup.services import HERE, Launch, Service, answers, get_json, java_home, python, render
from setup.settings import ClusterSettings
from setup.tools import GET_PACKAGES, java


def home() -> Path:
    """Return the folder of Flink's distribution.

    Raises:
        InputError: apache-flink is not installed.
    """
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise InputError(f"apache-flink is not installed: {GET_PACKAGES}")
    return Path(spec.origin).parent


def flink(settings: ClusterSettings, connector: Path) -> list[Service]:
    """Return ZooKeeper, the JobManager and the TaskManagers; ``connector`` holds the Kafka connector's jar."""
    folder = (settings.folder / "flink").resolve()
    host = settings.host

    def service(
        name: str, script: str, arguments: list[str], ready: Callable[[float], bool], cap: str, **ports: int
    ) -> Service:
        """Return one of Flink's processes; ``cap`` says what bounds its memory."""

        def prepare() -> Launch:
            """Write the configuration, link the connectors, and return the command."""
            _configure(settings, folder)
            _link_jars(folder / "lib", connector)
            heap = {"JVM_ARGS": f"-Xmx{settings.zookeeper_mb}m"} if name == "zookeeper" else {}
            return Launch(["bash", str(home() / "bin" / script), *arguments], environment(settings) | heap)

        return Service(name, ports, ready, prepare, cap)

    def taskmanager(name: str) -> Service:
        """Return a task manager, which is ready once it is registered."""
        # Under a name of its own a new process takes the dead one's place at once; else both count for 10 s.
        arguments = ["start-foreground", "-D", f"taskmanager.resource-id={name}"]
        cap = f"{settings.flink_taskmanager_mb} MB"
        return service(name, "taskmanager.sh", arguments, lambda since: _registered(settings, name, since), cap)

    return [
        service(
            # Not by zookeeper.sh, which would stand between us and the server: killed, it would leave that behind.
            "zookeeper", "flink-console.sh", ["zookeeper", "--zkConfigFile", f"{folder}/conf/zoo.cfg", "--peerId", "1"],
            lambda _: answers(host, settings.zookeeper_port, b"ruok", lambda reply: reply == b"imok"),
            f"{settings.zookeeper_mb} MB", zookeeper_port=settings.zookeeper_port,
        ),
        service(
            "flink-jobmanager", "jobmanager.sh", ["start-foreground"],
            lambda _: rest(settings, "/overview") is not None, f"{settings.flink_jobmanager_mb} MB",
            flink_port=settings.flink_port, flink_rpc_port=settings.flink_rpc_port,
        ),
        *(taskmanager(f"flink-taskmanager-{i}") for i in range(settings.flink_taskmanagers)),
    ]  # fmt: skip


def rest(settings: ClusterSettings, path: str) -> dict[str, Any] | None:
    """Ask Flink's REST interface; None while it cannot answer."""
    return get_json(f"http://{settings.host}:{settings.flink_port}{path}")


def _registered(settings: ClusterSettings, name: str, since_ms: float) -> bool:
    """Whether the JobManager has heard of a TaskManager since its process was started, not of the one before it."""
    found = rest(settings, "/taskmanagers") or {}
    return any(one["id"] == name and one["timeSinceLastHeartbeat"] > since_ms for one in found.get("taskmanagers", []))


def environment(settings: ClusterSettings) -> dict[str, str]:
    """Return the variables that Flink's scripts, servers and clients need."""
    folder = (settings.folder / "flink").resolve()
    return {
        "FLINK_HOME": str(home()), "FLINK_CONF_DIR": str(folder / "conf"), "FLINK_LOG_DIR": str(folder / "log"),
        "FLINK_PID_DIR": str(folder / "pid"), "FLINK_LIB_DIR": str(folder / "lib"), "JAVA_HOME": java_home(java()),
        # The Python inside a TaskManager is that of the library libpython, which knows of no virtual environment.
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), get_paths()["purelib"], os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip


def _configure(settings: ClusterSettings, folder: Path) -> None:
    conf, source = folder / "conf", HERE / "flink"
    render(
        source / "config.yaml", conf / "config.yaml", host=settings.host, port=settings.flink_port,
        rpc_port=settings.flink_rpc_port, zookeeper_port=settings.zookeeper_port, data=folder / "data",
        jobmanager_mb=settings.flink_jobmanager_mb, taskmanager_mb=settings.flink_taskmanager_mb, python=python(),
    )  # fmt: skip
    render(source / "zoo.cfg", conf / "zoo.cfg", host=settings.host, port=settings.zookeeper_port, data=folder / "data")
    render(source / "log4j-console.properties", conf / "log4j-console.properties")
    for name in ("log", "pid", "data/zookeeper"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def _link_jars(lib: Path, connector: Path) -> None:
    """Put Flink's own jars, its Python support and the Kafka connector into one folder, and no others.

    Thread mode needs the latter two on the class path of the servers themselves.
    """
    lib.mkdir(parents=True, exist_ok=True)
    own = [*(home() / "lib").glob("*.jar"), *(home() / "opt").glob("flink-python-*.jar")]
    needed = [*own, *connector.glob("*.jar")]
    needed.append(build(lib.parent / "messages", needed))
    wanted = {jar.name: jar.resolve() for jar in needed}
    for link in lib.iterdir():
        if link.resolve() != wanted.get(link.name):
            link.unlink()
    for name, jar in wanted.items():
        if not (lib / name).is_symlink():
            (lib / name).symlink_to(jar)
