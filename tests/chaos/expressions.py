"""DynamoDB's expressions, as far as this product writes them (Developer Guide, "Expressions in DynamoDB").

An item is a map of typed values, as on the wire. What is not understood is an error, never a guess.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

Typed = dict[str, Any]
Item = dict[str, Typed]
Names = dict[str, str]
Values = dict[str, Typed]
Condition = Callable[[Item, Names, Values], bool]
Operand = Callable[[Item, Names, Values], Typed | None]

TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|[#:]?[A-Za-z0-9_.]+)")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def holds(expression: str | None, item: Item, names: Names, values: Values) -> bool:
    """Return whether a condition holds of `item`; one that is not given does."""
    return expression is None or condition(expression)(item, names, values)


@lru_cache(4096)
def condition(expression: str) -> Condition:
    """Return a condition, parsed."""
    tokens = _Tokens(expression)
    parsed = _either(tokens)
    assert not tokens.left, f"not understood: {expression}"
    return parsed


def updated(expression: str, item: Item, names: Names, values: Values) -> Item:
    """Return `item` after an update; every operand is what it was before it."""
    after = dict(item)
    for clause, name, operand in _update(expression):
        attribute = names.get(name, name)
        if clause == "REMOVE":
            after.pop(attribute, None)
            continue
        value = operand(item, names, values)
        assert value is not None, f"{name} is set to an attribute that is not there"
        after[attribute] = _sum(item.get(attribute, {"N": "0"}), value, 1) if clause == "ADD" else value
    return after


@lru_cache(4096)
def _update(expression: str) -> list[tuple[str, str, Operand]]:
    tokens, clause, parts = _Tokens(expression), "", []
    while tokens.left:
        if tokens.next in ("SET", "REMOVE", "ADD"):
            clause = tokens.take()
        elif tokens.next == ",":
            tokens.take()
        name = tokens.take()
        if clause == "SET":
            tokens.take("=")
            parts.append((clause, name, _value(tokens)))
        elif clause == "ADD":
            parts.append((clause, name, _operand(tokens)))
        else:
            assert clause == "REMOVE", expression
            parts.append((clause, name, lambda *_: None))
    return parts


class _Tokens:
    def __init__(self, expression: str) -> None:
        self.left = TOKEN.findall(expression)
        assert "".join(self.left) == re.sub(r"\s", "", expression), f"not understood: {expression}"

    @property
    def next(self) -> str:
        return self.left[0] if self.left else ""

    def take(self, expected: str | None = None) -> str:
        token = self.left.pop(0)
        assert expected in (None, token), f"{token} instead of {expected}"
        return token


def _either(tokens: _Tokens) -> Condition:
    first = _both(tokens)
    if tokens.next != "OR":
        return first
    tokens.take()
    other = _either(tokens)
    return lambda *given: first(*given) or other(*given)


def _both(tokens: _Tokens) -> Condition:
    first = _one(tokens)
    if tokens.next != "AND":
        return first
    tokens.take()
    other = _both(tokens)
    return lambda *given: first(*given) and other(*given)


def _one(tokens: _Tokens) -> Condition:
    if tokens.next == "NOT":
        tokens.take()
        inner = _one(tokens)
        return lambda *given: not inner(*given)
    if tokens.next == "(":
        tokens.take()
        inner = _either(tokens)
        tokens.take(")")
        return inner
    if tokens.next in ("attribute_exists", "attribute_not_exists"):
        there = tokens.take() == "attribute_exists"
        tokens.take("(")
        of = _operand(tokens)
        tokens.take(")")
        return lambda *given: (of(*given) is not None) is there
    if tokens.next == "begins_with":
        tokens.take(), tokens.take("(")
        of, _, prefix, _ = _operand(tokens), tokens.take(","), _operand(tokens), tokens.take(")")
        return lambda *given: bool((of(*given) or {}).get("S", "").startswith(prefix(*given)["S"]))
    one, how = _operand(tokens), tokens.take()
    if how == "BETWEEN":
        low, _, high = _operand(tokens), tokens.take("AND"), _operand(tokens)
        return lambda *given: _compare(">=", one(*given), low(*given)) and _compare("<=", one(*given), high(*given))
    if how == "IN":
        tokens.take("(")
        some = [_operand(tokens)]
        while tokens.next == ",":
            tokens.take()
            some.append(_operand(tokens))
        tokens.take(")")
        return lambda *given: any(_compare("=", one(*given), other(*given)) for other in some)
    other = _operand(tokens)
    return lambda *given: _compare(how, one(*given), other(*given))


def _value(tokens: _Tokens) -> Operand:
    first = _operand(tokens)
    if tokens.next not in ("+", "-"):
        return first
    sign = 1 if tokens.take() == "+" else -1
    other = _operand(tokens)
    return lambda *given: _sum(first(*given), other(*given), sign)


def _operand(tokens: _Tokens) -> Operand:
    name = tokens.take()
    if name == "if_not_exists":
        tokens.take("(")
        of, _, default, _ = _operand(tokens), tokens.take(","), _operand(tokens), tokens.take(")")
        return lambda *given: of(*given) or default(*given)
    if name.startswith(":"):
        return lambda _item, _names, values: values[name]
    return lambda item, names, _values: _at(item, name, names)


def _at(item: Item, path: str, names: Names) -> Typed | None:
    """Return the value of a path; maps are walked into by dots."""
    first, *rest = (names[part] if part.startswith("#") else part for part in path.split("."))
    found = item.get(first)
    for part in rest:
        found = (found or {}).get("M", {}).get(part)
    return found


def _compare(how: str, one: Typed | None, other: Typed | None) -> bool:
    """Compare two typed values; what is absent, or of another type, only differs."""
    if one is None or other is None or one.keys() != other.keys():
        return how == "<>"
    return COMPARE[how](plain(one), plain(other))


def plain(typed: Typed) -> Any:
    """Return a value in the order of its type."""
    ((kind, value),) = typed.items()
    return Decimal(value) if kind == "N" else value


def _sum(one: Typed | None, other: Typed | None, sign: int) -> Typed:
    assert one is not None, "an attribute that is not there is added to"
    assert other is not None, "an attribute that is not there is added"
    return {"N": str(Decimal(one["N"]) + sign * Decimal(other["N"]))}
