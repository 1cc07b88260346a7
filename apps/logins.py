"""Guessing takes time: after a few failed logins an address waits, longer each time, and all share one turn."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict

FREE = 3  # failures of an address that cost nothing but the pause
LONGEST = 60  # seconds that an address waits at most
FORGOTTEN = 900  # seconds after its last failure until an address counts as new
PAUSE = 1.0  # seconds without another guess, from anywhere, after a wrong one
MOST_WAITING = 8  # guesses in line for their turn
MOST_ADDRESSES = 10_000


class Logins:
    """What is known of failed logins, by address; a network of IPv6 counts as one."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, and when the last
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def enter(self, address: str) -> int:
        """Take the turn to guess; it has to be left again.

        Args:
            address: Network address of whoever guesses.

        Returns:
            0, or the seconds after which this address may try again; it has no turn then.
        """
        wait = self._wait(address)
        if wait or self._waiting >= MOST_WAITING:
            return wait or math.ceil(MOST_WAITING * PAUSE)
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        wait = self._wait(address)  # others of this address may have failed meanwhile
        if wait:
            self._turn.release()
        return wait

    async def leave(self, address: str, passed: bool) -> None:
        """Give the turn back.

        Args:
            address: Network address of whoever guessed.
            passed: Whether the login was right.
        """
        network = _network(address)
        if passed:
            self._failures.pop(network, None)
            self._turn.release()
            return
        count = self._failures.pop(network, (0, 0.0))[0]
        self._failures[network] = (count + 1, time.monotonic())
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)
        asyncio.get_running_loop().call_later(PAUSE, self._turn.release)

    def _wait(self, address: str) -> int:
        count, last = self._failures.get(_network(address), (0, 0.0))
        since = time.monotonic() - last
        if since > FORGOTTEN:
            self._failures.pop(_network(address), None)
            return 0
        pause = min(2.0 ** (count - FREE + 1), LONGEST) if count >= FREE else 0.0
        return max(0, math.ceil(pause - since))


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
