"""Opens video files, and tells images from videos."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer

# Containers that hold their video themselves; not those that refer to other files or hosts.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,asf,gif,apng,"
    "webp_pipe,jpeg_pipe,h264,hevc,av1,ivf,obu,m4v,mjpeg,mpjpeg,mxf,nut,wtv,rm,dv,vob,svcd,vcd,y4m,yuv4mpegpipe"
)

IMAGE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"II*\0", b"MM\0*")
IMAGE_BRANDS = (b"WEBP", b"ftypavif", b"ftypheic", b"ftypheix", b"ftypmif1")  # after 4 or 8 bytes


def is_image(url: str) -> bool:
    """Whether ``file:/path`` begins like an image file; an MJPEG file does so, too."""
    try:
        with Path(url.removeprefix("file:")).open("rb") as file:
            head = file.read(12)
    except (OSError, ValueError):
        return False
    return head.startswith(IMAGE_MAGIC) or head[4:].endswith(IMAGE_BRANDS)


def packets_of(url: str) -> int:
    """Number of video packets in a file, counted up to two."""
    with open_file(url) as container:
        packets = (packet for packet in container.demux(video=0) if packet.size)
        return len(list(islice(packets, 2)))


def open_file(url: str) -> InputContainer:
    """Open ``file:/path``. Files that it refers to, as a playlist does, are not opened."""
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    return av.open(url, options=options, metadata_errors="replace")
