"""What REST needs of a store beyond ``quicksilver.ports.Store``."""

from typing import Protocol

from quicksilver.ports import Store


class JsonStore(Store, Protocol):
    """A store whose rows rest as JSON, and are served without being decoded."""

    def read_json(
        self,
        topic: str,
        key: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1000,
    ) -> list[bytes]:
        """Return rows as ``read`` does, each as its JSON."""
