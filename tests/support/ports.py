"""Loopback ports that are free now, and that no connection of anybody's is given meanwhile."""

import atexit
from contextlib import ExitStack

from deploy.devstack.ports import claimed

_claims = ExitStack()
atexit.register(_claims.close)


def free_port() -> int:
    """A port that nobody else is given as long as this process lives: what is to listen there is started some time later."""
    return _claims.enter_context(claimed(["any"], {}))["any"]
