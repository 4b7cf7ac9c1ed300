"""Saved filters: everybody has own ones; everybody's are changed by supervisors."""

from typing import Any

from services.tickets.store import views
from services.tickets.store.views import View
from shared.db.transaction import Transaction
from shared.errors import Forbidden, NotFound
from shared.ids import Ids
from shared.web.auth import Principal
from shared.web.calls import stale


async def create(tx: Transaction, ids: Ids, who: Principal, *, name: str, query: dict[str, Any], shared: bool) -> View:
    """A new one, of the caller's own or for everybody."""
    owner = None if shared else who.agent_id
    _check(who, owner)
    return await views.insert(
        tx, view_id=ids.new("view"), workspace_id=who.workspace_id, agent_id=owner, name=name, query=query
    )


async def amend(
    tx: Transaction, who: Principal, view_id: str, *, version: int, name: str | None, query: dict[str, Any] | None
) -> View:
    """Another name, another query."""
    view = await _find(tx, who, view_id)
    if version != view.version:
        raise stale(view.version)
    return await views.save(tx, view_id, name=name or view.name, query=view.query if query is None else query)


async def delete(tx: Transaction, who: Principal, view_id: str) -> None:
    """Ends one."""
    await _find(tx, who, view_id)
    await views.delete(tx, view_id)


async def _find(tx: Transaction, who: Principal, view_id: str) -> View:
    view = await views.lock(tx, view_id, agent_id=who.agent_id)
    if view is None:
        raise NotFound(f"there is no view {view_id}")
    _check(who, view.agent_id)
    return view


def _check(who: Principal, owner: str | None) -> None:
    if owner is None and not who.may("tickets:supervise"):
        raise Forbidden("everybody's views need tickets:supervise", missing=["tickets:supervise"])
