"""The chooser of the assets that are in the portfolios now, or why there is none."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.events import FloatArray
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import weights_of
from quicksilver.portfolio.present import over_present


class SavedChoice(msgspec.Struct):
    """The state of ``Choice``; a refusal is found again."""

    assets: list[str]
    chooser: Any


class Choice:
    """Makes a new chooser where the assets change.

    ``refusal`` says which constraints exclude each other over these assets: then there is no ``chooser``. ``left_out``
    is what the constraints ask of assets that are absent, and ``held`` ``(n_assets,)`` what is held of those that are
    not, empty if nothing is.
    """

    def __init__(self, config: PortfolioConfig) -> None:
        self._config = config
        self.assets: list[str] = []
        self.chooser: Chooser | None = None
        self.refusal = ""
        self.left_out: list[str] = []
        self.held: list[float] = []

    def of(self, assets: list[str]) -> None:
        """Have a chooser of these assets, to which no return has been told."""
        self.assets, self.chooser, self.refusal, self.held = assets, None, "", []
        constraints, self.left_out = over_present(self._config.constraints, assets)
        try:
            self.chooser = Chooser(msgspec.structs.replace(self._config, constraints=constraints), assets)
        except InputError as error:
            self.refusal = str(error)
            return
        if constraints.current:
            self.held = weights_of(constraints.current, assets, "current").tolist()

    def tell(self, past: FloatArray) -> None:
        """Tell all returns that are known, ``(n_observations, n_assets)``, oldest first."""
        if self.chooser is not None:
            for row in past:
                self.chooser.returned(row)

    def returned(self, row: Mapping[str, float]) -> None:
        """Tell one more return of each asset, if all are known."""
        if self.chooser is not None:
            returns = np.array([row.get(asset, np.nan) for asset in self.assets])
            if np.isfinite(returns).all():
                self.chooser.returned(returns)

    def dump(self) -> SavedChoice:
        """Return the state."""
        return SavedChoice(self.assets, None if self.chooser is None else self.chooser.dump())

    def load(self, saved: SavedChoice) -> None:
        """Take over a dumped state."""
        if saved.assets:
            self.of(saved.assets)
        if self.chooser is not None:
            self.chooser.load(saved.chooser)
