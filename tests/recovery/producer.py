"""``quicksilver publish`` for a venue and a universe that no other test has: ``producer.py TAPE SPEED VENUE``.

The source, the publisher and the run are those of the command; only the registry of venues has one more.
"""

import asyncio
import os
import sys
from pathlib import Path

from msgspec.structs import replace

from jobs.publish import publish_source
from jobs.recorded import TapeSource
from producers.exchanges.kraken import VENUE
from producers.exchanges.venue import venues
from producers.publishing import stop_on_signals
from producers.sessions import tape_session
from quicksilver.config import PipelineConfig
from quicksilver.portfolio.config import PortfolioConfig


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def main(tape: Path, speed: str, venue: str) -> int:
    venues()[venue] = VENUE
    source = TapeSource(tape, speed)
    source.config = replace(PipelineConfig(), portfolios=(PortfolioConfig(universe=venue),))
    servers = os.environ["KAFKA_SERVERS"]
    return await publish_source(source, tape_session(tape), servers, say, stop_on_signals())


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
