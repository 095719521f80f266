"""Kafka, one KRaft node: https://kafka.apache.org/documentation/#kraft."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from confluent_kafka import KafkaException

from quicksilver.errors import InputError
from setup.services import ANSWER_S, HERE, Launch, Service, classpath, listens, render
from setup.settings import ClusterSettings
from setup.tools import java


def kafka(settings: ClusterSettings, jars: Path) -> Service:
    """Return the broker; its storage is formatted before the first start, and kept."""
    folder = (settings.folder / "kafka").resolve()
    config, data = folder / "server.properties", folder / "data"

    def prepare() -> Launch:
        """Write the configuration, format the storage the first time, and return the command."""
        render(
            HERE / "kafka" / "server.properties", config, host=settings.host, port=settings.kafka_port,
            controller_port=settings.kafka_controller_port, data=data,
        )  # fmt: skip
        if not (data / "meta.properties").is_file():
            _format(jars, config)
        return Launch([
            java(), f"-Xmx{settings.kafka_mb}m", f"-Xms{settings.kafka_mb}m", "-XX:+ExitOnOutOfMemoryError",
            # Requests die young, 150 MB of them a second: a large young generation makes a pause of 20 ms rare.
            "-XX:+UseSerialGC", f"-Xmn{settings.kafka_mb // 2}m",
            f"-Dlog4j2.configurationFile={HERE / 'kafka' / 'log4j2.yaml'}",
            "-cp", classpath(jars), "kafka.Kafka", str(config),
        ])  # fmt: skip

    ports = {"kafka_port": settings.kafka_port, "kafka_controller_port": settings.kafka_controller_port}
    cap = f"{settings.kafka_mb} MB"
    return Service("kafka", ports, lambda _: _has_broker(settings), prepare, cap)


def _has_broker(settings: ClusterSettings) -> bool:
    """Whether a request for metadata is answered, with a broker in it."""
    from setup.kafka.topics import admin

    if not listens(settings.host, settings.kafka_port):  # the client would try again and again
        return False
    try:
        return bool(admin(settings.kafka_servers).list_topics(timeout=ANSWER_S).brokers)
    except KafkaException:
        return False


def _format(jars: Path, config: Path) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # "=": one id in 64 begins with "-", and would be taken for an option of its own
    arguments = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(config), "--standalone"]
    done = subprocess.run([java(), "-cp", classpath(jars), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"kafka: the storage could not be formatted: {(done.stdout + done.stderr).strip()[-500:]}")
