"""`python -m services.binding`: the binding service."""

from functools import partial

from services.binding.app import run
from services.binding.settings import BindingSettings
from shared.runtime import lifecycle
from shared.telemetry.logging import configure_logging

if __name__ == "__main__":
    settings = lifecycle.read_settings(BindingSettings)
    configure_logging(settings.log_level, service="binding")
    lifecycle.run(partial(run, settings))
