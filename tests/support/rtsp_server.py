#!/usr/bin/env python3
"""A small RTSP relay for tests, built on GStreamer's RTSP server.

Publishers ANNOUNCE/RECORD one H.264 stream on any path (or H.265, with ``?codec=h265`` behind it),
readers DESCRIBE/PLAY it from there, and the coded frames pass through unchanged. It runs under the
system Python, because GStreamer's bindings (``gi``, ``GstRtspServer``) are system packages: it must
not import the project.

    rtsp_server.py --port 0 [--host H] [--user U --password P [--auth basic|digest]]
                   [--serve PATH=FILE ...]

It prints ``listening PORT`` once it accepts connections and logs what happens on stderr.
A new publisher on a busy path replaces the old one, whose readers are disconnected.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CODECS = ("h264", "h265")
CAPS = "video/x-{codec},stream-format=byte-stream,alignment=au"
RECORD_LAUNCH = (
    f"( rtp{{codec}}depay name=depay0 ! {CAPS} ! {{codec}}parse config-interval=-1 ! {CAPS} "
    "! appsink name=sink emit-signals=true sync=false async=false max-buffers=0 )"
)
PLAY_LAUNCH = (
    "( appsrc name=src is-live=true format=time max-bytes=0 ! rtp{codec}pay name=pay0 pt=96 )"
)
JITTER_MS = 50
"""How long a publisher's missing UDP packet is waited for."""
MAX_GOP_FRAMES = 1000
MAX_GOP_BYTES = 32 << 20
MAX_READER_BACKLOG = 8 << 20
"""A reader this many bytes behind loses frames up to the next keyframe."""
GOODBYE_MS = 200
"""Time for the RTCP BYE to reach readers before their connections are closed."""
ROLE = "user"


def log(message: str) -> None:
    """Write one line to stderr at once."""
    print(message, file=sys.stderr, flush=True)


def path_key(uri: GstRtsp.RTSPUrl) -> str:
    """Name a stream by its path alone: without the query, without a trailing slash."""
    return (uri.abspath or "/").rstrip("/") or "/"


def codec_of(uri: GstRtsp.RTSPUrl) -> str:
    """Name the codec that a publisher's URL announces."""
    return next((codec for codec in CODECS if f"codec={codec}" in (uri.query or "")), CODECS[0])


def mount_path(uri: GstRtsp.RTSPUrl) -> str:
    """Spell the path as the server's own lookup does: with the query."""
    return f"{uri.abspath or '/'}?{uri.query}" if uri.query else (uri.abspath or "/")


class QueryMountPoints(GstRtspServer.RTSPMountPoints):
    """Mount points for publishers, which keep the query of a URL.

    The stock ones drop the query of an ANNOUNCE; but a publisher appends the name of its stream to
    the whole URL, and the server would not find that SETUP again.
    """

    def do_make_path(self, uri: GstRtsp.RTSPUrl) -> str:
        """Return the path under which a URL is looked up."""
        return mount_path(uri)


class Connection:
    """One client connection, with the means to close it from any thread."""

    def __init__(self, client: GstRtspServer.RTSPClient) -> None:
        """Wrap a client; must run in the thread that serves it."""
        self._client: GstRtspServer.RTSPClient | None = client
        client.connect("closed", self._forget)
        self._context = GLib.main_current_source().get_context()
        self._timers: list[GLib.Source] = []

    def close_later(self, delay_ms: int) -> None:
        """Close the connection after a delay, in its own thread."""
        timer = GLib.timeout_source_new(delay_ms)
        timer.set_callback(self._close)
        timer.attach(self._context)
        self._timers.append(timer)
        if self._client is None:
            self._stop_timers()

    def _close(self, *_: object) -> bool:
        if self._client is not None:
            self._client.close()
        return GLib.SOURCE_REMOVE

    def _forget(self, _: GstRtspServer.RTSPClient) -> None:
        """Let go of a closed client, which otherwise would never be freed, nor its thread."""
        self._client = None
        self._stop_timers()

    def _stop_timers(self) -> None:
        while self._timers:
            self._timers.pop().destroy()


