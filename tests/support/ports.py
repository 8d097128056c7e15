"""A loopback port that is free now, and that no connection of anybody's is given meanwhile."""

from deploy.devstack.ports import claimed


def free_port() -> int:
    with claimed(["any"], {}) as ports:
        return ports["any"]
