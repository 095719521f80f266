"""What REST needs: of a store beyond ``quicksilver.ports.Store``, and of a recording that is played."""

from typing import Protocol

from quicksilver.ports import Rows, Store


class JsonRows(Rows, Protocol):
    """Rows that rest as JSON, and are served without being decoded."""

    def read_json(
        self,
        topic: str,
        key: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1000,
    ) -> list[bytes]:
        """Return rows as ``read`` does, each as its JSON: the newest that fit into an answer (``answers.py``)."""


class JsonStore(JsonRows, Store, Protocol):
    """A store of such rows."""


class Playing(Protocol):
    """A recording that is played, and does as it is told."""

    def pause(self) -> None:
        """Let nothing through from now on."""

    def resume(self) -> None:
        """Go on from where it is."""

    def step(self, n: int) -> None:
        """Pause, and let the next ``n`` messages through."""

    async def held(self) -> None:
        """Return when all steps are done and taken in, or the recording goes on or has ended."""

    def set_speed(self, text: str) -> None:
        """Go on at another speed: a positive number, or ``max``.

        Raises:
            InputError: it is none.
        """

    def state(self) -> dict[str, object]:
        """Return whether it is paused or has ended, its speed, and where it is."""
