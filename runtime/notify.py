"""Notify: what systemd wants to hear of a Type=notify service, by its own protocol (sd_notify(3))."""

import os
import socket

TIMEOUT_S = 0.2
"""A manager that does not read (its queue holds some ten datagrams) must not stop the captions."""


class Notifier:
    """Tells the service manager; outside systemd, where NOTIFY_SOCKET is not set, it does nothing."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._address = variables.get("NOTIFY_SOCKET", "")
        microseconds = variables.get("WATCHDOG_USEC", "")
        meant_for_us = variables.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and meant_for_us else None
        """The manager restarts us after so long without `alive`; None where it does not watch."""

    def ready(self) -> bool:
        return self._send("READY=1")

    def alive(self) -> bool:
        """Resets the manager's watchdog, where there is one."""
        return self.watchdog_s is not None and self._send("WATCHDOG=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send("STATUS=" + text.replace("\n", " "))

    def stopping(self) -> bool:
        return self._send("STOPPING=1")

    def _send(self, message: str) -> bool:
        """Whether it was sent. Failing is no reason to stop: the captions are for people."""
        if not self._address.startswith(("/", "@")):
            return False
        # "@name" is an address in the abstract namespace, which begins with a zero byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet:
                outlet.settimeout(TIMEOUT_S)
                outlet.sendto(message.encode(), address)
        except OSError:
            return False
        return True
