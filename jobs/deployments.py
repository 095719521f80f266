"""What instruments are told to run: deployments of the registry's versions, to topic ``deployments``."""

from collections.abc import Sequence

from jobs.publishing import kafka_servers, publish, require_topic
from jobs.registry import Registry
from quicksilver.errors import InputError
from quicksilver.models.card import AnyCard, Card, Deployment
from quicksilver.topics import DEPLOYMENTS


def wants(card: AnyCard, venue: str, symbol: str) -> bool:
    """Whether a version is for an instrument: an ensemble is where all its members are."""
    members = (card,) if isinstance(card, Card) else card.members
    return all(member.config.wants(venue, symbol) for member in members)


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
    """Return what each instrument is to run under a name: those that its live version is for, or a shadow.

    Raises:
        InputError: there is no such predictor, one of its versions is damaged, or it is for none of them.
    """
    roles = registry.roles(name)
    live = registry.entry(name, roles.live).card
    shadows = [registry.entry(name, version).card for version in roles.shadows]
    found = []
    for venue, symbol in instruments:
        here = live if wants(live, venue, symbol) else None
        beside = tuple(one for one in shadows if wants(one, venue, symbol))
        if here or beside:
            found.append(Deployment(venue, symbol, name, here, beside))
    if not found:
        there = ", ".join(f"{venue}:{symbol}" for venue, symbol in instruments)
        raise InputError(f"{name} is for none of these instruments: {there}")
    return found


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
        """Send what the instruments run under a name; returns their names, ``venue:symbol``.

        Raises:
            InputError: it cannot be used, is for none of them, or Kafka does not take it.
        """
        found = deployments_of(registry, name, self._instruments)
        for one in found:
            publish(one, self._servers)
        return [f"{one.venue}:{one.symbol}" for one in found]
