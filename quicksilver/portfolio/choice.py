"""The chooser of the assets that are in the portfolios now, or why there is none."""

from collections.abc import Mapping

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.portfolio.choosing import Chooser, ChooserState
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.ring import Past


class SavedChoice(msgspec.Struct):
    """The state of ``Choice``; a refusal is found again."""

    assets: list[str] = []
    chooser: ChooserState | None = None


class Choice:
    """Makes a new chooser where the assets change.

    ``refusal`` says which constraints exclude each other over these assets: then there is no ``chooser``.
    """

    def __init__(self, config: PortfolioConfig) -> None:
        self._config = config
        self.assets: list[str] = []
        self.chooser: Chooser | None = None
        self.refusal = ""

    def of(self, assets: list[str]) -> None:
        """Have a chooser of these assets, to which no return has been told."""
        self.assets, self.chooser, self.refusal = assets, None, ""
        try:
            self.chooser = Chooser(self._config, assets)
        except InputError as error:
            self.refusal = str(error)

    def tell(self, past: Past) -> None:
        """Tell all returns that are known."""
        if self.chooser is not None:
            for row, periods in zip(*past, strict=True):
                self.chooser.returned(row, periods)

    def returned(self, row: Mapping[str, float], periods: float) -> None:
        """Tell one more return of each asset over so many periods, if all are known."""
        if self.chooser is not None:
            returns = np.array([row.get(asset, np.nan) for asset in self.assets])
            if np.isfinite(returns).all():
                self.chooser.returned(returns, periods)

    def dump(self) -> SavedChoice:
        """Return the state."""
        return SavedChoice(self.assets, None if self.chooser is None else self.chooser.dump())

    def load(self, saved: SavedChoice) -> None:
        """Take over a dumped state."""
        if saved.assets:
            self.of(saved.assets)
        if self.chooser is not None and saved.chooser is not None:
            self.chooser.load(saved.chooser)
