"""`python -m services.settlement`: the settlement worker."""

from functools import partial

from services.settlement.app import run
from services.settlement.settings import SettlementSettings
from shared.runtime import lifecycle
from shared.telemetry.logging import configure_logging

if __name__ == "__main__":
    settings = lifecycle.read_settings(SettlementSettings)
    configure_logging(settings.log_level, service="settlement")
    lifecycle.run(partial(run, settings))
