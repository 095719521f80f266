"""One record of a batch job to Kafka."""

import hashlib
import os

from confluent_kafka import KafkaException, Producer

from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.records import Frontier, Model
from quicksilver.topics import CONTRACT_VERSION, MODELS, TOPIC_OF, Topic, key_of
from setup.kafka.topics import admin

ANSWER_S = 10.0
DELIVERY_S = 30.0


def kafka_servers() -> str:
    """Return Kafka's addresses: ``KAFKA_SERVERS``, or this machine."""
    return os.environ.get("KAFKA_SERVERS") or "127.0.0.1:9092"


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


def publish(record: Frontier | Model, servers: str) -> None:
    """Send the record to its topic, and wait until the brokers have it.

    Its session is a digest of its content: the same run published again is the same message.

    Raises:
        InputError: they do not take it in time.
    """
    value, refused = codec.encode(record), list[str]()
    settings = {
        "bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "compression.type": "lz4",
        "partitioner": "murmur2_random", "message.max.bytes": 16 << 20,
        "delivery.timeout.ms": int(DELIVERY_S * 1000), "log_level": 0,
    }  # fmt: skip
    headers = {"v": str(CONTRACT_VERSION), "s": hashlib.sha256(value).hexdigest()[:16]}
    if isinstance(record, Frontier):
        headers["n"] = str(record.seq)  # models are not numbered: each stands for itself
    producer = Producer(settings)
    try:
        producer.produce(
            (MODELS if isinstance(record, Model) else TOPIC_OF[type(record)]).name, value, key_of(record),
            headers=[(name, text.encode()) for name, text in headers.items()],
            on_delivery=lambda error, _: refused.append(error.str()) if error else None,
        )  # fmt: skip
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} cannot take the record: {error.args[0].str()}") from error
    left = producer.flush(DELIVERY_S + 5)
    if refused or left:
        raise InputError(f"Kafka at {servers} has not taken the record: {(refused or ['no answer'])[0]}")
