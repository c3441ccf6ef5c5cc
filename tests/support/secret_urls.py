"""How cameras' URLs carry passwords: one shape each, with a word that must show up nowhere.

``{host}`` stands for the camera's host and port, ``{word}`` for the planted word, and ``{base64}``
for Base64 of ``admin:`` and the word.
"""

from __future__ import annotations

import base64

SHAPES = {
    "userinfo": "rtsp://admin:{word}@{host}/ch0",
    "userinfo, no password": "rtsp://{word}@{host}/ch0",
    "userinfo, capitals": "RTSP://admin:{word}@{host}/ch0",
    "userinfo, raw at": "rtsp://admin:p@{word}@{host}/ch0",
    "userinfo, raw colon": "rtsp://admin:{word}:{word}@{host}/ch0",
    "userinfo, raw percent": "rtsp://admin:100%{word}@{host}/ch0",
    "userinfo, encoded": "rtsp://admin:%40%23{word}%2F@{host}/ch0",
    "userinfo, twice": "rtsp://admin:{word}@root:{word}@{host}/ch0",
    "XM": "rtsp://{host}/user=admin_password={word}_channel=1_stream=0.sdp",
    "XM, ampersands": "rtsp://{host}/user=admin&password={word}&channel=1&stream=0.sdp?real_stream",
    "XM, password last": "rtsp://{host}/channel=1_stream=0.sdp_password={word}",
    "Dahua": "rtsp://admin:{word}@{host}/cam/realmonitor?channel=1&subtype=0",
    "Dahua, authbasic": "rtsp://{host}/cam/realmonitor?channel=1&authbasic={base64}",
    "Dahua, bare Base64": "rtsp://{host}/cam/realmonitor?{base64}",
    "Hikvision, auth": "rtsp://{host}/Streaming/Channels/101?auth={base64}&channel=1",
    "Foscam": "http://{host}/videostream.cgi?usr=admin&pwd={word}&resolution=32",
    "Foscam, user last": "http://{host}/videostream.cgi?pwd={word}&user={word}",
    "loginuse": "http://{host}/live.cgi?loginuse=admin&loginpas={word}",
    "loginpass": "http://{host}/live.cgi?loginuser=admin&loginpass={word}",
    "D-Link": "http://{host}/video/mjpg.cgi?camera_user=admin&camera_pw={word}",
    "short names": "http://{host}/video.mjpg?u=admin&p={word}",
    "Trendnet": "http://{host}/cgi/mjpg/mjpeg.cgi?userpwd=admin:{word}",
    "Reolink": "rtsp://{host}/h264Preview_01_main?user=admin&password={word}",
    "Vivotek": "http://{host}/cgi-bin/viewer/video.jpg?account=admin/{word}&channel=1",
    "Axis": "rtsp://{host}/axis-media/media.amp;user=root;password={word}?videocodec=h264",
    "matrix parameters": "rtsp://{host}/live;user=admin;pass={word}/ch0",
    "matrix, bare": "rtsp://{host}/live;admin;{word}",
    "commas": "rtsp://{host}/live,user=admin,password={word}",
    "path login": "rtsp://{host}/0/admin:{word}/main",
    "path login and at": "rtsp://{host}/admin:{word}@/ch0",
    "path login with slash": "rtsp://{host}/admin:{word}/{word}@/ch0",
    "path without name": "rtsp://{host}/:{word}/ch0",
    "path words": "rtsp://{host}/user/admin/password/{word}/ch0",
    "both logins": "rtsp://admin:{word}@{host}/admin:{word}@/ch0",
    "ONVIF": "rtsp://{host}/onvif/profile1/media.smp?ONVIF_token={word}&profile=Profile_1",
    "token": "http://{host}/stream.m3u8?token={word}",
    "unknown parameter": "rtsp://{host}/live?zz={word}",
    "no name": "rtsp://{host}/live?={word}",
    "two question marks": "rtsp://{host}/live?channel=1?pw={word}",
    "harmless name, odd value": "rtsp://{host}/live?channel=1;pw={word}&stream=admin:{word}",
    "encoded separators": "rtsp://{host}/live%3Fuser%3Dadmin%26password%3D{word}",
    "encoded ampersand": "rtsp://{host}/live?channel=1%26pwd%3D{word}",
    "encoded login in path": "rtsp://{host}/admin%3A{word}%40/ch0",
    "encoded twice": "rtsp://{host}/admin%253A{word}/ch0",
    "fragment": "rtsp://{host}/live?channel=1#admin:{word}",
    "at in parameters": "rtsp://{host}/live?login=admin:{word}@cam",
}  # fmt: skip
"""What a camera may be added with."""

REFUSED = {
    "raw hash": ("rtsp://admin:a#{word}@{host}/ch0", "%23"),
    "raw slash": ("rtsp://admin:a/{word}@{host}/ch0", "%2F"),
    "raw at and slash": ("rtsp://admin:a@{word}/b@{host}/ch0", "%2F"),
    "raw question mark": ("rtsp://admin:a?{word}@{host}/ch0", "%3F"),
    "raw hash at the end": ("rtsp://admin:{word}#@{host}/ch0", "%23"),
    "digits before a hash": ("rtsp://admin:12#{word}@{host}/ch0", "%23"),
    "raw hash in the name": ("rtsp://admin#1:{word}@{host}/ch0", "%23"),
    "raw bracket": ("rtsp://admin:a[{word}@{host}/ch0", "%5B"),
    "HTTP": ("http://admin:a#{word}@{host}/video.mjpg", "%23"),
}
"""A raw reserved character inside a login, and how the hint says to write it."""

NO_HOST = {
    "all encoded": "rtsp://admin%3A{word}%40{host}/ch0",
    "no at": "rtsp://admin:{word}/ch0",
    "parameters of the host": "rtsp://{host};user=admin;password={word}/ch0",
}
"""What is refused since it has no host."""


def filled(shape: str, word: str, host: str = "192.0.2.1") -> str:
    """The URL of a shape."""
    coded = base64.b64encode(f"admin:{word}".encode()).decode()
    return shape.format(host=host, word=word, base64=coded)


def forms(word: str) -> set[str]:
    """The word as it may show up: as it is, and inside of Base64."""
    coded = base64.b64encode(f"admin:{word}".encode()).decode()
    return {word, word.lower(), coded, coded.rstrip("=")}
