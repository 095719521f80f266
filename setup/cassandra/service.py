"""Cassandra, one node: https://cassandra.apache.org/doc/5.0/."""

from pathlib import Path

from setup.services import BEHIND, HERE, Launch, Service, answers, classpath, render
from setup.settings import ClusterSettings
from setup.tools import java

# Native protocol 4: OPTIONS, which is answered by SUPPORTED before any log-in.
# https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec, sections 2, 4.1.3 and 4.2.4
OPTIONS = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])
SUPPORTED = 6


def cassandra(settings: ClusterSettings, jars: Path) -> Service:
    """Return the node; its files are kept."""
    folder = (settings.folder / "cassandra").resolve()
    config, data = folder / "cassandra.yaml", folder / "data"

    def prepare() -> Launch:
        """Write the configuration and return the command."""
        render(
            HERE / "cassandra" / "cassandra.yaml", config, host=settings.host, port=settings.cassandra_port,
            storage_port=settings.cassandra_storage_port, data=data,
        )  # fmt: skip
        return Launch([
            *BEHIND, "--leave-a-core", java(), f"-Xmx{settings.cassandra_mb}m", f"-Xms{settings.cassandra_mb // 2}m",
            f"@{HERE / 'cassandra' / 'jvm.options'}", f"-Dcassandra.config={config.as_uri()}",
            f"-Dcassandra.storagedir={data}", f"-Dcassandra.jmx.local.port={settings.cassandra_jmx_port}",
            # A single node has nobody to wait for.
            "-Dcassandra.ring_delay_ms=0", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            f"-Dlogback.configurationFile={HERE / 'cassandra' / 'logback.xml'}",
            "-cp", classpath(jars), "org.apache.cassandra.service.CassandraDaemon",
        ])  # fmt: skip

    ports = {
        "cassandra_port": settings.cassandra_port,
        "cassandra_storage_port": settings.cassandra_storage_port,
        "cassandra_jmx_port": settings.cassandra_jmx_port,
    }
    cap = f"{settings.cassandra_mb} MB"
    return Service("cassandra", ports, lambda _: _speaks_cql(settings), prepare, cap)


def _speaks_cql(settings: ClusterSettings) -> bool:
    return answers(
        settings.host, settings.cassandra_port, OPTIONS, lambda reply: len(reply) > 4 and reply[4] == SUPPORTED
    )
