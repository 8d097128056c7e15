"""A bill as a Celery task: its message protocol, version 2. Whoever sends bills to a Celery worker writes them like this."""

from uuid import uuid4

from pydantic_core import to_json

from shared.messages.settle import SettleRequest
from shared.rabbit.publisher import Outgoing

# A quorum queue as the worker's is, but for tasks.
QUEUE = "bench.celery"
TASK = "bench.settle"


def task_of(bill: SettleRequest) -> Outgoing:
    """The message that `settle.delay(...)` would send with the bill as JSON."""
    task_id = str(uuid4())
    arguments = [bill.model_dump_json()]
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers = {
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "ignore_result": True,
    }
    return Outgoing("", QUEUE, to_json([arguments, {}, embedded]), correlation_id=task_id, headers=headers)
