"""Logs: one JSON object a line, no personal data.

Redaction is the second line of defence: the first is that nobody passes a name, an ID number or a credential to a log.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from traceback import extract_tb
from typing import Any, TextIO

import stamina.instrumentation
import structlog
from structlog.typing import ExcInfo

# Whatever carries one of these names is personal (or a secret), however deep it lies.
PERSONAL = frozenset(
    {
        "name",
        "id_number",
        "credential",
        "password",
        "token",
        "authorization",
        "secret",
        "body",
        "phone",
        "address",
    }
)
REDACTED = "[redacted]"
# A resident ID number: 17 digits and a check character; also inside longer texts.
ID_NUMBER = re.compile(r"(?<!\d)\d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)")
# user:password@ in a url.
URL_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


def redact(value: Any) -> Any:
    """A value fit to be logged."""
    if isinstance(value, str):
        return URL_SECRET.sub(f"{REDACTED}@", ID_NUMBER.sub(REDACTED, value))
    if isinstance(value, Mapping):
        return {key: REDACTED if str(key).lower() in PERSONAL else redact(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each) for each in value]
    return value


def places(error: BaseException) -> list[str]:
    """Where an exception was raised, from the outermost call on."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]


def without_words(exc_info: ExcInfo) -> str:
    """An exception as its places and its type, after those that led to it.

    Its own words may repeat what somebody sent: PostgreSQL's tell the whole row that it did not take.
    """
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        told.insert(0, "\n".join([*places(error), type(error).__qualname__]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nand then\n".join(told)


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    redacted: MutableMapping[str, Any] = redact(event)
    return redacted


def configure_logging(level: str, *, service: str, stream: TextIO | None = None) -> None:
    """Structlog and the standard library's loggers, both as redacted JSON on a stream, stdout unless another is named."""
    before: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, event: {"service": service, **event},
    ]
    after: list[structlog.types.Processor] = [
        structlog.processors.ExceptionRenderer(without_words),
        _redact_event,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # Whoever retries says once that it began to wait and once that it is over; each try would only be noise.
    stamina.instrumentation.set_on_retry_hooks([])
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
