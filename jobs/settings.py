"""What a user may set for a run, by environment variable or option."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SourceName = Literal["auto", "live", "sim", "tape", "csv"]


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
    venues: str = Field("kraken,coinbase,bitstamp", description="venues of the live feeds, with commas")
    seed: int = Field(7, description="seed of the simulator")
    data: Path = Field(Path("data"), description="folder of the SQLite files")
    keep_hours: float = Field(1.0, gt=0, description="hours of records that the SQLite file keeps")
