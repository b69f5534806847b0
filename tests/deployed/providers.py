"""LastPass for several accounts: one address, as it has, with a simulator of its own behind it for each account."""

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

# Longer than the function waits for an answer.
TIMEOUT_S = 60
# Said to an account number that nobody has, as the simulator says it.
UNKNOWN = '<?xml version="1.0" encoding="UTF-8"?>\n<lastpass rc="Authorization Error"/>'


@dataclass
class Provider:
    """The one address of LastPass."""

    url: str
    # By account number.
    companies: dict[str, Company]
    # Each pair of account number and provisioning hash that was sent.
    asked_with: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    @contextmanager
    def start(cls, companies: list[Company]) -> Iterator["Provider"]:
        """Listens on a free port, and stops whatever happens."""
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
    """Hands a request to the simulator of its `cid`, and that one's answer back."""

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
        """Nothing: bodies hold credentials, and the requests are in each simulator's own list."""


@contextmanager
def companies(simulator: Path, size: Size, count: int, end: datetime) -> Iterator[list[Company]]:
    """So many companies, no two alike."""
    with ExitStack() as running:
        yield [
            running.enter_context(Company.start(simulator, size, seed=100 + nth, end=end, account_number=str(700_001 + nth)))
            for nth in range(count)
        ]


def tell_times_in(company: Company, zone: str) -> None:
    """Has the API of this company tell and take times in another zone."""
    url = f"{company.url.rpartition('/')[0]}/_simulator/quirks"
    LOOPBACK.open(Request(url, json.dumps({"time_zone": zone}).encode()), timeout=TIMEOUT_S).close()
