"""Objects that are registered once by name. An unknown name raises an error that lists near ones."""

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
        """Adds ``item``. Raises ValueError if the name is taken, which is a programmer's mistake."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._items[name] = item
        return item

    def get(self, name: str) -> T:
        """The item called ``name``. Raises UserError with near names if there is none."""
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
