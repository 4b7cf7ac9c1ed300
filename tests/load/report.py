"""What a part found: figures side by side, the targets they are held to, and how both are shown."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

Kind = Literal["limit", "alternative", "ours", "published"]

_STYLES = {"limit": "cyan", "alternative": "yellow", "ours": "bold green", "published": "magenta"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of doing the work. `figures` by column, in the order in which they are shown."""

    name: str
    kind: Kind
    figures: Mapping[str, float | str]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One target. A target of None is only reported."""

    what: str
    value: float | None
    target: float | None
    at_least: bool = True
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        """None where there is nothing to compare."""
        if self.target is None:
            return None
        if self.value is None:
            return False
        return self.value >= self.target if self.at_least else self.value <= self.target


@dataclass(slots=True, kw_only=True)
class Part:
    """One kind of work."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: str = ""
    """Why it could not be measured."""
    seconds: float = 0.0
    load_before: float = 0.0
    """The machine's load average when the part began: others' work shows in absolute figures."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found = dataclasses.asdict(self)
        for shown, check in zip(found["checks"], self.checks, strict=True):
            shown["is_met"] = check.is_met
        return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies; `values` are sorted. NaN when there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def median(values: Sequence[float]) -> float:
    """The middle one, the lower of two."""
    return sorted(values)[(len(values) - 1) // 2] if values else float("nan")


def show(part: Part, console: Console) -> None:
    """A table, then the targets."""
    title = f"{part.title}  [dim]({part.seconds:.0f} s, load before {part.load_before:.1f})[/]"
    if part.missing:
        console.print(f"[bold]{title}[/]\n  [red]not measured:[/] {part.missing}\n")
        return
    columns = list(dict.fromkeys(name for row in part.rows for name in row.figures))
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("", min_width=28)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    if any(row.note for row in part.rows):
        table.add_column("note", style="dim")
    for row in part.rows:
        cells = [_shown(row.figures.get(name)) for name in columns]
        notes = [row.note] if any(other.note for other in part.rows) else []
        table.add_row(f"[{_STYLES[row.kind]}]{row.kind}[/] {row.name}", *cells, *notes)
    console.print(table)
    for check in part.checks:
        console.print(_line(check))
    for note in part.notes:
        console.print(f"  [dim]· {note}[/]", highlight=False)
    console.print()


def _line(check: Check) -> str:
    value = "–" if check.value is None else _shown(check.value)
    if check.target is None:
        return f"  [dim]·[/] {check.what}: {value}{check.unit}"
    mark = "[green]✓[/]" if check.is_met else "[red]✗[/]"
    sign = "≥" if check.at_least else "≤"
    return f"  {mark} {check.what}: {value}{check.unit} (target {sign} {_shown(check.target)}{check.unit})"


def _shown(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
