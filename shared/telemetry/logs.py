"""Log lines: JSON or coloured, on stderr, with the trace they belong to and without anybody's secrets or words."""

import itertools
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.telemetry import traces

REDACTED: Final = "[redacted]"

_SECRET_WORDS: Final = frozenset(
    {"authorization", "body", "cookie", "credential", "dsn", "password", "secret", "signature", "text", "token"}
)
_SECRET_PAIRS: Final = frozenset({("api", "key"), ("private", "key"), ("sealing", "key"), ("database", "url")})
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Every repetition that something must follow is bounded: a line may hold a long run of one kind of character.
_SECRETS_IN_TEXT: Final = re.compile(
    r"""(?xi)
    (?P<url>  \b [a-z][a-z0-9+.-]{0,20} :// [^\s/@:]{0,100} : ) [^\s/@]{1,200} (?=@)
  | (?P<name> \b [\w-]{0,40}? (?:token|secret|password|signature|api_?key|authorization|cookie)
              ["']? \s{0,3} [=:] \s{0,3} ["']? (?: (?:bearer|basic) \s+ )? ) [^\s&"',;}]+
  | (?P<auth> \b (?:bearer|basic) \s+ ) [\w.~+/=-]{8,}
  | (?P<bot>  /bot ) \d{1,20}:[\w-]+
  | (?P<kind> \b (?:whsec|whsk|baton_[a-z]{1,20}) _ ) [\w+/=-]{16,}
    """
)
_NOISY: Final = ("httpx", "httpcore", "uvicorn.access", "asyncio", "alembic")
_DEEPEST: Final = 6


def configure(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["auto", "json", "console"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Sets up this process's logging, the standard library's included. stdout stays free for `--json`."""
    stream = stream or sys.stderr
    coloured = form == "console" or (form == "auto" and stream.isatty())
    severity = logging.getLevelNamesMapping()[level.upper()]
    before = _processors()
    after = _renderers(coloured=coloured)
    structlog.configure(
        processors=[*before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(severity)
    for name in _NOISY:
        # They log each request with its URL, which may hold a token, or each step of a migration.
        logging.getLogger(name).setLevel(max(severity, logging.WARNING))


def _processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
    ]


def _renderers(*, coloured: bool) -> list[Processor]:
    """Exceptions become text before redaction looks, and never with their local variables."""
    render = structlog.dev.ConsoleRenderer(colors=True) if coloured else structlog.processors.JSONRenderer(default=str)
    return [structlog.processors.format_exc_info, redact, render]


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if trace := traces.current():
        event.setdefault("trace_id", trace.trace_id)
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces what is kept under a telling name, at any depth, and what looks like a secret inside text."""
    return {key: REDACTED if _is_telling(key) else _cleaned(value, _DEEPEST) for key, value in event.items()}


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SECRETS_IN_TEXT.sub(_keep_prefix, value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview) or depth == 0:
        return REDACTED
    if isinstance(value, Mapping):
        return {k: REDACTED if _is_telling(k) else _cleaned(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(each, depth - 1) for each in value]
    return _SECRETS_IN_TEXT.sub(_keep_prefix, str(value))


def _keep_prefix(match: re.Match[str]) -> str:
    return match[str(match.lastgroup)] + REDACTED


def _is_telling(name: object) -> bool:
    """By whole words: `customerText`, `access_token` and `X-Api-Key` are, `context` and `partition_key` are not."""
    words = [word.lower() for word in _WORD.findall(str(name))]
    singular = [word.removesuffix("s") for word in words]
    return not _SECRET_WORDS.isdisjoint(singular) or not _SECRET_PAIRS.isdisjoint(itertools.pairwise(singular))


def bound(**values: Any) -> AbstractContextManager[None]:
    """A context in which every line of this task carries these values."""
    context: AbstractContextManager[None] = structlog.contextvars.bound_contextvars(**values)
    return context
