"""The routes of the notifier, by noun."""

from fastapi import APIRouter

from services.notifier.api import changes, endpoints, hooks, stream

router = APIRouter()
for part in (stream, changes, endpoints, hooks):
    router.include_router(part.router)
