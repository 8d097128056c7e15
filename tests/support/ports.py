"""A loopback port that is free now, and that no connection of anybody's is given meanwhile."""

from deploy.devstack.ports import assign


def free_port() -> int:
    return assign(["any"], {})["any"]
