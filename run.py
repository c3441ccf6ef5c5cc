"""Start the server: ``python run.py --help``."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from app.config import Settings
from app.errors import SetupError
from app.runtime import locked

ONE_PROCESS = (
    "--workers above 1 is not possible: streams live in one process, and every worker would "
    "publish each of them again. One process uses all cores."
)
GRACE_S = 4
TCP_USER_TIMEOUT_MS = 20_000
M_ARENA_MAX = -8  # of glibc's malloc.h


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Watchpost: video analytics on your own machine.",
        epilog="Each setting can also come from the environment (WATCHPOST_...) or a .env file.",
        argument_default=argparse.SUPPRESS,
    )
    levels = ["debug", "info", "warning", "error", "critical"]
    parser.add_argument("--host", help="address to bind to (default: 0.0.0.0)")
    parser.add_argument("--port", type=int, help="port to bind to (default: 8000)")
    parser.add_argument("--reload", action="store_true", help="restart when a file changes")
    parser.add_argument("--workers", type=int, help="only 1: streams live in one process")
    parser.add_argument("--log-level", choices=levels, help="(default: info)")
    parser.add_argument("--database-url", help="(default: SQLite in the data folder)")
    parser.add_argument("--claude-api-key", help="key for the fallback of plate reading")
    parser.add_argument("--claude-model", help="model for the fallback of plate reading")
    parser.add_argument("--debug", action="store_true", help="log more")
    parser.add_argument("--data-dir", help="everything written lives here (default: ./data)")
    parser.add_argument(
        "--media-dir",
        action="append",
        metavar="DIR",
        help="folder of video files that may be watched; again for another one "
        "(default: the data folder and the working directory)",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument(
        "--weights",
        help="network for people, bags, vehicles, plates and cigarettes: .xml, .onnx, .pt or "
        ".engine (default: the shipped one)",
    )
    parser.add_argument("--demo", action="store_true", help="run a stream over bundled photos")
    parser.add_argument("--output-base", help="RTSP server that takes all default outputs")
    parser.add_argument("--token", help="what callers from elsewhere must show (default: made)")
    parser.add_argument(
        "--require-token", action="store_true", help="also from this machine (behind a proxy)"
    )
    parser.add_argument("--no-auth", action="store_true", help="everybody may do everything")
    return parser.parse_args(arguments)


NESTED = {
    "media_dir": "media_dirs",
    "token": "auth__token",
    "require_token": "auth__require_token",
    "no_auth": "auth__disabled",
    "output_base": "streams__output_base",
    "weights": "objects__weights",
}


def to_environment(flags: argparse.Namespace) -> None:
    """Hand the flags on as settings, so that a reloaded process has them too."""
    for name, value in vars(flags).items():
        if name not in ("reload", "workers"):
            key = f"WATCHPOST_{NESTED.get(name, name)}".upper()
            text = os.pathsep.join(value) if isinstance(value, list) else value
            os.environ[key] = json.dumps(value) if isinstance(value, bool) else str(text)


def main() -> None:
    flags = parse()
    sys.path.insert(0, str(Path(__file__).parent))
    if getattr(flags, "workers", 1) > 1:
        sys.exit(ONE_PROCESS)
    to_environment(flags)
    try:
        settings = Settings()
        with locked(settings.data_dir):  # a friendly word now; the server takes it for itself
            pass
    except ValidationError as error:
        sys.exit("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
    except SetupError as error:
        sys.exit(str(error))
    serve(settings, reload=getattr(flags, "reload", False))


def serve(settings: Settings, *, reload: bool) -> None:
    config = uvicorn.Config(
        "main:app",
        host=settings.host,
        port=settings.port,
        log_level="debug" if settings.debug else settings.log_level,
        reload=reload,
        timeout_graceful_shutdown=GRACE_S,
        # The gate must see who really called; it refuses what a proxy forwarded by itself.
        proxy_headers=False,
        server_header=False,
        # The app itself refuses messages that are too large, in words: uvicorn would hang up.
        ws_max_size=2 * settings.push.max_message,
        # Pictures are compressed already; to try it again costs the event loop milliseconds.
        ws_per_message_deflate=False,
    )
    # uvicorn raises the signal again when all is done: an ordered end is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    _limit_malloc_arenas()
    listener = config.bind_socket()  # before anything of the app starts
    _set_tcp_user_timeout(listener)
    welcome(settings, listener.getsockname()[1])
    if reload:
        uvicorn.supervisors.ChangeReload(
            config, target=uvicorn.Server(config).run, sockets=[listener]
        ).run()
        return
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


def _set_tcp_user_timeout(listener: socket.socket) -> None:
    """Have the system end connections whose other side takes nothing: it may be gone, or mean.

    Without that what was sent to it stays in memory for as long as it likes (RFC 5482; accepted
    connections inherit the option).
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)


def _limit_malloc_arenas() -> None:
    """Many threads that handle pictures leave glibc with many half-empty heaps: about 90 MB."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def welcome(settings: Settings, port: int) -> None:
    base = f"http://localhost:{port}"
    lines = [f"Watchpost is at {base}  (what it can do: {base}/docs)"]
    if settings.demo:
        lines.append(f"  demo, watch it: {base}/viewer#demo")
        lines.append(f"  demo, numbers:  {base}/api/streams/demo")
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
