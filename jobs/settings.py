"""What a user may set for a run, by environment variable or option."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quicksilver.errors import InputError
from quicksilver.grid import MAX_FULL_BOOK_LEVELS, MAX_FULL_BOOKS_PER_S

if TYPE_CHECKING:
    from quicksilver.config import PipelineConfig  # it brings the kernels in, which takes a second

PAGE = Path(__file__).resolve().parent.parent / "web" / "dist"
PICTURES = "pictures"  # the folder within DATA where `quicksilver plot` draws and the page looks
SourceName = Literal["auto", "live", "sim", "tape", "csv"]
RecordedName = Literal["auto", "live", "sim"]
BusName = Literal["memory", "kafka"]
StoreName = Literal["sqlite", "cassandra"]
_MEANT_FOR: dict[str, tuple[SourceName, ...]] = {
    "tape": ("tape", "csv"), "speed": ("tape", "csv"), "symbols": ("auto", "live", "sim"), "venues": ("auto", "live"),
    "venue_urls": ("auto", "live"), "seed": ("auto", "sim"),
}  # fmt: skip
_BROKER = r"(\[[0-9a-fA-F:]+\]|[^\s,:/]+):\d{1,5}"  # Kafka's client takes anything, and waits for it for ever


class FullBookSettings(BaseSettings):
    """Which full books are computed; each is the environment variable of its name in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    full_books_per_s: float = Field(
        default=0.0, ge=0, le=MAX_FULL_BOOKS_PER_S, description="full books a second of each instrument; 0: none"
    )
    full_book_levels: int = Field(
        default=5_000, ge=1, le=MAX_FULL_BOOK_LEVELS, description="most levels a side that a full book holds"
    )

    def of(self, config: "PipelineConfig") -> "PipelineConfig":
        """Return the configuration with these full books."""
        return replace(config, full_books_per_s=self.full_books_per_s, full_book_levels=self.full_book_levels)

    def environment(self) -> dict[str, str]:
        """Return the variables that give these settings again."""
        return {name.upper(): str(getattr(self, name)) for name in FullBookSettings.model_fields}


class SearchSettings(BaseSettings):
    """Where searches lie; each is the environment variable of its name in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    data: Path = Field(default=Path("data"), description="folder beneath which searches lie")
    searches: Path | None = Field(default=None, description="folder of the searches; empty: DATA/searches")

    @property
    def searches_folder(self) -> Path:
        """Folder of the searches."""
        return self.searches or self.data / "searches"


class RunSettings(FullBookSettings, SearchSettings):
    """The settings of ``make run``; each is the environment variable of its name in capitals.

    The address has a prefix, for HOST is no name of ours: conda exports HOST=x86_64-conda-linux-gnu.
    """

    source: SourceName = Field("auto", description="where the data comes from; auto: live, else the simulator")
    tape: Path | None = Field(None, description="the recording for SOURCE=tape, or the file for SOURCE=csv")
    speed: str = Field("", description="factor of the recorded speed, or max; 1 for tapes, some rows a second for csv")
    port: int = Field(8000, ge=0, le=65535, description="port of the page and the API; 0: any free one")
    quicksilver_host: str = Field("127.0.0.1", description="address to serve on, 0.0.0.0: all")
    symbols: str = Field(
        "BTC-USD,ETH-USD,SOL-USD,XRP-USD", description="symbols of the live feeds or the simulator, with commas"
    )
    venues: str = Field("kraken,coinbase,bitstamp", description="live feeds, with commas; NAME/orders: order by order")
    venue_urls: str = Field("", description="where venues lie instead, as kraken=ws://127.0.0.1:9001/v2, with commas")
    audit_every_s: float = Field(60.0, ge=0, description="seconds between two audits of a live book; 0: none")
    seed: int = Field(7, description="seed of the simulator")
    data: Path = Field(Path("data"), description="folder of the SQLite files")
    models: Path | None = Field(None, description="folder of trained predictors; models beneath DATA if none is named")
    keep_hours: float = Field(1.0, gt=0, description="hours of records that the SQLite file keeps")
    record: Path | None = Field(None, description="folder for tapes of every frame of live data; empty: none")
    record_mb: int = Field(256, ge=1, description="megabytes after which a recording goes on in a new file")
    record_minutes: float = Field(60.0, gt=0, description="minutes after which a recording goes on in a new file")
    retrain: Path | None = Field(None, description="TOML file of predictors, trained anew as its table retraining says")
    universes: Path | None = Field(None, description="TOML file of universes, read again when it changes; none: auto")
    bus: BusName = Field("memory", description="how records travel; kafka is for `quicksilver serve`")
    store: StoreName = Field("sqlite", description="where records rest; cassandra is for `quicksilver serve`")

    @property
    def registry(self) -> Path:
        """The folder of trained predictors."""
        return self.data / "models" if self.models is None else self.models

    def require_meant(self) -> None:
        """Make sure that nothing is set that the source has no use for: it would be ignored in silence.

        Raises:
            InputError: something is.
        """
        for name, sources in _MEANT_FOR.items():
            if name in self.model_fields_set and self.source not in sources:
                places = " and ".join(f"SOURCE={one}" for one in sources)
                given = f"{name.upper()}={getattr(self, name)}"
                raise InputError(f"{given} means nothing with SOURCE={self.source}: it is for {places}")

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


class ProducerSettings(RunSettings):
    """What ``quicksilver publish`` and ``quicksilver record`` have beside."""

    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of GET /metrics, for Prometheus; 0: any free one; none: not served",
    )

    @property
    def metrics_at(self) -> tuple[str, int] | None:
        """Host and port of ``GET /metrics``, if it is to be served."""
        return None if self.metrics_port is None else (self.quicksilver_host, self.metrics_port)


class ServeSettings(SearchSettings):
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
