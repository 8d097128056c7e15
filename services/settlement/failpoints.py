"""Places at which a worker can be made to die or stand still, for tests of what must survive it.

Nothing of it lies on a request's way: a place is a method, and only arming the failpoint wraps it.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import wraps
from itertools import count
from typing import Any

from services.settlement.answering import Answering
from services.settlement.handler import Handler


class Moment(Enum):
    BEFORE = "before"
    AFTER = "after"


PLACES: dict[str, tuple[type, str, Moment]] = {
    "before_begin": (Handler, "_attempt", Moment.BEFORE),
    # Everything is written, nothing is committed.
    "after_debit": (Handler, "_record", Moment.AFTER),
    "after_commit": (Handler, "_attempt", Moment.AFTER),
    # Every answer of the batch is confirmed, nothing is acknowledged.
    "after_confirm": (Answering, "publish", Moment.AFTER),
}
ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def arm(failpoint: str) -> None:
    """Has this process send itself a signal when it passes a place, for as long as it lives.

    `failpoint` is PLACE:ACTION, or PLACE:ACTION:N for the Nth pass alone instead of the first, as
    `SettlementSettings` lets it in.
    """
    place, action, *nth = failpoint.split(":")
    kind, name, moment = PLACES[place]
    method: Callable[..., Awaitable[Any]] = getattr(kind, name)
    passes = count(1)
    fails_at = int(nth[0]) if nth else 1

    def pass_by() -> None:
        if next(passes) == fails_at:
            os.kill(os.getpid(), ACTIONS[action])

    @wraps(method)
    async def failing(*args: Any, **named: Any) -> Any:
        if moment is Moment.BEFORE:
            pass_by()
        result = await method(*args, **named)
        if moment is Moment.AFTER:
            pass_by()
        return result

    setattr(kind, name, failing)
