"""A till: settles one bill, and asks again under the same id until it knows the answer. See docs/integrators.md."""
# ruff: noqa: INP001, T201 a script of its own, which speaks on stdout

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
from yarl import URL

BROKER = os.environ["GONGJI_AMQP_URL"]
ANSWER_WITHIN_S = 10


async def ask(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request. Raises TimeoutError, AMQPError or OSError: then nobody knows what became of it."""
    async with asyncio.timeout(ANSWER_WITHIN_S), await aio_pika.connect(BROKER, timeout=5) as connection:
        channel = await connection.channel(on_return_raises=True)
        answers: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(answers.put, no_ack=True)
        request = aio_pika.Message(
            json.dumps(body).encode(),
            content_type="application/json",
            type=operation,
            message_id=str(uuid4()),
            reply_to="amq.rabbitmq.reply-to",
            user_id=URL(BROKER).user,  # in production: the institution's own user, checked by the broker
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        requests = await channel.get_exchange("gongji.requests", ensure=False)
        await requests.publish(request, routing_key=f"{operation}.{body['insured_region']}")
        answer: dict[str, Any] = json.loads((await answers.get()).body)
        return answer


async def main(institution: str, region: str, person: str, amount_fen: int) -> None:
    name = {"request_id": f"till-{uuid4()}", "institution_id": institution, "insured_region": region}
    patient = {"person_id": person, "credential": {"type": "01", "person_id": person}}
    bill = {"expense_type": "outpatient", "amount_fen": amount_fen, "care_region": region}
    # Made once: the same id with any other content, the time included, would be another request.
    request = name | patient | bill | {"occurred_at": datetime.now(UTC).isoformat()}
    for _ in range(3):
        try:
            answer = await ask("settle", request)
        except (TimeoutError, OSError, aio_pika.exceptions.AMQPError) as error:
            print(f"no answer ({type(error).__name__}), sending it again", file=sys.stderr)
        else:
            return print(json.dumps(answer, indent=2, ensure_ascii=False))
    sys.exit(f"the outcome is not known: look up {request['request_id']}, or send the same request again")


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
