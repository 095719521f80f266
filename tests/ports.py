"""Ports of a test's own: nobody else is given one between its choice and the start of the server that is to have it."""

import atexit
import socket
from contextlib import ExitStack
from pathlib import Path

from setup.settings import ClusterSettings

_held = ExitStack()
atexit.register(_held.close)


def own_port() -> int:
    """Return a port that stays this process's to its end.

    A socket that does not listen holds it: the kernel gives the port to nobody who asks for any, connections to it are
    refused, and who asks for this one with SO_REUSEADDR, as servers do, can listen there, again and again.
    """
    one = _held.enter_context(socket.socket())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    port: int = one.getsockname()[1]
    return port


def cluster_settings(folder: Path) -> ClusterSettings:
    """Return settings of a cluster that disturbs no other: ports of its own, files under ``folder``."""
    names = [name for name in ClusterSettings.model_fields if name.endswith("_port")]
    return ClusterSettings(folder=folder).model_copy(update={name: own_port() for name in names})
