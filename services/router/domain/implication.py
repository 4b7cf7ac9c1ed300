"""What follows from what: conditions that can never hold, and conditions that another one includes."""

from collections.abc import Sequence
from math import inf, nextafter

from services.router.domain.conditions import Condition, Criterion, Group
from services.router.domain.vocabulary import named


def contradiction(condition: Condition, given: Sequence[Criterion] = ()) -> str | None:
    """Why it can never hold, given that all these hold; None: it may. What is found is certain; not all is found."""
    if isinstance(condition, Criterion):
        return _impossible(condition) or next((why for one in given if (why := _conflict(one, condition))), None)
    if condition.kind == "any":
        reasons = [contradiction(part, given) for part in condition.parts]
        return reasons[0] if reasons and None not in reasons else None
    known = list(given)
    for part in sorted(condition.parts, key=lambda part: isinstance(part, Group)):
        if why := contradiction(part, known):
            return why
        if isinstance(part, Criterion):
            known.append(part)
    return None


def implies(narrow: Condition, wide: Condition) -> bool:
    """Whether whatever satisfies the one satisfies the other. True is certain; False may only mean: not seen."""
    if isinstance(narrow, Group) and narrow.kind == "any":
        return all(implies(part, wide) for part in narrow.parts)
    if isinstance(wide, Group) and wide.kind == "all":
        return all(implies(narrow, part) for part in wide.parts)
    if isinstance(wide, Group) and any(implies(narrow, part) for part in wide.parts):
        return True
    if isinstance(narrow, Group):
        return any(implies(part, wide) for part in narrow.parts)
    return isinstance(wide, Criterion) and _includes(wide, narrow)


def _includes(wide: Criterion, narrow: Criterion) -> bool:
    if wide.fact != narrow.fact or wide.negated != narrow.negated:
        return False
    if wide.negated:
        wide, narrow = narrow, wide
    if wide.operator == "set":
        return not wide.negated
    if named(wide.fact).type == "number" and narrow.operator != "set":
        return _covers(wide, narrow)
    asked, found = _exactly(wide.values), _exactly(narrow.values)
    match narrow.operator, wide.operator:
        case "all", "all":
            return asked <= found
        case "all", "any" | "in":
            return not asked.isdisjoint(found)
        case one, other:
            return one == other and found <= asked


def _impossible(criterion: Criterion) -> str | None:
    known = named(criterion.fact).known
    if known and criterion.operator == "in" and not criterion.negated and set(known).isdisjoint(criterion.values):
        return f"{criterion.fact} is never {_or(criterion.values)}, only {_or(known)}"
    return None


def _conflict(one: Criterion, other: Criterion) -> str | None:
    if one.fact != other.fact or (one.negated and other.negated):
        return None
    if one.negated != other.negated:
        positive, negative = (other, one) if one.negated else (one, other)
        is_excluded = negative.operator == "set" or _includes_all(negative, positive)
        return f"{positive.at} asks for what {negative.at} excludes" if is_excluded else None
    return f"{one.at} and {other.at} exclude each other" if _are_apart(one, other) else None


def _are_apart(one: Criterion, other: Criterion) -> bool:
    """Whether no value satisfies both, of a fact that has one value only."""
    kind = named(one.fact).type
    if kind == "number":
        return not any(low <= most and least <= high for low, high in _spans(one) for least, most in _spans(other))
    is_plain = kind in {"word", "flag"} and one.operator == other.operator == "in"
    return is_plain and set(one.values).isdisjoint(other.values)


def _includes_all(negative: Criterion, positive: Criterion) -> bool:
    """Whether the criterion that must not hold holds whenever the positive one does."""
    return _includes(
        Criterion(fact=negative.fact, operator=negative.operator, values=negative.values),
        Criterion(fact=positive.fact, operator=positive.operator, values=positive.values),
    )


def _spans(criterion: Criterion) -> list[tuple[float, float]]:
    """The numbers that satisfy it, as closed intervals."""
    first = criterion.values[0]
    match criterion.operator:
        case "gt" | "gte":
            return [(first if criterion.operator == "gte" else nextafter(first, inf), inf)]
        case "lt" | "lte":
            return [(-inf, first if criterion.operator == "lte" else nextafter(first, -inf))]
        case "in":
            return [(value, value) for value in criterion.values]
        case "between":
            return list(criterion.values)
    return [(-inf, inf)]


def _covers(wide: Criterion, narrow: Criterion) -> bool:
    return all(any(low <= least and most <= high for low, high in _spans(wide)) for least, most in _spans(narrow))


def _exactly(values: Sequence[object]) -> set[object]:
    # To Python, true is 1.
    return {(isinstance(value, bool), value) for value in values}


def _or(values: Sequence[object]) -> str:
    return " or ".join(map(str, values))
