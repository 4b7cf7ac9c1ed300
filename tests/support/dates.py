"""Plans whose instant comes when a test says so, by the database's clock, and the replicas that carry them out."""

from datetime import timedelta

from services.router.handlers.plans import carry_out
from shared.db.plans import KIND, CarryOut, effect, lock
from shared.db.pool import Database
from shared.db.scope import Owner
from shared.db.timers import Handler, Timers
from shared.retry import Backoff
from shared.telemetry.metrics import Metrics


def replica(
    database: Database, *, does: CarryOut = carry_out, lock: Handler = lock, metrics: Metrics | None = None
) -> Timers:
    """What carries the router's plans out in every process; what failed is tried again at once."""
    on_timer = effect(does, ids=database.ids, metrics=metrics or Metrics())
    at_once = Backoff(base=timedelta(0), cap=timedelta(0))
    return Timers(database, "router", {KIND: on_timer}, lock=lock, backoff=at_once)


async def come(database: Database, schema: str = "router") -> None:
    """The time of the last plan has come, as if as much had passed; whoever waits for an earlier one looks again."""
    async with database.transaction(Owner(), schema=schema) as tx:
        passed = f"(SELECT max(at) - now() FROM {schema}.plan WHERE state = 'upcoming')"
        await tx.execute(f"UPDATE {schema}.plan SET at = at - {passed} WHERE state = 'upcoming'")
        await tx.execute(
            f"UPDATE {schema}.timer t SET due_at = p.at FROM {schema}.plan p WHERE t.kind = $1 AND t.subject = p.id",
            KIND,
        )


async def pass_by(database: Database) -> None:
    """The instant of each of the router's plans comes, and what is due is done."""
    await come(database)
    timers = replica(database)
    while await timers.step():
        await come(database)
