"""Flink's JobManager and TaskManagers, and the ZooKeeper that remembers their jobs.

https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/deployment/resource-providers/standalone/overview/
The distribution is that of the Python package ``apache-flink``.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from quicksilver.errors import InputError
from setup.services import HERE, Service, java, listens, python, render
from setup.settings import ClusterSettings


def home() -> Path:
    """Return the folder of Flink's distribution.

    Raises:
        InputError: apache-flink is not installed.
    """
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise InputError("apache-flink is not installed: `make cluster` installs what the cluster needs")
    return Path(spec.origin).parent


def flink(settings: ClusterSettings, connector: Path) -> list[Service]:
    """Return ZooKeeper, the JobManager and the TaskManagers; ``connector`` holds the Kafka connector's jar."""
    folder = (settings.folder / "flink").resolve()
    environment = {
        "FLINK_HOME": str(home()), "FLINK_CONF_DIR": str(folder / "conf"), "FLINK_LOG_DIR": str(folder / "log"),
        "FLINK_PID_DIR": str(folder / "pid"), "FLINK_LIB_DIR": str(folder / "lib"),
        "JAVA_HOME": str(Path(java()).resolve().parent.parent),
    }  # fmt: skip

    def prepare() -> None:
        _configure(settings, folder)
        _link_jars(folder / "lib", connector)

    def service(name: str, script: str, arguments: list[str], ready: Callable[[], bool], **ports: int) -> Service:
        return Service(name, ["bash", str(home() / "bin" / script), *arguments], ports, ready, prepare, environment)

    def registered() -> bool:
        found = rest(settings, "/overview")
        return found is not None and found.get("taskmanagers", 0) >= settings.flink_taskmanagers

    host, foreground = settings.host, ["start-foreground"]
    return [
        service(
            # Not by zookeeper.sh, which would stand between us and the server: killed, it would leave that behind.
            "zookeeper", "flink-console.sh", ["zookeeper", "--zkConfigFile", f"{folder}/conf/zoo.cfg", "--peerId", "1"],
            lambda: listens(host, settings.zookeeper_port), zookeeper_port=settings.zookeeper_port,
        ),
        service(
            "flink-jobmanager", "jobmanager.sh", foreground, lambda: rest(settings, "/overview") is not None,
            flink_port=settings.flink_port, flink_rpc_port=settings.flink_rpc_port,
        ),
        *(
            service(f"flink-taskmanager-{i}", "taskmanager.sh", foreground, registered)
            for i in range(settings.flink_taskmanagers)
        ),
    ]  # fmt: skip


def rest(settings: ClusterSettings, path: str) -> dict[str, Any] | None:
    """Ask Flink's REST interface; None while it cannot answer."""
    try:
        with urlopen(f"http://{settings.host}:{settings.flink_port}{path}", timeout=5) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except (URLError, TimeoutError, ValueError, ConnectionError):
        return None


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
    """Put Flink's own jars, its Python support and the Kafka connector into one folder.

    Thread mode needs the latter two on the class path of the servers themselves.
    """
    lib.mkdir(parents=True, exist_ok=True)
    own = [*(home() / "lib").glob("*.jar"), *(home() / "opt").glob("flink-python-*.jar")]
    for jar in [*own, *connector.glob("*.jar")]:
        link = lib / jar.name
        if not link.is_symlink():
            link.symlink_to(jar.resolve())
