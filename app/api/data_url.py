"""Images in text messages: ``data:image/jpeg;base64,…`` (RFC 2397), as browsers write them.

Differences between clients that change nothing are accepted: case of the media type, parameters,
white space, missing padding (the "forgiving" decoding of the WHATWG's Infra standard). The format
is read from the image's first bytes; the media type only has to be one of the three.
"""

from __future__ import annotations

import binascii
import re

from app.errors import BadFrame
from app.failure_reason import FailureReason

_HEAD = re.compile(
    r"\s*data:image/(?:jpe?g|pjpeg|png|webp)(?:;[\w.+-]+=[\w.+-]*)*;\s*base64\s*,", re.IGNORECASE
)
_SPACE = str.maketrans("", "", "\t\n\f\r ")


def decode(text: str) -> bytes:
    """The image's bytes. Raises BadFrame."""
    if not text:
        raise BadFrame(reason=FailureReason.EMPTY)
    head = _HEAD.match(text)
    if head is None:
        raise BadFrame(reason=FailureReason.NO_DATA_URL)
    body = text[head.end() :].translate(_SPACE)
    try:
        return binascii.a2b_base64(_padded(body), strict_mode=True)
    except ValueError:  # binascii.Error, or text that is not ASCII
        raise BadFrame(reason=FailureReason.NO_BASE64) from None


def _padded(body: str) -> str:
    return body if body.endswith("=") else body + "=" * (-len(body) % 4)
