"""Where cameras have their streams, by maker: hints for people who add one.

Paths are those of a camera with one lens, with the settings that it is sold with. Each entry names
where its maker, or who tests such cameras, documents them. A new maker is one line in ``MAKERS``.
"""

from __future__ import annotations

from typing import NamedTuple

HOST = "{host}"
"""Stands for the address of the camera."""


class Maker(NamedTuple):
    """The streams of one maker's cameras.

    Attributes:
        main: URL of the first stream, with ``HOST``.
        second: URL of the smaller stream; None if the cameras have none, or none at a known path.
        note: what has to be set up in the camera first, in English.
    """

    name: str
    main: str
    second: str | None = None
    note: str | None = None


def _rtsp(name: str, main: str, second: str | None = None, note: str | None = None) -> Maker:
    """A maker whose streams are at the usual port of RTSP."""
    base = f"rtsp://{HOST}:554/"
    return Maker(name, base + main, None if second is None else base + second, note)


_HIKVISION = ("Streaming/Channels/101", "Streaming/Channels/102")
_DAHUA = ("cam/realmonitor?channel=1&subtype=0", "cam/realmonitor?channel=1&subtype=1")
_TP_LINK_NOTE = "Make a camera account in the app first: Advanced settings, Camera account."
_PROTECT_NOTE = "Turn RTSP on for the camera in UniFi Protect, which then shows the whole address."

MAKERS: tuple[Maker, ...] = (
    # Amcrest sells cameras of Dahua: support.amcrest.com, "RTSP URL format".
    _rtsp("Amcrest", *_DAHUA),
    # Annke sells cameras of Hikvision: annke.com, help centre, "RTSP".
    _rtsp("Annke", *_HIKVISION),
    # VAPIX, "Video streaming over RTSP": parameters of the address choose the size.
    _rtsp(
        "Axis", "axis-media/media.amp?videocodec=h264", "axis-media/media.amp?resolution=640x360"
    ),
    # Avigilon, "RTSP stream URI": defaultPrimary and defaultSecondary.
    _rtsp("Avigilon", "defaultPrimary?streamType=u", "defaultSecondary?streamType=u"),
    # Bosch, "RTSP usage with Bosch IP video devices": inst selects the stream.
    _rtsp("Bosch", "?inst=1", "?inst=2"),
    # Dahua wiki, "Remote access, RTSP via VLC".
    _rtsp("Dahua", *_DAHUA),
    # D-Link, FAQ "How to view my camera with RTSP": live1.sdp is the largest.
    _rtsp("D-Link", "live1.sdp", "live2.sdp"),
    # Foscam, FAQ "What is the RTSP URL": the port is that of HTTP.
    Maker("Foscam", f"rtsp://{HOST}:88/videoMain", f"rtsp://{HOST}:88/videoSub"),
    # Hanwha Vision, support.hanwhavision.eu, "RTSP URLs"; profile 1 is MJPEG.
    _rtsp("Hanwha (Wisenet, Samsung)", "profile2/media.smp", note="profile2 is H.264."),
    # Hikvision, "RTSP URL of cameras and recorders": channel 1, stream 01 and 02.
    _rtsp("Hikvision", *_HIKVISION),
    # i-PRO, "RTSP access": MediaInput, stream_1 to stream_4.
    _rtsp("i-PRO (Panasonic)", "MediaInput/h264/stream_1", "MediaInput/h264/stream_2"),
    # Imou, "How to view a camera in VLC": as Dahua, with the safety code of its label.
    _rtsp("Imou", *_DAHUA, note="The user is admin; the password is the code on its label."),
    # Lorex sells cameras of Dahua: lorex.com, "RTSP streaming".
    _rtsp("Lorex", *_DAHUA),
    # Milesight, support.milesight.com, "RTSP URL".
    _rtsp("Milesight", "main", "sub"),
    # Reolink, support.reolink.com, "Introduction to RTSP", which also names h264Preview_01_main
    # for older firmware.
    _rtsp(
        "Reolink",
        "Preview_01_main",
        "Preview_01_sub",
        "Turn RTSP on: Settings, Network, Advanced, Server settings. Old firmware: "
        "h264Preview_01_main.",
    ),
    # Sony, "G7 RTSP": media/video1 to video3.
    _rtsp("Sony", "media/video1", "media/video2"),
    # TP-Link, FAQ 2680, "How to view Tapo camera on PC or NVR through RTSP".
    _rtsp("TP-Link Tapo", "stream1", "stream2", _TP_LINK_NOTE),
    # VIGI: the same paths, FAQ 2858.
    _rtsp("TP-Link VIGI", "stream1", "stream2"),
    # Ubiquiti, help.ui.com, "UniFi Protect: RTSP(S) streams": each stream has a secret path.
    Maker("Ubiquiti (UniFi Protect)", f"rtsps://{HOST}:7441/", None, _PROTECT_NOTE),
    # Uniview, "RTSP URL of UNV devices": media/video1 is the main stream of a camera.
    _rtsp("Uniview", "media/video1", "media/video2"),
    # VIVOTEK, "RTSP URL": live1s1.sdp for new models, live.sdp for old ones.
    _rtsp("VIVOTEK", "live1s1.sdp", "live1s2.sdp"),
    # Thingino and other free firmware for small cameras: thingino.com, "RTSP".
    _rtsp("Thingino", "ch0", "ch1"),
    # IP Webcam for Android: the address that the app shows; MJPEG over HTTP.
    Maker("Phone (IP Webcam for Android)", f"http://{HOST}:8080/video"),
)
