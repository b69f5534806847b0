"""Searches output, files and the process list for credentials, in plain text and in Base64."""

import base64
import binascii
import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

# The confidential fields of the secret. The account number is not confidential.
CREDENTIALS = ("provisioning_hash", "elastic_api_key", "elastic_setup_api_key")
# A shorter value would also occur by chance.
SHORTEST = 8
# Interval at which the process list is read. Chosen: a command lives longer.
SAMPLE_SECONDS = 0.05


def credentials(secret: str) -> dict[str, str]:
    """Returns each credential in the secret's JSON by its field, and both halves of each API key."""
    try:
        document = json.loads(secret)
    except ValueError:
        return {}
    found = {}
    for field in CREDENTIALS:
        value = document.get(field) if isinstance(document, dict) else None
        if not isinstance(value, str) or len(value) < SHORTEST or value == "REPLACE_ME":
            continue
        found[field] = value
        if field != "provisioning_hash":
            found |= {f"{field}, its {half}": text for half, text in halves(value) if len(text) >= SHORTEST}
    return found


def halves(key: str) -> Iterator[tuple[str, str]]:
    """Yields ID and secret of an encoded API key."""
    try:
        identity, _, secret = base64.b64decode(key, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield from (("id", identity), ("secret", secret))


def spellings(value: str) -> Iterator[str]:
    """Yields a value in plain text and as a part of a longer text in Base64. It may begin at any of the three bytes of
    a group; characters shared with neighbouring bytes are left out.
    """
    yield value
    for before in range(3):
        content = bytes(before) + value.encode()
        inner = slice(-(-before * 8 // 6), len(content) * 8 // 6)
        yield base64.b64encode(content).decode()[inner]
        yield base64.urlsafe_b64encode(content).decode()[inner]


def found_in(texts: Iterable[str], secret: dict[str, str]) -> set[str]:
    """Returns the names of the credentials that occur in one of the texts."""
    looked_for = [(name, spelling) for name, value in secret.items() for spelling in set(spellings(value))]
    return {name for text in texts for name, spelling in looked_for if spelling in text}


def written_below(*folders: Path) -> Iterator[str]:
    """Yields the content of each file in these folders, such as shell histories, temporary files and core dumps."""
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                yield file.read_bytes().decode("latin-1")


def arguments() -> Iterator[str]:
    """Yields the arguments of every process, which all users of a machine can read."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes().decode("latin-1")


@contextlib.contextmanager
def process_list() -> Iterator[set[str]]:
    """Yields a set that collects the arguments of every process until the end of the block."""
    seen, ended = set(), threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            seen.update(arguments())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()
