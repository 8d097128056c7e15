"""docker-compose.yml, as the tests read it."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def mounted(service: str) -> dict[str, str]:
    """Name the secrets of a service: source by the name of the file it sees."""
    secrets = SERVICES[service].get("secrets", [])
    return {each: each for each in secrets if isinstance(each, str)} | {
        each["target"]: each["source"] for each in secrets if not isinstance(each, str)
    }
