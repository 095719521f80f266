"""Several live universes of the same prices, which may be changed while they run."""

from collections.abc import Iterable

import msgspec

from quicksilver.errors import StateError
from quicksilver.labels import LabelConfig
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.records import AnyRecord, Features, Frontier

ENDED = "no longer in the file"
ANEW = "changed in the file: it starts anew"
CHOOSING = ("constraints", "cash", "aversion", "costs", "hold", "band", "n_cloud", "n_frontier")
"""What chooses portfolios and shows them, and has no part in the moments they are chosen by."""


class _Saved(msgspec.Struct):
    recv_ns: int
    universes: list[tuple[PortfolioConfig, bytes, Frontier | None]]


class RunningUniverses:
    """A stage for each universe, in the order of ``configs``; each sees all that comes.

    ``threshold_bps`` is the move from which on a label is not flat.

    Raises:
        ValueError: two have the same name.
    """

    def __init__(
        self, configs: Iterable[PortfolioConfig] = (), threshold_bps: float = LabelConfig().threshold_bps
    ) -> None:
        self._threshold_bps = threshold_bps
        self._stages: dict[str, PortfolioStage] = {}
        self._last: dict[str, Frontier] = {}
        self._recv_ns = 0
        self.adopt(tuple(configs))

    def adopt(self, configs: tuple[PortfolioConfig, ...]) -> list[Frontier]:
        """Run these universes from here on; returns the last word of those that end or start anew.

        One that stays goes on, and keeps its moments if no more than ``CHOOSING`` differs. What has said nothing
        has no last word.

        Raises:
            ValueError: two have the same name.
        """
        if len({one.universe for one in configs}) < len(configs):
            raise ValueError("two universes have the same name")
        before, stages = self._stages, dict[str, PortfolioStage]()
        for config in configs:
            stages[config.universe] = self._changed(before.get(config.universe), config)
        said = list[Frontier]()
        for name, stage in before.items():
            if name not in stages:
                said += self._last_word(name, stage.now_ns, ENDED)
            elif stages[name] is not stage and not _alike(stage.config, stages[name].config):
                said += self._last_word(name, stage.now_ns, ANEW)
        self._stages = stages
        return said

    def take(self, record: AnyRecord) -> list[Frontier]:
        """Take in an instrument's record, as ``PortfolioStage.take`` does."""
        if isinstance(record, Features):
            self._recv_ns = record.ts_recv_ns
        return self._noted([one for stage in self._stages.values() for one in stage.take(record)])

    def on_price(self, venue: str, symbol: str, price: float, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Take in an instrument's price, as ``PortfolioStage.on_price`` does."""
        self._recv_ns = ts_recv_ns
        return self._noted(
            [
                one
                for stage in self._stages.values()
                for one in stage.on_price(venue, symbol, price, ts_event_ns, ts_recv_ns)
            ]
        )

    def on_doubt(self, venue: str, symbol: str, ts_event_ns: int, ts_recv_ns: int) -> list[Frontier]:
        """Forget an instrument's price from this time on, as ``PortfolioStage.on_doubt`` does."""
        stages = self._stages.values()
        return self._noted([one for stage in stages for one in stage.on_doubt(venue, symbol, ts_event_ns, ts_recv_ns)])

    def on_silence(self, ts_recv_ns: int) -> list[Frontier]:
        """Say of each universe that nothing comes any more, as ``PortfolioStage.on_silence`` does."""
        return self._noted([one for stage in self._stages.values() for one in stage.on_silence(ts_recv_ns)])

    def forget(self, venue: str, symbol: str) -> None:
        """Forget an instrument's price, as ``PortfolioStage.forget`` does."""
        for stage in self._stages.values():
            stage.forget(venue, symbol)

    def _changed(self, stage: PortfolioStage | None, config: PortfolioConfig) -> PortfolioStage:
        """The stage that is to go on under a configuration: itself, with its moments, or a new one."""
        if stage is None or not _alike(stage.config, config):
            return PortfolioStage(config, self._threshold_bps)
        return stage if stage.config == config else stage.reconfigured(config)

    def _noted(self, found: list[Frontier]) -> list[Frontier]:
        for one in found:
            self._last[one.universe] = one
        return found

    def _last_word(self, name: str, now_ns: int, reason: str) -> list[Frontier]:
        last = self._last.pop(name, None)
        if last is None:
            return []
        computed_ns = last.ts_event_ns if last.state == "LIVE" else last.ts_computed_ns
        return [
            msgspec.structs.replace(
                last, seq=last.seq + 1, ts_event_ns=max(now_ns, last.ts_event_ns), ts_recv_ns=self._recv_ns,
                state="WAITING", reason=reason, ts_computed_ns=computed_ns,
            )
        ]  # fmt: skip

    def dump(self) -> bytes:
        """Return the whole state."""
        universes = [(one.config, one.dump(), self._last.get(name)) for name, one in self._stages.items()]
        return msgspec.msgpack.encode(_Saved(self._recv_ns, universes))

    @classmethod
    def loaded(cls, data: bytes, threshold_bps: float = LabelConfig().threshold_bps) -> "RunningUniverses":
        """Return the universes of a dumped state; their output goes on as if it had never stopped.

        Raises:
            StateError: it is no such state.
        """
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except msgspec.DecodeError as error:
            raise StateError(f"not a saved state of universes: {error}") from error
        one = cls((config for config, _, _ in saved.universes), threshold_bps)
        one._recv_ns = saved.recv_ns
        for config, state, last in saved.universes:
            one._stages[config.universe].load(state)
            if last is not None:
                one._last[config.universe] = last
        return one


def _alike(one: PortfolioConfig, other: PortfolioConfig) -> bool:
    """Whether no more differs than what chooses among portfolios."""
    return one == msgspec.structs.replace(other, **{name: getattr(one, name) for name in CHOOSING})
