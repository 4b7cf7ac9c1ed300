"""Builds ingest for the host."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter

from services.ingest import NAME
from services.ingest.api import channels, inbox
from services.ingest.api.paths import webhook_paths
from services.ingest.api.webhooks import PREFIXES, Webhooks
from services.ingest.handlers.channels import Channels
from services.ingest.handlers.directory import Directory
from services.ingest.handlers.intake import Intake
from services.ingest.handlers.normalizer import Normalizer
from services.ingest.handlers.refusals import Refusals
from services.ingest.handlers.retention import Retention
from services.ingest.handlers.worker import Worker
from services.ingest.settings import IngestSettings
from shared.host import Runtime, Service
from shared.networks.port import Network
from shared.networks.registry import NETWORKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What ingest is made of."""

    intake: Intake
    refusals: Refusals
    worker: Worker
    retention: Retention
    webhooks: Webhooks
    channels: Channels


def build(runtime: Runtime) -> Service:
    """The raw webhook path, the API, and the loops behind them."""
    parts = assemble(runtime, networks=NETWORKS, settings=IngestSettings.load())
    router = APIRouter(routes=[*channels.router.routes, *inbox.router.routes])
    return Service(
        name=NAME,
        router=router,
        tasks={
            "intake": parts.intake.run,
            "normalizer": parts.worker.run,
            "refusals": parts.refusals.run,
            "retention": parts.retention.run,
            "webhooks": parts.webhooks.watch,
        },
        mounts=dict.fromkeys(PREFIXES, parts.webhooks),
        hooks=dict.fromkeys(PREFIXES, parts.webhooks.take),
        mount_paths=webhook_paths(),
        resources=(parts.channels,),
    )


def assemble(runtime: Runtime, *, networks: Mapping[str, Network], settings: IngestSettings) -> Parts:
    """The parts, wired: what is stored wakes the normalizer, what changes is forgotten by the directory."""
    database, clock, ids = runtime.database, runtime.clock, runtime.ids
    directory = Directory(database, runtime.keyring, clock)
    intake = Intake(database, ids, settings)
    refusals = Refusals(database)
    member = ids.new("nrm")
    normalizer = Normalizer(
        database,
        member=member,
        networks=networks,
        settings=settings,
        metrics=runtime.metrics,
        spans=runtime.spans,
    )
    worker = Worker(database, normalizer, member=member, settings=settings)
    intake.on_stored.append(lambda _: worker.wake())
    webhooks = Webhooks(
        networks=networks,
        directory=directory,
        intake=intake,
        refusals=refusals,
        clock=clock,
        metrics=runtime.metrics,
        body_limit=runtime.settings.webhook_body_limit,
    )
    intake.on_stored.append(webhooks.count_stored)
    managed = Channels(networks=networks, keyring=runtime.keyring, egress=runtime.egress, ids=ids, directory=directory)
    retention = Retention(
        database,
        inbox=timedelta(days=runtime.settings.inbox_retention_days),
        items=timedelta(days=settings.item_retention_days),
    )
    return Parts(
        intake=intake, refusals=refusals, worker=worker, retention=retention, webhooks=webhooks, channels=managed
    )
