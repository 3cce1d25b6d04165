"""Creating once: a request that is sent again under its `Idempotency-Key` makes what it made before, not more.

Ids and secrets come from a seed that is kept with the key. So a request whose first try was committed but never
answered (the process was killed between the two) finds what it made.
"""

import base64
import hashlib
import hmac
import secrets
import uuid
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Creation:
    """What the running request creates under its key.

    Attributes:
        caller_secret: the caller's API key, which its answer's secrets depend on besides the seed; none without keys.
        seed: random bytes kept with the key; None before the key was claimed.
        repeated: an earlier try may have created it already.
        secret: the secret that the answer shows, if it does.
    """

    caller_secret: str = field(default="", repr=False)
    seed: bytes | None = field(default=None, repr=False)
    repeated: bool = False
    secret: str | None = field(default=None, repr=False)
    made: Counter[str] = field(default_factory=Counter)


current: ContextVar[Creation | None] = ContextVar("creation", default=None)


def is_keyed() -> bool:
    """Whether the running request has an idempotency key."""
    creation = current.get()
    return creation is not None and creation.seed is not None


def may_exist() -> bool:
    """Whether an earlier try of the running request may have made what it is about to make."""
    creation = current.get()
    return creation is not None and creation.repeated


def new_id(what: str) -> uuid.UUID:
    """A random id for a new `what`; under an idempotency key the one that every try of the request gives it.

    Args:
        what: kind and traits of the thing; the second of equal ones gets another id than the first.
    """
    creation = current.get()
    if creation is None or creation.seed is None:
        return uuid.uuid4()
    creation.made[what] += 1
    name = f"{creation.made[what]} {what}".encode()
    return uuid.UUID(bytes=hmac.digest(creation.seed, name, "sha256")[:16], version=4)


def new_secret() -> str:
    """A random secret of 32 bytes; under an idempotency key the one that every try of the request gives."""
    creation = current.get()
    if creation is None or creation.seed is None:
        return secrets.token_urlsafe(32)
    creation.secret = secret_of(creation.seed, creation.caller_secret)
    return creation.secret


def secret_of(seed: bytes, caller_secret: str) -> str:
    """The secret that a request of this caller made under this seed: neither is enough to tell it."""
    code = hmac.digest(hashlib.sha256(caller_secret.encode()).digest(), b"secret" + seed, "sha256")
    return base64.urlsafe_b64encode(code).rstrip(b"=").decode()


def place_of_secret(seed: bytes) -> bytes:
    """What stands for the secret in a stored answer; nobody can guess it and put it there."""
    return base64.urlsafe_b64encode(hmac.digest(seed, b"place of the secret", "sha256"))
