"""The routes of the notifier, by noun."""

from fastapi import APIRouter

from services.notifier.api import changes, stream

router = APIRouter()
for part in (stream, changes):
    router.include_router(part.router)
