"""Runs the App's server on a loopback port: restarted when it dies, stopped when this process ends."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from curate.storage.files import Problem

LOOPBACK = "127.0.0.1"
PORT = 5151
PORTS = 50  # that are tried from PORT on
REVIVALS = 5  # a server that dies again and again has another reason


class AppServer:
    """FiftyOne's server process on one port; it ends with this process, however that ends."""

    def __init__(self, port: int, address: str = LOOPBACK) -> None:
        self.port, self.address, self._left = port, address, REVIVALS
        self._service = self._start()

    def revive(self) -> bool:
        """Start the server anew if it has died, and return whether it had.

        Raises
        ------
        Problem
            When it has died too often.
        """
        if self._service.child.poll() is None:
            return False
        if not self._left:
            raise Problem(
                f"Expected the App's server on port {self.port} to run, but it stopped {REVIVALS + 1} times. Your "
                "answers are saved. End the review and start it again; `curate doctor` checks what the App needs."
            )
        self._left -= 1
        self._service = self._start()
        return True

    def stop(self) -> None:
        self._service.stop()

    def _start(self) -> Any:
        from fiftyone.core.service import ServerService

        return ServerService(self.port, address=self.address, do_not_track=True)


def expect_loopback(address: str, port: int | None) -> None:
    """Raise a `Problem` unless ``address`` is reached from this machine only: the App asks nobody for a password."""
    if not ipaddress.ip_address(address).is_loopback:
        shown = port or PORT
        raise Problem(
            f"Expected a loopback address such as {LOOPBACK}, found {address}: the App asks nobody for a password. "
            f"From another machine, use `ssh -L {shown}:{LOOPBACK}:{shown}`."
        )


def choose_port(address: str, port: int | None = None) -> int:
    """Return ``port`` if it is free, or the first free one from 5151 when None.

    FiftyOne would silently join whatever App answers at a taken port, and that may show another database.

    Raises
    ------
    Problem
        When ``port`` is taken, or when all that were tried are.
    """
    tried = [port] if port else list(range(PORT, PORT + PORTS))
    for one in tried:
        if _is_free(address, one):
            return one
    which = f"port {port}" if port else f"one of the ports {tried[0]} to {tried[-1]}"
    raise Problem(
        f"Expected {which} to be free, but another program (an App that is still open?) uses it. "
        "Close it (`curate review --close` ends reviews), or choose another with --port."
    )


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
