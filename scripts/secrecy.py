"""Looks for credentials in what was written, as they are and in Base64."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator

# Fields of the secret that nobody may see; the account number is no secret.
CREDENTIALS = ("provisioning_hash", "elastic_api_key", "elastic_setup_api_key")
# What is shorter would be found in other words.
SHORTEST = 8


def credentials(secret: str) -> dict[str, str]:
    """Each credential of a secret's document, by its field; of an API key also the two halves it is made of."""
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
    """Id and secret of an API key in its encoded form."""
    try:
        identity, _, secret = base64.b64decode(key, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield from (("id", identity), ("secret", secret))


def spellings(value: str) -> Iterator[str]:
    """A value as it is, and as a part of something longer in Base64: its first byte may be any of the three of a group,
    and what a neighbour has a share in is left out."""
    yield value
    for before in range(3):
        content = bytes(before) + value.encode()
        inner = slice(-(-before * 8 // 6), len(content) * 8 // 6)
        yield base64.b64encode(content).decode()[inner]
        yield base64.urlsafe_b64encode(content).decode()[inner]


def found_in(texts: Iterable[str], secret: dict[str, str]) -> set[str]:
    """The names of the credentials that are in one of the texts."""
    looked_for = [(name, spelling) for name, value in secret.items() for spelling in set(spellings(value))]
    return {name for text in texts for name, spelling in looked_for if spelling in text}