class Reader:
    """The feeding end of one PLAY pipeline."""

    def __init__(self, connection: Connection) -> None:
        """Make a reader, not fed yet, for a pipeline that serves ``connection``."""
        self.connection = connection
        self.source: Gst.Element | None = None
        self.base: int | None = None
        self.needs_key = True

    def push(self, frame: Gst.Buffer) -> None:
        """Send one frame, timed from the reader's first; a slow reader skips to a keyframe."""
        if self.source is None:
            return
        is_key = not frame.has_flags(Gst.BufferFlags.DELTA_UNIT)
        if self.source.get_property("current-level-bytes") > MAX_READER_BACKLOG:
            self.needs_key = True
            return
        if self.needs_key and not is_key:
            return
        self.needs_key = False
        if self.base is None:
            self.base = frame.pts
        copy = frame.copy()
        copy.pts = max(0, frame.pts - self.base)
        copy.dts = Gst.CLOCK_TIME_NONE
        self.source.emit("push-buffer", copy)

    def end(self) -> None:
        """Say goodbye (RTCP BYE) and then hang up."""
        if self.source is not None:
            self.source.emit("end-of-stream")
        self.connection.close_later(GOODBYE_MS)


class Relay:
    """One publisher's stream and its readers."""

    def __init__(self, path: str, codec: str, connection: Connection, streams: Streams) -> None:
        """Relay what ``connection`` publishes as ``path``; ``streams`` lists what is live."""
        self.path = path
        self.codec = codec
        self.connection = connection
        self.streams = streams
        self.caps: Gst.Caps | None = None
        self._lock = threading.Lock()
        self._gop: list[Gst.Buffer] = []
        self._gop_bytes = 0
        self._readers: list[Reader] = []
        self._closed = False

    def on_sample(self, sink: Gst.Element) -> Gst.FlowReturn:
        """Take one coded frame from the publisher and hand it to every reader."""
        sample = sink.emit("pull-sample")
        if sample is None:
            return Gst.FlowReturn.EOS
        frame = sample.get_buffer()
        if frame.pts == Gst.CLOCK_TIME_NONE:
            return Gst.FlowReturn.OK
        with self._lock:
            first = self.caps is None and not frame.has_flags(Gst.BufferFlags.DELTA_UNIT)
            if first:
                self.caps = sample.get_caps()
            if self.caps is not None:
                self._remember(frame)
            for reader in self._readers:
                reader.push(frame)
        if first:
            self.streams.publish(self)
        return Gst.FlowReturn.OK

    def _remember(self, frame: Gst.Buffer) -> None:
        """Keep the frames since the last keyframe, for readers that join now."""
        if not frame.has_flags(Gst.BufferFlags.DELTA_UNIT):
            self._gop, self._gop_bytes = [frame], frame.get_size()
        elif self._gop:
            self._gop.append(frame)
            self._gop_bytes += frame.get_size()
        if len(self._gop) > MAX_GOP_FRAMES or self._gop_bytes > MAX_GOP_BYTES:
            self._gop, self._gop_bytes = [], 0

    def attach(self, reader: Reader, source: Gst.Element) -> None:
        """Start a reader, whose pipeline begins at ``source``, at the last keyframe."""
        with self._lock:
            if reader.source is not None:
                return
            reader.source = source
            if not self._closed:
                for frame in self._gop:
                    reader.push(frame)
                self._readers.append(reader)
                return
        reader.end()

    def detach(self, reader: Reader) -> None:
        """Forget a reader that has left."""
        with self._lock:
            reader.source = None
            if reader in self._readers:
                self._readers.remove(reader)

    def close(self, *_: object) -> None:
        """End the stream: its path is free at once, its readers and publisher are let go."""
        self.streams.withdraw(self)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            readers, self._readers, self._gop = self._readers, [], []
        for reader in readers:
            reader.end()
        self.connection.close_later(GOODBYE_MS)


class Streams:
    """The streams that are live now, by path."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._relays: dict[str, Relay] = {}

    def get(self, path: str) -> Relay | None:
        """Return the stream at ``path``, if somebody publishes it."""
        with self._lock:
            return self._relays.get(path)

    def publish(self, relay: Relay) -> None:
        """Make ``relay`` the stream at its path, in place of an older one."""
        with self._lock:
            old = self._relays.get(relay.path)
            self._relays[relay.path] = relay
        log(f"published {relay.path}")
        if old is not None:
            log(f"replaced the publisher of {relay.path}")
            old.close()

    def withdraw(self, relay: Relay) -> None:
        """Free the path of ``relay``, unless another publisher has it by now."""
        with self._lock:
            if self._relays.get(relay.path) is not relay:
                return
            del self._relays[relay.path]
        log(f"unpublished {relay.path}")


def new_factory(launch: str) -> GstRtspServer.RTSPMediaFactory:
    """Make an unshared media factory that a logged-in user may use."""
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(launch)
    factory.set_shared(False)
    allowed = Gst.Structure.new_empty(ROLE)
    allowed.set_value("media.factory.access", True)
    allowed.set_value("media.factory.construct", True)
    factory.add_role_from_structure(allowed)
    return factory


def keep_timestamps(_: Gst.Pipeline, __: Gst.Bin, element: Gst.Element) -> None:
    """Take a publisher's timestamps as they are: smoothing them would garble B-frames."""
    if element.get_factory() is not None and element.get_factory().get_name() == "rtpbin":
        element.set_property("buffer-mode", "none")


