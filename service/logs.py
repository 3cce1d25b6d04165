"""Logs: events with fields, one line each, on stderr."""

import logging
import sys
from typing import Literal

import structlog

from service.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Send our own events and those of the libraries to stderr in one format.

    `auto` is readable lines on a terminal and JSON elsewhere.
    """
    style: Literal["console", "json"] = (
        settings.log_format if settings.log_format != "auto" else ("console" if sys.stderr.isatty() else "json")
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        # Its own way to show exceptions shows local variables too, which may be keys and pictures.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if style == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # These tell at level info what only their own authors want to know.
    for chatty in ("procrastinate", "alembic", "httpx", "PIL", "uvicorn.access", "psycopg.pool"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
