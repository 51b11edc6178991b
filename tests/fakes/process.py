"""The process that runs: its clock, its calls, and its death."""

from collections import Counter
from threading import RLock
from typing import Any

from chalicelib.domain.scopes import Scope

from .. import factories


class Crash(BaseException):
    """The process dies here: nothing in it gets a chance to tidy up."""


def stored(record: Any) -> Any:
    """Return `record` as a table gives it back: what is not stored is lost."""
    return type(record).of(record.item())


class FakeClock:
    """Epoch seconds that only a test moves on."""

    def __init__(self, now: float = factories.EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeCalls:
    """AWS calls made, by name, account and region."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.made: Counter[tuple[str, str, str]] = Counter()

    def count(self, name: str, scope: tuple[str, str]) -> None:
        with self._lock:
            self.made[name, scope[0], scope[1]] += 1

    def snapshot(self) -> Counter[tuple[str, str, str]]:
        return Counter(self.made)

    def calls_since(self, mark: Counter[tuple[str, str, str]]) -> dict[str, int]:
        names: Counter[str] = Counter()
        for (name, _, _), number in (self.made - mark).items():
            names[name] += number
        return dict(sorted(names.items()))

    def of(self, service: str) -> int:
        return sum(number for (name, _, _), number in self.made.items() if name.startswith(f"{service}:"))

    def scopes(self, name: str) -> set[Scope]:
        return {Scope(account, region) for made, account, region in self.made if made == name}
