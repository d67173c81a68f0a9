"""Named things: registered once, looked up with a helpful error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from kd_keras.common.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from name to object.

    Args:
      kind: what the objects are, for error messages ("task", "objective").
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str, item: T) -> T:
        """Adds ``item``. Raises ValueError where the name is taken: that is a programmer's slip."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._items[name] = item
        return item

    def get(self, name: str) -> T:
        """The item called ``name``; UserError with near names where there is none."""
        try:
            return self._items[name]
        except KeyError:
            hint = did_you_mean(name, self._items)
            raise UserError(f"unknown {self.kind} {name!r}.{hint} Known: {', '.join(sorted(self._items))}") from None

    def names(self) -> list[str]:
        return sorted(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def __contains__(self, name: object) -> bool:
        return name in self._items
