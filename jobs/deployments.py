"""What instruments are told to run: deployments of the registry's versions, to topic ``deployments``."""

from collections.abc import Sequence

from jobs.publishing import kafka_servers, publish, require_topic
from jobs.registry import Registry
from quicksilver.errors import InputError
from quicksilver.models.card import Deployment
from quicksilver.topics import DEPLOYMENTS


def instruments_of(symbols: Sequence[str]) -> list[tuple[str, str]]:
    """Return the venues and symbols that a user names, ``venue:symbol`` each; those with rows in Cassandra without any.

    Raises:
        InputError: one is no such name, or there are none.
        StoreError: Cassandra does not answer.
    """
    if symbols:
        pairs = [one.partition(":") for one in symbols]
        for (venue, colon, symbol), text in zip(pairs, symbols, strict=True):
            if not (venue and colon and symbol):
                raise InputError(f"--symbol {text}: write VENUE:BASE-QUOTE, such as kraken:BTC-USD")
        return [(venue, symbol) for venue, _, symbol in pairs]
    from jobs.spark_tables import keys_of
    from setup.cassandra.client import CassandraSettings

    keys = keys_of(CassandraSettings.from_environment(), "features")
    if not keys:
        raise InputError("Cassandra has no features of any instrument: name them by --symbol VENUE:BASE-QUOTE")
    return [(venue, symbol) for venue, _, symbol in (key.partition(":") for key in keys)]


def deployments_of(registry: Registry, name: str, instruments: Sequence[tuple[str, str]]) -> list[Deployment]:
    """Return what each instrument is to run under a name; of those that no version wants it is nothing.

    They are told so, too: one that ran an earlier version would go on with it.

    Raises:
        InputError: there is no such predictor, or one of its versions is damaged.
    """
    at_work = registry.at_work(name)
    return [at_work.on(venue, symbol) for venue, symbol in instruments]


class Publisher:
    """Sends deployments; made before anything is changed, so that what cannot be sent is not begun.

    Raises:
        InputError: Kafka does not answer or has no such topic, or no instrument is known.
        StoreError: Cassandra does not answer.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self._servers = kafka_servers()
        require_topic(self._servers, DEPLOYMENTS)
        self._instruments = instruments_of(symbols)

    def send(self, registry: Registry, name: str) -> list[str]:
        """Send what the instruments run under a name; returns those that run some of it, ``venue:symbol``.

        Raises:
            InputError: it cannot be used, or Kafka does not take it.
        """
        found = deployments_of(registry, name, self._instruments)
        for one in found:
            publish(one, self._servers)
        return [f"{one.venue}:{one.symbol}" for one in found if one.roles()]
