"""One record of a batch job to Kafka."""

import hashlib
import os
from typing import Any

from confluent_kafka import KafkaException, Producer

from quicksilver.errors import InputError
from quicksilver.models.card import Deployment
from quicksilver.portfolio.config import Universe
from quicksilver.records import Frontier
from quicksilver.streaming.message import Headers, outgoing
from quicksilver.topics import MAX_MESSAGE, Topic
from setup.kafka.topics import admin

ANSWER_S = 10.0
DELIVERY_S = 30.0


def kafka_servers() -> str:
    """Return Kafka's addresses: ``KAFKA_SERVERS``, or this machine."""
    return os.environ.get("KAFKA_SERVERS") or "127.0.0.1:9092"


def producer_settings(servers: str) -> dict[str, Any]:
    """Return the settings of Kafka's client for what a job sends now and then: results and dead letters."""
    return {
        "bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "compression.type": "lz4",
        "partitioner": "murmur2_random", "message.max.bytes": MAX_MESSAGE, "log_level": 0,
    }  # fmt: skip


def require_topic(servers: str, topic: Topic) -> None:
    """Make sure, before hours of work, that the result can be sent.

    Raises:
        InputError: Kafka does not answer, or has no such topic.
    """
    try:
        known = admin(servers).list_topics(timeout=ANSWER_S).topics
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} does not answer: {error.args[0].str()}") from error
    if topic.name not in known:
        raise InputError(f"Kafka at {servers} has no topic {topic.name}: `quicksilver topics apply` makes it")


def publish(record: Frontier | Deployment | Universe, servers: str) -> None:
    """Send the record to its topic, and wait until the brokers have it.

    Its session is a digest of its content: the same run published again is the same message.

    Raises:
        InputError: they do not take it in time.
    """
    one, refused = outgoing(record, 0, Headers()), list[str]()
    number = str(record.seq) if isinstance(record, Frontier) else ""  # the others have none: each stands for itself
    universe = record.source if isinstance(record, Universe) else ""
    headers = Headers(s=hashlib.sha256(one.value).hexdigest()[:16], n=number, u=universe)
    producer = Producer(producer_settings(servers) | {"delivery.timeout.ms": int(DELIVERY_S * 1000)})
    try:
        producer.produce(
            one.topic, one.value, one.key, headers=[*headers.items()],
            on_delivery=lambda error, _: refused.append(error.str()) if error else None,
        )  # fmt: skip
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} cannot take the record: {error.args[0].str()}") from error
    left = producer.flush(DELIVERY_S + 5)
    if refused or left:
        raise InputError(f"Kafka at {servers} has not taken the record: {(refused or ['no answer'])[0]}")
