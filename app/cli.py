"""The command line: ``watchpost`` with ``serve``, ``models``, ``doctor`` and ``user``."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import get_args

import uvicorn
from pydantic import ValidationError

from app import __version__
from app.access import command as users
from app.analytics.rules import read_rule_settings
from app.config import DeviceName, Settings
from app.data_folder import locked
from app.doctor import __main__ as doctor
from app.errors import SetupError
from app.models import __main__ as models
from app.tls import CertificateFiles

GRACE_S = 4
KEEP_ALIVE_S = 75
M_ARENA_MAX = -8  # from glibc's malloc.h
MAX_ARENAS = 2
DESCRIPTION = "Watchpost: video analytics on your own machine."
ENVIRONMENT = "All settings can also be set in the environment (WATCHPOST_...) or in a .env file."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``watchpost`` command and return its exit code."""
    flags = _commands().parse_args(arguments)
    if flags.program == "models":
        return models.run(flags)
    if flags.program == "doctor":
        return doctor.run(flags)
    if flags.program == "user":
        return users.run(flags)
    to_environment(flags)
    serve(flags)
    return 0


def _commands() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="watchpost", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    programs = parser.add_subparsers(dest="program", required=True)
    server = programs.add_parser(
        "serve",
        help="start the server",
        description="Start the server.",
        epilog=ENVIRONMENT,
        argument_default=argparse.SUPPRESS,
    )
    _add_server_flags(server)
    networks = programs.add_parser(
        "models", help="inspect the networks and run them on files", description=models.DESCRIPTION
    )
    models.add_commands(networks)
    check = programs.add_parser(
        "doctor",
        help="check this machine, and how many cameras it can process",
        description=doctor.DESCRIPTION,
        epilog=ENVIRONMENT,
    )
    doctor.add_flags(check)
    accounts = programs.add_parser(
        "user", help="add and list users", description=users.DESCRIPTION, epilog=ENVIRONMENT
    )
    users.add_commands(accounts)
    return parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the server alone, as ``run.py`` takes them."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=ENVIRONMENT, argument_default=argparse.SUPPRESS
    )
    _add_server_flags(parser)
    return parser.parse_args(arguments)


def _add_server_flags(parser: argparse.ArgumentParser) -> None:
    levels = ["debug", "info", "warning", "error", "critical"]
    parser.add_argument("--host", help="address to bind to (default: 0.0.0.0)")
    parser.add_argument("--port", type=int, help="port to bind to (default: 8000)")
    parser.add_argument("--reload", action="store_true", help="restart when a file changes")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that run streams, for machines with many cores; above 1 it needs Ray "
        "(default: 1)",
    )
    parser.add_argument("--log-level", choices=levels, help="(default: info)")
    parser.add_argument("--database-url", help="(default: SQLite in the data folder)")
    parser.add_argument("--claude-api-key", help="key for Claude as second plate reader")
    parser.add_argument("--claude-model", help="Claude model for the second reading of plates")
    parser.add_argument("--debug", action="store_true", help="log more")
    parser.add_argument("--data-dir", help="folder for all data (default: ./data)")
    parser.add_argument(
        "--media-dir",
        action="append",
        metavar="DIR",
        help="folder of video files that callers may open; repeat it for several folders "
        "(default: the data folder and the working directory)",
    )
    parser.add_argument("--device", choices=get_args(DeviceName), help="(default: auto)")
    parser.add_argument(
        "--weights",
        help="network for people, bags, vehicles, plates and cigarettes: .xml, .onnx, .pt or "
        ".engine (default: the shipped one)",
    )
    parser.add_argument("--demo", action="store_true", help="run a stream of bundled photos")
    parser.add_argument("--output-base", help="RTSP server that receives all default outputs")
    parser.add_argument(
        "--token", help="token required of callers on other machines (default: generated)"
    )
    parser.add_argument(
        "--require-token",
        action="store_true",
        help="require the token from this machine too (behind a proxy)",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM: serve https")
    parser.add_argument("--tls-key", metavar="FILE", help="key of the certificate, PEM")
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run streams on a Ray cluster: auto, ray://host:port or local (default: in this "
        "process)",
    )
    parser.add_argument("--no-auth", action="store_true", help="turn authentication off")


NESTED = {
    "media_dir": "media_dirs",
    "token": "auth__token",
    "require_token": "auth__require_token",
    "no_auth": "auth__disabled",
    "tls_cert": "tls__cert",
    "tls_key": "tls__key",
    "output_base": "streams__output_base",
    "weights": "objects__weights",
    "cluster": "cluster__address",
    "workers": "cluster__workers",
}
NOT_SETTINGS = ("program", "reload")


