"""Who does what of a predictor's versions: one decides, shadows predict beside it, and what was live can be again."""

import msgspec

from quicksilver.models.card import AnyCard, Deployment, wants

KEPT = 100  # earlier live versions that a roll back may go to


class Roles(msgspec.Struct):
    """Who does what of a predictor's versions: one is live; shadows predict and are scored, but decide nothing."""

    live: str = ""
    shadows: list[str] = []
    earlier: list[str] = []  # live before, the last one last

    def of(self, version: str) -> str:
        """Return what a version does: live, shadow or idle."""
        return "live" if version == self.live else "shadow" if version in self.shadows else "idle"

    def promote(self, version: str) -> None:
        """Make a version the live one, and a shadow no longer.

        Raises:
            ValueError: it is live already.
        """
        if version == self.live:
            raise ValueError(f"{version} is live already")
        self.earlier = [*self.earlier, *filter(None, [self.live])][-KEPT:]
        self._go_live(version)

    def shadow(self, version: str) -> None:
        """Let a version predict beside the live one.

        Raises:
            ValueError: it is the live one.
        """
        if version == self.live:
            raise ValueError(f"{version} is live: it cannot be its own shadow")
        self.shadows = sorted({*self.shadows, version})

    def unshadow(self, version: str) -> None:
        """Let a shadow predict no longer.

        Raises:
            ValueError: it is none.
        """
        if version not in self.shadows:
            raise ValueError(f"{version} is no shadow")
        self.shadows.remove(version)

    def roll_back(self) -> str:
        """Make that version live which was before; returns it.

        Raises:
            ValueError: there was none.
        """
        if not self.earlier and not self.live:
            raise ValueError("has no live version, and had none before: promote one")
        if not self.earlier:
            raise ValueError(f"{self.live} was the first: there is nothing to go back to")
        version = self.earlier.pop()
        self._go_live(version)
        return version

    def _go_live(self, version: str) -> None:
        self.live, self.shadows = version, [one for one in self.shadows if one != version]


class AtWork(msgspec.Struct, frozen=True):
    """The cards of a predictor's live version and of its shadows; nothing if it is none any more."""

    name: str
    live: AnyCard | None = None
    shadows: tuple[AnyCard, ...] = ()

    def on(self, venue: str, symbol: str) -> Deployment:
        """Return what an instrument runs of it: the versions that want the instrument."""
        live = self.live if self.live is not None and wants(self.live, venue, symbol) else None
        return Deployment(
            venue, symbol, self.name, live, tuple(card for card in self.shadows if wants(card, venue, symbol))
        )
