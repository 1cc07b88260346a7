"""The program of a process that searches shards: `python -m engine.indexes.sharded.worker SOCKET`."""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Connection

from engine.indexes.sharded.hosts import Station


def main() -> None:
    """Answer questions until the other side ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side is interrupted, and ends this one
    connection, station = Connection(int(sys.argv[1])), Station()
    while True:
        try:
            connection.send(station(*connection.recv()))
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    main()