def send_at_once(_: Gst.Pipeline, __: Gst.Bin, element: Gst.Element) -> None:
    """Send frames as they come, not by their timestamps: a late joiner's begin in the past."""

    def unset(sink: Gst.Element, _: object = None) -> None:
        if sink.get_property("sync"):
            sink.set_property("sync", False)

    if element.find_property("sync") is not None:
        element.connect("notify::sync", unset)  # the server sets it again for every PLAY
        unset(element)


def record_factory(relay: Relay) -> GstRtspServer.RTSPMediaFactory:
    """Make the factory whose media feeds ``relay``."""

    def configure(_: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        media.get_element().get_parent().connect("deep-element-added", keep_timestamps)
        sink = media.get_element().get_by_name("sink")
        sink.connect("new-sample", relay.on_sample)
        media.connect("unprepared", relay.close)

    factory = new_factory(RECORD_LAUNCH.format(codec=relay.codec))
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_latency(JITTER_MS)
    factory.connect("media-configure", configure)
    return factory


def play_factory(relay: Relay, connection: Connection) -> GstRtspServer.RTSPMediaFactory:
    """Make the factory whose media sends ``relay`` to one connection."""

    def configure(_: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        media.get_element().get_parent().connect("deep-element-added", send_at_once)
        source = media.get_element().get_by_name("src")
        source.set_property("caps", relay.caps)
        reader = Reader(connection)
        source.connect("need-data", lambda source, _: relay.attach(reader, source))
        media.connect("unprepared", lambda *_: relay.detach(reader))

    factory = new_factory(PLAY_LAUNCH.format(codec=relay.codec))
    factory.connect("media-configure", configure)
    return factory


class Gate(GstRtspServer.RTSPAuth):
    """Look at every request first: set up what its path means, then check who asks.

    The server asks its auth object before it looks a path up, so this is the one place where a
    path can be given a meaning per request: each connection has mount points of its own, which get
    a RECORD factory for an ANNOUNCE and a PLAY factory for a DESCRIBE of a live stream.
    """

    def setup(self, streams: Streams, args: argparse.Namespace) -> None:
        """Use these streams, and let in only one user when the command line names one."""
        self.streams = streams
        self.protected = bool(args.user)
        if not self.protected:
            return
        token = GstRtspServer.RTSPToken.new()
        token.set_string("media.factory.role", ROLE)
        if args.auth == "digest":
            self.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            self.add_digest(args.user, args.password, token)
        else:
            login = GstRtspServer.RTSPAuth.make_basic(args.user, args.password)
            self.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            self.add_basic(login, token)

    def do_check(self, context: GstRtspServer.RTSPContext, check: str) -> bool:
        """Answer the server's question ``check`` about the request in ``context``."""
        if check == "auth.check.url":
            self._route(context)
        if not self.protected:
            return True
        return bool(GstRtspServer.RTSPAuth.do_check(self, context, check))

    def _route(self, context: GstRtspServer.RTSPContext) -> None:
        """Mount what a DESCRIBE or ANNOUNCE will look for on its own connection."""
        if context.uri is None:
            return
        if context.method == GstRtsp.RTSPMethod.ANNOUNCE:
            mounts: GstRtspServer.RTSPMountPoints = QueryMountPoints()
            mounts.add_factory(mount_path(context.uri), self._announced(context))
            context.client.set_mount_points(mounts)
        elif context.method == GstRtsp.RTSPMethod.DESCRIBE:
            mounts = GstRtspServer.RTSPMountPoints.new()
            factory = self._described(context)
            if factory is not None:
                mounts.add_factory(path_key(context.uri), factory)
            context.client.set_mount_points(mounts)

    def _announced(self, context: GstRtspServer.RTSPContext) -> GstRtspServer.RTSPMediaFactory:
        path, codec = path_key(context.uri), codec_of(context.uri)
        relay = Relay(path, codec, Connection(context.client), self.streams)
        context.client.connect("closed", relay.close)
        return record_factory(relay)

    def _described(
        self, context: GstRtspServer.RTSPContext
    ) -> GstRtspServer.RTSPMediaFactory | None:
        relay = self.streams.get(path_key(context.uri))
        if relay is not None:
            return play_factory(relay, Connection(context.client))
        if self.protected and not self._logged_in(context):
            return new_factory(
                PLAY_LAUNCH.format(codec=CODECS[0])
            )  # never built: the server answers 401, not 404
        return None

    def _logged_in(self, context: GstRtspServer.RTSPContext) -> bool:
        GstRtspServer.RTSPAuth.do_authenticate(self, context)
        return context.token is not None


class FileSource:
    """An ffmpeg child that publishes a file in a loop, in real time, without re-encoding."""

    def __init__(self, url: str, file: str) -> None:
        """Publish ``file`` at ``url``."""
        self.command = [
            *("ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1"),
            *("-i", file, "-map", "0:v:0", "-c", "copy", "-f", "rtsp"),
            *("-rtsp_transport", "tcp", url),
        ]
        self.child: subprocess.Popen[bytes] | None = None

    def keep_running(self) -> bool:
        """Start the child if it is not running; meant for a timer."""
        if self.child is None or self.child.poll() is not None:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        return GLib.SOURCE_CONTINUE

    def stop(self) -> None:
        """End the child."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()


class RelayServer:
    """The server with everything it needs to run."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Prepare a server as the command line asks."""
        self.args = args
        self.loop = GLib.MainLoop()
        self.gate = Gate()
        self.gate.setup(Streams(), args)
        self.server = GstRtspServer.RTSPServer.new()
        self.server.set_address(args.host)
        self.server.set_service(str(args.port))
        self.server.set_auth(self.gate)
        self.server.get_thread_pool().set_max_threads(-1)
        self.server.connect("client-connected", self._on_client)
        self.sources: list[FileSource] = []

    @staticmethod
    def _on_client(_: GstRtspServer.RTSPServer, client: GstRtspServer.RTSPClient) -> None:
        client.get_connection().get_write_socket().set_option(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        client.set_mount_points(GstRtspServer.RTSPMountPoints.new())
        client.connect("closed", clean_up)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit status."""
        if not self.server.attach(None):
            log(f"cannot listen on {self.args.host}:{self.args.port}")
            return 1
        port = self.server.get_bound_port()
        print(f"listening {port}", flush=True)
        for path, file in self.args.serve:
            self.sources.append(FileSource(self._local_url(port, path), file))
        for source in self.sources:
            source.keep_running()
            GLib.timeout_add(1000, source.keep_running)
        if self.args.die_with_parent:
            GLib.timeout_add(1000, self._quit_without, os.getppid())
        GLib.timeout_add_seconds(2, self._expire_sessions)
        for number in (signal.SIGTERM, signal.SIGINT):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self.loop.quit)
        self.loop.run()
        for source in self.sources:
            source.stop()
        return 0

    def _local_url(self, port: int, path: str) -> str:
        login = ""
        if self.args.user:
            login = f"{quote(self.args.user, safe='')}:{quote(self.args.password, safe='')}@"
        return f"rtsp://{login}{self.args.host}:{port}/{path.lstrip('/')}"

    def _quit_without(self, parent: int) -> bool:
        """Stop when the process that started this one is gone."""
        if os.getppid() != parent:
            self.loop.quit()
        return GLib.SOURCE_CONTINUE

    def _expire_sessions(self) -> bool:
        self.server.get_session_pool().cleanup()
        return GLib.SOURCE_CONTINUE


def clean_up(client: GstRtspServer.RTSPClient) -> None:
    """End the sessions of a closed connection, which over UDP would outlive it, and its paths."""
    client.session_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
    client.set_mount_points(None)


def served_file(text: str) -> tuple[str, str]:
    """Parse a ``PATH=FILE`` argument."""
    path, equals, file = text.partition("=")
    if not (path and equals and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"{text!r} is not PATH=FILE with a file that exists")
    return path, file


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A small RTSP relay for tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--auth", choices=("basic", "digest"), default="basic")
    parser.add_argument("--serve", metavar="PATH=FILE", type=served_file, action="append")
    parser.add_argument("--die-with-parent", action="store_true", help="leave no orphan behind")
    args = parser.parse_args()
    args.serve = args.serve or []
    return args


def main() -> None:
    """Run the relay and leave without waiting for threads that serve vanished clients."""
    args = parse_args()
    Gst.init(None)
    status = RelayServer(args).run()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
