"""The process that sends one message with Apprise: ``python -m app.notify.apprise_child``.

It reads a request from its input and writes what became of it to its output, both JSON. Apprise
connects by itself, so the limits are set below it, with an audit hook of the interpreter (PEP 578):
connections go to checked addresses only, no socket of this machine is used, no program is started,
and no file is read but those of Python and the snapshot. The hook is no protection from hostile
code, but nothing that an address of Apprise can ask for gets around it.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import mimetypes
import os
import socket
import sys
from pathlib import Path
from typing import Any

from app.errors import AddressNotAllowed
from app.urls import ReceiverCheck

MAX_LOG = 4000
STARTS_PROGRAMS = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.")
LISTENS = ("socket.bind", "socket.sendto", "socket.sendmsg")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NOT_ALLOWED = "not allowed here"


class Limits:
    """The audit hook."""

    def __init__(self, local_receivers: list[str], folder: Path) -> None:
        self._check = ReceiverCheck(local_receivers)
        roots = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), str(folder)}
        self._readable = tuple(str(Path(root).resolve()) + os.sep for root in roots)
        self._files = {"/dev/null", *mimetypes.knownfiles}

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raises PermissionError for what is not allowed."""
        if event == "socket.connect":
            self._connect(*arguments)
        elif event == "open":
            self._open(*arguments)
        elif event in LISTENS or event.startswith(STARTS_PROGRAMS):
            raise PermissionError(f"{event}: {NOT_ALLOWED}")

    def _connect(self, sock: socket.socket, address: Any) -> None:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise PermissionError(f"a socket of this machine: {NOT_ALLOWED}")
        host = str(address[0])
        try:
            self._check(host, str(ipaddress.ip_address(host.partition("%")[0])))
        except AddressNotAllowed as error:
            raise PermissionError(str(error)) from None
        except ValueError:
            raise PermissionError(f"a name that was not looked up: {NOT_ALLOWED}") from None

    def _open(self, path: Any, _mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        name = os.path.realpath(os.fsdecode(path))
        readable = name in self._files or name.startswith(self._readable)
        if not readable or (isinstance(flags, int) and flags & WRITES):
            raise PermissionError(f"a file: {NOT_ALLOWED}")


class _Log(logging.Handler):
    """Collects what Apprise says."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def send(request: dict[str, Any]) -> dict[str, Any]:
    """Send the message of a request; the reply says whether it was accepted, and the log.

    The request names a folder that is removed with whatever is in it, even if this is killed.
    """
    import apprise

    log = _Log()
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.INFO)
    logger.addHandler(log)
    asset = apprise.AppriseAsset(
        app_id="Watchpost", app_desc="Watchpost", app_url="", image_url_mask="", async_mode=False
    )
    plugin = apprise.Apprise.instantiate(request["url"], asset=asset)
    if plugin is None:
        return {"ok": False, "log": "\n".join(log.lines) or "the URL is not complete"}
    attachment, folder = None, Path(request["folder"])
    if request["snapshot"] is not None:
        file = folder / "snapshot.jpg"
        file.write_bytes(base64.b64decode(request["snapshot"]))
        attachment = apprise.AppriseAttachment(str(file))
    sys.addaudithook(Limits(request["local_receivers"], folder))
    ok = plugin.notify(body=request["body"], title=request["title"], attach=attachment)
    return {"ok": bool(ok), "log": "\n".join(log.lines)}


def main() -> None:
    """Serve one request."""
    request = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # whatever a plugin prints is no reply
    reply = send(request)
    reply["log"] = reply["log"][:MAX_LOG]
    json.dump(reply, output)
    output.flush()


if __name__ == "__main__":
    main()
