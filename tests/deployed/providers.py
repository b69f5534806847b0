"""LastPass for several accounts: one URL, as in production, with one simulator for each account."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request

from company import Company, Size
from stack import LOOPBACK

# Longer than the function waits for a response.
TIMEOUT_S = 60
# The response to an unknown account number. Source: the simulator.
UNKNOWN = '<?xml version="1.0" encoding="UTF-8"?>\n<lastpass rc="Authorization Error"/>'


@dataclass
class Provider:
    """The URL of LastPass for all accounts."""

    url: str
    # By account number.
    companies: dict[str, Company]
    # The pairs of account number and provisioning hash in requests.
    asked_with: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    @contextmanager
    def start(cls, companies: list[Company]) -> Iterator["Provider"]:
        """Listens on a free port and stops on exit."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{server.server_port}/enterpriseapi.php"
        server.provider = cls(url, {company.account_number: company for company in companies})
        thread = threading.Thread(target=server.serve_forever, name="provider", daemon=True)
        thread.start()
        try:
            yield server.provider
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """Forwards a request to the simulator of its `cid` and returns that response."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        provider = self.server.provider
        provider.asked_with.add((asked["cid"], asked["provhash"]))
        company = provider.companies.get(asked["cid"])
        if company is None:
            self.answer(200, [("Content-Type", "text/xml;charset=UTF-8")], UNKNOWN.encode())
            return
        address = urlsplit(company.url)
        connection = HTTPConnection(address.hostname, address.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", address.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            headers = [(name, value) for name in ("Content-Type", "Retry-After") if (value := answer.getheader(name))]
            self.answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing: bodies contain credentials, and each simulator records its requests."""


@contextmanager
def companies(simulator: Path, size: Size, count: int, end: datetime) -> Iterator[list[Company]]:
    """Yields this number of different companies."""
    with ExitStack() as running:
        yield [
            running.enter_context(Company.start(simulator, size, seed=100 + nth, end=end, account_number=str(700_001 + nth)))
            for nth in range(count)
        ]


def tell_times_in(company: Company, zone: str) -> None:
    """Sets the time zone of this company's API."""
    url = f"{company.url.rpartition('/')[0]}/_simulator/quirks"
    LOOPBACK.open(Request(url, json.dumps({"time_zone": zone}).encode()), timeout=TIMEOUT_S).close()
