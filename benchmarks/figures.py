"""What a measurement tells: a value, its unit, how it was had, and the mark that it has to reach."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Bound:
    """The mark: between `least` and `most`, both included; None where there is no end."""

    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether `value` reaches the mark."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.least is None:
            return f"<= {number(self.most)}"
        if self.most is None:
            return f">= {number(self.least)}"
        return number(self.least) if self.least == self.most else f"{number(self.least)} to {number(self.most)}"


def at_most(value: float) -> Bound:
    """Return the mark `<= value`."""
    return Bound(most=value)


def at_least(value: float) -> Bound:
    """Return the mark `>= value`."""
    return Bound(least=value)


def within(least: float, most: float) -> Bound:
    """Return the mark of an interval."""
    return Bound(least, most)


def exactly(value: float) -> Bound:
    """Return the mark that only `value` reaches."""
    return Bound(value, value)


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        value: what was measured.
        unit: of the value, for a reader ("calls", "s", "x the minimum").
        how: in one sentence, how it was measured, or derived.
        bound: the mark; None where the figure is only told.
        details: what the value was computed from.
    """

    value: float
    unit: str
    how: str
    bound: Bound | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the mark is reached; so it is where there is none."""
        return self.bound is None or self.bound.holds(self.value)

    def record(self) -> dict[str, Any]:
        """Return the figure as results.json holds it."""
        return {
            "value": self.value,
            "unit": self.unit,
            "bound": str(self.bound) if self.bound else None,
            "ok": self.ok,
            "how": self.how,
            "details": self.details,
        }


def number(value: float | None) -> str:
    """Return a value with as many places as a reader wants."""
    if value is None:
        return ""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"
