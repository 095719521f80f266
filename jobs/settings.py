"""What a user may set for a run, by environment variable or option."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quicksilver.errors import InputError
from quicksilver.grid import MAX_FULL_BOOKS_PER_S

PAGE = Path(__file__).resolve().parent.parent / "web" / "dist"
SourceName = Literal["auto", "live", "sim", "tape", "csv"]
BusName = Literal["memory", "kafka"]
StoreName = Literal["sqlite", "cassandra"]
_BROKER = r"(\[[0-9a-fA-F:]+\]|[^\s,:/]+):\d{1,5}"  # Kafka's client takes anything, and waits for it for ever


class RunSettings(BaseSettings):
    """The settings of ``make run``; each is the environment variable of its name in capitals.

    The address has a prefix, for HOST is no name of ours: conda exports HOST=x86_64-conda-linux-gnu.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True)

    source: SourceName = Field("auto", description="where the data comes from; auto: live, else the simulator")
    tape: Path | None = Field(None, description="the recording for SOURCE=tape, or the file for SOURCE=csv")
    speed: str = Field("", description="factor of the recorded speed, or max; 1 for tapes, some rows a second for csv")
    port: int = Field(8000, ge=0, le=65535, description="port of the page and the API; 0: any free one")
    quicksilver_host: str = Field("127.0.0.1", description="address to serve on, 0.0.0.0: all")
    symbols: str = Field("BTC-USD,ETH-USD,SOL-USD,XRP-USD", description="symbols of the live feeds, with commas")
    venues: str = Field("kraken,coinbase,bitstamp", description="live feeds, with commas; NAME/orders: order by order")
    audit_every_s: float = Field(60.0, ge=0, description="seconds between two audits of a live book; 0: none")
    seed: int = Field(7, description="seed of the simulator")
    data: Path = Field(Path("data"), description="folder of the SQLite files")
    keep_hours: float = Field(1.0, gt=0, description="hours of records that the SQLite file keeps")
    full_books_per_s: float = Field(
        0.0, ge=0, le=MAX_FULL_BOOKS_PER_S, description="full books a second to record of each instrument; 0: none"
    )
    full_book_levels: int = Field(5_000, ge=1, description="most levels a side that a full book holds")
    record: Path | None = Field(None, description="folder for tapes of every frame of live data; empty: none")
    record_mb: int = Field(256, ge=1, description="megabytes after which a recording goes on in a new file")
    record_minutes: float = Field(60.0, gt=0, description="minutes after which a recording goes on in a new file")
    bus: BusName = Field("memory", description="how records travel; kafka is for `quicksilver serve`")
    store: StoreName = Field("sqlite", description="where records rest; cassandra is for `quicksilver serve`")

    def require_embedded(self) -> None:
        """Make sure that one process is what is asked for.

        Raises:
            InputError: it is the cluster that is asked for.
        """
        for name, value, ours in (("BUS", self.bus, "memory"), ("STORE", self.store, "sqlite")):
            if value != ours:
                raise InputError(
                    f"{name}={value}: `quicksilver run` is one process with {name}={ours};"
                    " `quicksilver serve` shows what the cluster computes"
                )


class ServeSettings(BaseSettings):
    """The settings of ``quicksilver serve``; Cassandra's own are in ``setup/cassandra/client.py``."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    bus: BusName = Field("kafka", description="how records travel; memory is for `quicksilver run`")
    store: StoreName = Field("cassandra", description="where records rest; sqlite: this process writes them itself")
    kafka_servers: str = Field(
        "127.0.0.1:9092",
        pattern=rf"^{_BROKER}(,{_BROKER})*$",
        description="Kafka's brokers, host:port with commas between",
    )
    port: int = Field(8000, ge=0, le=65535, description="port of the page and the API; 0: any free one")
    quicksilver_host: str = Field("127.0.0.1", description="address to serve on, 0.0.0.0: all")
    data: Path = Field(Path("data"), description="folder of the SQLite file, for STORE=sqlite")
    keep_hours: float = Field(1.0, gt=0, description="hours of records that the SQLite file keeps")

    def require_kafka(self) -> None:
        """Make sure that there is something to serve.

        Raises:
            InputError: the bus is in another process's memory.
        """
        if self.bus != "kafka":
            raise InputError(
                f"BUS={self.bus}: `quicksilver serve` shows what others publish, and reads it from Kafka;"
                " for all in one process there is `quicksilver run`"
            )
