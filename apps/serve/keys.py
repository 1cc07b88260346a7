"""Keys: who may ask a server that others can reach."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from pathlib import Path

from apps.guard import App, Message, Receive, Refused, Send, refuse
from apps.names import LOOPBACK
from engine.errors import InputError

SHORTEST_KEY = 16  # characters
OPEN = ("/health", "/docs", "/openapi.json")  # they tell nothing of what is searched
WHO = "workbench.who"  # name in the scope of a request: whose key it came with


class Keys:
    """The keys of a server, kept as hashes.

    Args:
        keys: Name -> key.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = [(name, _digest(key.encode())) for name, key in keys.items()]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def who(self, key: bytes) -> str | None:
        """Whose key this is; it takes as long for a wrong key as for a right one.

        Args:
            key: What a request came with.

        Returns:
            The name, or None.
        """
        digest, found = _digest(key), None
        for name, known in self._digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def read_keys(path: Path | None, host: str, public: Collection[str] = ()) -> Keys:
    """Read the file of keys, and refuse to listen where others can reach a server without any.

    Args:
        path: A key a line, or a name and a key apart by spaces; "#" begins a remark. None where there is none.
        host: Where the server will listen.
        public: Names under which a proxy asks it.

    Returns:
        The keys; none on loopback without a file.

    Raises:
        InputError: no keys where others can reach the server, a file that cannot be read, or a key that is too short.
    """
    if path is None:
        if host in LOOPBACK and not public:
            return Keys({})
        where = host if host not in LOOPBACK else next(iter(public))
        raise InputError(f"Expected keys for {where}, since others can reach it: give --key-file, or use 127.0.0.1.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"Expected a file of keys, {path} cannot be read ({why}): correct --key-file.") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if len(words) > 2 or len(words[-1]) < SHORTEST_KEY or not words[-1].isascii():
            raise InputError(
                f"Expected a key of {SHORTEST_KEY} plain characters or more in line {number} of {path}, or a name and "
                "a key: correct the line."
            )
        name = words[0] if len(words) == 2 else f"key {number}"
        if name in keys:
            raise InputError(f"The name {name!r} stands twice in {path}: give each key a name of its own.")
        keys[name] = words[-1]
    if not keys:
        raise InputError(f"Expected a key a line in {path}, got none: write some.")
    return Keys(keys)


class Locked:
    """Lets nobody in without a key, where there are keys.

    Args:
        app: What is behind.
        keys: Who may ask.
    """

    def __init__(self, app: App, keys: Keys) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse or pass on one request."""
        if scope["type"] not in ("http", "websocket") or not self.keys or _open(scope):
            await self.app(scope, receive, send)
            return
        given = _given(scope)
        who = None if given is None else self.keys.who(given)
        if who is None:
            told = "no key" if given is None else "another one"
            sentence = f"Expected a key in the header Authorization: Bearer KEY, got {told}: ask for one."
            await refuse(scope, receive, send, Refused(401, sentence))
            return
        scope[WHO] = who
        await self.app(scope, receive, send)


def _open(scope: Message) -> bool:
    path = str(scope["path"])
    return path in OPEN or path.startswith("/docs/")


def _given(scope: Message) -> bytes | None:
    """The key of a request: one header, or the other that some programs can send alone."""
    found = [(name, value.strip()) for name, value in scope["headers"] if name in (b"authorization", b"x-api-key")]
    if len(found) != 1:
        return None
    name, value = found[0]
    if name == b"x-api-key":
        return value
    scheme, _, key = value.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else None