def to_environment(flags: argparse.Namespace) -> None:
    """Set the flags as environment variables, so that a reloaded process has them, too."""
    for name, value in vars(flags).items():
        if name not in NOT_SETTINGS:
            key = f"WATCHPOST_{NESTED.get(name, name)}".upper()
            text = os.pathsep.join(value) if isinstance(value, list) else value
            os.environ[key] = json.dumps(value) if isinstance(value, bool) else str(text)


def serve(flags: argparse.Namespace) -> None:
    """Run the server until it is stopped; a failed start exits with one line."""
    try:
        settings = Settings()
        certificate = _certificate(settings)
        if certificate is not None:
            certificate.load()  # for a clear message now
        read_rule_settings()  # to report invalid ones now; the server reads them again
        with locked(settings.data_dir):  # for a clear message now; the server locks it again
            pass
    except ValidationError as error:
        sys.exit("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
    except SetupError as error:
        sys.exit(str(error))
    _run(_server_config(settings, reload=getattr(flags, "reload", False)), settings)


def _certificate(settings: Settings) -> CertificateFiles | None:
    """The files for TLS; None without. Raises SetupError if only one of them is set."""
    certificate, key = settings.tls.cert, settings.tls.key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SetupError(reason="TLS needs both --tls-cert and --tls-key.")
    return CertificateFiles(certificate, key)


def _server_config(settings: Settings, *, reload: bool) -> uvicorn.Config:
    certificate = _certificate(settings)
    return uvicorn.Config(
        "app:app",  # by name, since a reloaded process imports it again
        host=settings.host,
        port=settings.port,
        log_level="debug" if settings.debug else settings.log_level,
        reload=reload,
        timeout_graceful_shutdown=GRACE_S,
        # Longer than proxies (60 s) and clients (httpx: 5 s) keep idle connections: who sends a
        # request just as the server closes one gets no reply.
        timeout_keep_alive=KEEP_ALIVE_S,
        # Authentication must see the real client; it treats forwarded requests on its own.
        proxy_headers=False,
        server_header=False,
        ssl_context_factory=certificate.context if certificate is not None else None,
        # The app refuses messages that are too large, with a reason; uvicorn would just close the
        # connection.
        ws_max_size=2 * settings.push.max_message,
        # Images are already compressed; another attempt costs the event loop milliseconds.
        ws_per_message_deflate=False,
    )


def _run(config: uvicorn.Config, settings: Settings) -> None:
    # uvicorn raises the signal again after its shutdown; the exit code must be 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    _limit_malloc_arenas()
    listener = config.bind_socket()  # before anything of the app starts
    _set_tcp_user_timeout(listener, 2 * settings.push.send_timeout_s)
    print("Watchpost is starting.", flush=True)
    server = _WelcomingServer(config, _welcome(settings, listener.getsockname()[1]))
    if config.reload:
        uvicorn.supervisors.ChangeReload(config, target=server.run, sockets=[listener]).run()
        return
    try:
        server.run(sockets=[listener])
    finally:
        # Everything is closed, and the process ends: Python would look through all objects twice
        # for what else to free, which takes a quarter of the CPU time of a start and an end.
        gc.freeze()
    if not server.started:
        sys.exit(1)


class _WelcomingServer(uvicorn.Server):
    """A server that says so once it answers, which is seconds after its address is bound."""

    def __init__(self, config: uvicorn.Config, welcome: str) -> None:
        super().__init__(config)
        self._welcome = welcome

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            print(self._welcome, flush=True)


def _set_tcp_user_timeout(listener: socket.socket, timeout_s: float) -> None:
    """Let the system close connections whose peer acknowledges nothing: dead or malicious.

    Otherwise data for such a peer would stay in memory for as long as the peer wants (RFC 5482;
    accepted connections inherit the option). The app disconnects such a client first, with a
    reason in its log, so the system waits longer.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        milliseconds = math.ceil(1000 * timeout_s)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _limit_malloc_arenas() -> None:
    """Limit glibc to a few heaps: with one for each thread, about 90 MB would be half empty."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, MAX_ARENAS)


def _welcome(settings: Settings, port: int) -> str:
    scheme = "http" if settings.tls.cert is None else "https"
    base = f"{scheme}://localhost:{port}"
    lines = [f"Watchpost is running at {base}  (API documentation: {base}/docs)"]
    if settings.demo:
        lines.append(f"  demo, video:   {base}/viewer#demo")
        lines.append(f"  demo, numbers: {base}/api/streams/demo")
    return "\n".join(lines)
