"""Deployments on a real Kafka: what a role's change tells the instruments."""

from pathlib import Path

from jobs.registry import Registry
from quicksilver import codec
from quicksilver.models.card import Deployment
from tests.jobs.test_models_command import FIRST, SECOND
from tests.jobs.test_train_command import quicksilver
from tests.kafka_broker import Broker, broker, needs_java

pytestmark = needs_java


def test_each_change_of_a_role_reaches_the_topic(tmp_path: Path) -> None:
    with broker(tmp_path / "kafka") as kafka:
        _told(kafka, tmp_path)


def _told(kafka: Broker, tmp_path: Path) -> None:
    registry, to = Registry(tmp_path / "models"), ("--models", tmp_path / "models", "--symbol", "test:BTC-USD")
    registry.add(FIRST)
    registry.add(SECOND)
    first, second = FIRST.card, SECOND.card
    for line in (
        ("publish", "near"),
        ("shadow", "near", second.version, "--publish"),
        ("promote", "near", second.version, "--publish"),
    ):
        result = quicksilver("models", *line, *to, KAFKA_SERVERS=kafka.servers)
        assert result.exit_code == 0, result.stderr
        assert "test:BTC-USD" in result.stdout
    messages = kafka.read("deployments")
    assert {message.key for message in messages} == {"test:BTC-USD/near"}
    assert [codec.decode(Deployment, message.value) for message in messages] == [
        Deployment("test", "BTC-USD", "near", live, shadows)
        for live, shadows in ((first, ()), (first, (second,)), (second, ()))
    ]
    assert all(message.headers.v == "1" and message.headers.s for message in messages)
