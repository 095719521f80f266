"""What all simulated symbols share: a common factor and the weather of volatility."""

import math
from random import Random

from quicksilver.events import SECOND_NS

JUMPS_PER_S = 1 / 300
JUMP = 8.0  # in roots of seconds of volatility: about 6 bps of bitcoin


class Factor:
    """The common factor: a random walk of unit variance a second, and the volatility that all symbols share."""

    def __init__(self, rng: Random, now_ns: int) -> None:
        self.value = 0.0
        self.volatility = 1.0
        self._log_volatility = 0.0
        self._rng = rng
        self._now_ns = now_ns

    def rest(self, pause_ns: int) -> None:
        """Let time pass in which nothing moves."""
        self._now_ns += pause_ns

    def advance(self, now_ns: int) -> None:
        """Move on to ``now_ns``."""
        dt_s = (now_ns - self._now_ns) / SECOND_NS
        self._now_ns = now_ns
        gauss, root = self._rng.gauss, math.sqrt(dt_s)
        self._log_volatility += -self._log_volatility * dt_s / 300.0 + 0.04 * root * gauss(0.0, 1.0)
        self.volatility = math.exp(self._log_volatility - 0.24)  # so that its mean square is 1
        self.value += self.volatility * root * gauss(0.0, 1.0)
        if self._rng.random() < JUMPS_PER_S * dt_s:
            self.value += JUMP * gauss(0.0, 1.0)
