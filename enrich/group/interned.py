"""Values that many articles share, stored once and referred to by a number."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar, cast

_T = TypeVar("_T", bound=Hashable)


class Interned(Generic[_T]):
    """Reference-counted numbers, from 1 up, for values. A value without uses is dropped and its number reused."""

    def __init__(self) -> None:
        self._numbers: dict[_T, int] = {}
        self._values: list[_T | None] = [None]
        self._uses: list[int] = [0]
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def use(self, value: _T) -> int:
        """The number of a value; adds one use."""
        number = self._numbers.get(value)
        if number is None:
            if self._free:
                number = self._free.pop()
                self._values[number] = value
            else:
                number = len(self._values)
                self._values.append(value)
                self._uses.append(0)
            self._numbers[value] = number
        self._uses[number] += 1
        return number

    def find(self, value: _T) -> int:
        """The number of a value; 0 when it has no uses."""
        return self._numbers.get(value, 0)

    def drop(self, numbers: Iterable[int]) -> None:
        """Remove one use of each number; 0 stands for none."""
        for number in numbers:
            if not number:
                continue
            self._uses[number] -= 1
            if not self._uses[number]:
                del self._numbers[self[number]]
                self._values[number] = None
                self._free.append(number)

    def __getitem__(self, number: int) -> _T:
        return cast("_T", self._values[number])
