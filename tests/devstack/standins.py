"""A supervisor whose services are stand-ins, and a stand-in itself.

`python -m tests.devstack.standins DIRECTORY STEP` supervises; STEP is the code of its only step.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from deploy.devstack.stack import AMQP, DATABASE, JWT_PUBLIC_KEY, Service, Stack, Step
from deploy.devstack.supervisor import Options, supervise


class Answer(BaseHTTPRequestHandler):
    """Ready at once, and open about what it was told."""

    def do_GET(self) -> None:
        told = {name: text for name, text in os.environ.items() if name.startswith("GONGJI_")}
        body = json.dumps(told).encode()
        self.send_response(200 if self.path in {"/readyz", "/told"} else 404)
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    HTTPServer(("127.0.0.1", int(os.environ["GONGJI_HTTP_PORT"])), Answer).serve_forever()


def stack(step: str) -> Stack:
    service = (sys.executable, "-m", "tests.devstack.standins")
    return Stack(
        steps=(Step("migrate", (sys.executable, "-c", step), (DATABASE,)),),
        services=(
            Service("settlement-1", service, (DATABASE, AMQP)),
            Service("settlement-2", service, (DATABASE, AMQP)),
            Service("binding", service, (DATABASE, JWT_PUBLIC_KEY)),
        ),
    )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        serve()
    else:
        sys.exit(supervise(Options(directory=Path(sys.argv[1])), stack(sys.argv[2])))
