"""`python -m services.bookkeeping`: the bookkeeper."""

from functools import partial

from services.bookkeeping.app import run
from services.bookkeeping.settings import BookkeepingSettings
from shared.runtime import lifecycle
from shared.telemetry.logging import configure_logging

if __name__ == "__main__":
    settings = lifecycle.read_settings(BookkeepingSettings)
    configure_logging(settings.log_level, service="bookkeeping")
    lifecycle.run(partial(run, settings))
