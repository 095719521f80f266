"""``quicksilver topics``: Kafka's topics as ``quicksilver/topics.py`` declares them.

The version of the contract that they were made by is kept in the compacted topic ``quicksilver-contract``.
"""

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from quicksilver.errors import InputError
from quicksilver.topics import CONTRACT, CONTRACT_VERSION, TOPICS, Topic

TIMEOUT_S = 30.0
RETIRED = ("models",)  # of earlier versions; they stay with what is in them, until somebody removes them
SEGMENTS = 16  # of a partition whose size is limited: what is too old goes a whole segment at a time


def admin(servers: str) -> AdminClient:
    """Return a client that says in its own words, not librdkafka's, that there is no broker."""
    return AdminClient({"bootstrap.servers": servers, "log_level": 0})


def settings_of(topic: Topic) -> dict[str, str]:
    """Return the broker's settings of a topic."""
    settings = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": "-1" if topic.compacted else str(topic.retention_s * 1000),
        "compression.type": "producer",
    }
    if topic.retention_mb is None:
        return settings
    size = topic.retention_mb << 20
    return settings | {"retention.bytes": str(size), "segment.bytes": str(size // SEGMENTS)}


def loses_data(present: dict[str, str], wanted: dict[str, str]) -> str:
    """Return what a change of settings would lose, or nothing.

    >>> loses_data({"cleanup.policy": "delete", "retention.ms": "2"}, {"cleanup.policy": "delete", "retention.ms": "1"})
    'retention would fall from 2 to 1 ms'
    """
    if present["cleanup.policy"] != wanted["cleanup.policy"]:
        return f"its cleanup policy would change from {present['cleanup.policy']} to {wanted['cleanup.policy']}"
    for name in ("retention.ms", "retention.bytes"):
        before, after = int(present.get(name, -1)), int(wanted.get(name, -1))
        if after != -1 and (before == -1 or after < before):
            return f"retention would fall from {before} to {after} {name.rpartition('.')[2]}"
    return ""


def apply_topics(servers: str, say: Callable[[str], None], topics: dict[str, Topic] | None = None) -> int:
    """Create the topics that are missing and change what differs; returns how many changes that took.

    Nothing is changed if some change would lose or reorder messages.

    Raises:
        InputError: no broker answers, the topics are of a newer version, or a change would lose or reorder messages.
    """
    client, wanted = admin(servers), TOPICS if topics is None else topics
    try:
        present = {name: len(one.partitions) for name, one in client.list_topics(timeout=TIMEOUT_S).topics.items()}
    except KafkaException as error:
        why = error.args[0].str()
        raise InputError(f"no Kafka at {servers} ({why}): `quicksilver cluster up` starts one") from error
    try:
        return _apply(client, servers, present, wanted, say)
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} refuses: {error.args[0].str()}") from error


def _apply(
    client: AdminClient, servers: str, present: dict[str, int], wanted: dict[str, Topic], say: Callable[[str], None]
) -> int:
    before = _require_version(servers, present)
    for name in RETIRED:
        if name in present:
            say(f"topic {name}: of an earlier version, nothing reads it any more; left as it is, it may be deleted")
    stale = {
        topic.name: settings_of(topic)
        for name, topic in wanted.items()
        if name in present and _differs(client, topic, present[name])
    }
    missing = [topic for name, topic in wanted.items() if name not in present]
    if CONTRACT.name not in present:
        missing.append(CONTRACT)
    _create(client, missing, say)
    _alter(client, stale, say)
    if before < CONTRACT_VERSION:
        _write_version(servers)
    return len(missing) + len(stale)


def _differs(client: AdminClient, topic: Topic, partitions: int) -> bool:
    if partitions != topic.partitions:
        raise InputError(
            f"topic {topic.name} has {partitions} partitions, not {topic.partitions}: with another"
            " number keys would move and lose their order"
        )
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    (found,) = client.describe_configs([resource], request_timeout=TIMEOUT_S).values()
    wanted = settings_of(topic)
    now = {name: entry.value for name, entry in found.result().items() if name in wanted}
    loss = loses_data(now, wanted)
    if loss and _holds_messages(client, topic):
        raise InputError(f"topic {topic.name}: {loss}; that would lose messages. Nothing was changed")
    return now != wanted


def _holds_messages(client: AdminClient, topic: Topic) -> bool:
    """Whether anything could be lost: a topic of an earlier version may never have been written to."""
    places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    specs = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the client has few types
    first, end = (client.list_offsets(dict.fromkeys(places, one), request_timeout=TIMEOUT_S) for one in specs)
    return any(first[one].result().offset < end[one].result().offset for one in places)


def _create(client: AdminClient, topics: list[Topic], say: Callable[[str], None]) -> None:
    new = [NewTopic(one.name, one.partitions, -1, config=settings_of(one)) for one in topics]
    for name, done in (client.create_topics(new, request_timeout=TIMEOUT_S) if new else {}).items():
        done.result()
        say(f"topic {name}: created")


def _alter(client: AdminClient, changes: dict[str, dict[str, str]], say: Callable[[str], None]) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC, name,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()
            ],
        )
        for name, settings in changes.items()
    ]  # fmt: skip
    for resource, done in (client.incremental_alter_configs(resources) if resources else {}).items():
        done.result()
        say(f"topic {resource.name}: changed")


def _require_version(servers: str, present: dict[str, int]) -> int:
    """Return the version that the topics are of, 0 if none was written; refuse those of a newer project."""
    if CONTRACT.name not in present:
        return 0
    reader = Consumer({"bootstrap.servers": servers, "group.id": "quicksilver-topics", "log_level": 0})
    try:
        place = TopicPartition(CONTRACT.name, 0)
        _, end = reader.get_watermark_offsets(place, timeout=TIMEOUT_S)
        if end == 0:
            return 0
        reader.assign([TopicPartition(CONTRACT.name, 0, end - 1)])
        message = reader.poll(TIMEOUT_S)
        if message is None or message.error() is not None:
            raise InputError(f"the version of the topics at {servers} cannot be read: try again. Nothing was changed")
        version = int(message.value() or 0)
    finally:
        reader.close()
    if version > CONTRACT_VERSION:
        raise InputError(
            f"the topics at {servers} are of version {version}, this is {CONTRACT_VERSION}: update Quicksilver"
        )
    return version


def _write_version(servers: str) -> None:
    writer = Producer({"bootstrap.servers": servers, "acks": "all", "log_level": 0})
    writer.produce(CONTRACT.name, key=b"version", value=str(CONTRACT_VERSION).encode())
    if writer.flush(TIMEOUT_S):
        raise InputError(f"the version of the topics could not be written to {servers}: apply them again")
