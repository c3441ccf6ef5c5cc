"""Clear view: video whose faces are not covered needs its right, a reason and an end."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.audit_middleware import note
from app.errors import Forbidden, InvalidRequest
from app.pipeline.directory import StreamDirectory
from app.rights import Caller, Right
from app.urls import scrub

LONGEST_S = 7 * 86_400
NEEDED = "uncovered faces need a reason and an end: {reason, until}"
USELESS = "is only for uncovered faces"
PERIOD = f"lies in the future, and at most {LONGEST_S // 86_400} days ahead (Unix seconds)"


class ClearView(BaseModel):
    """Why faces are not covered, and until when; both are written to the audit log."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "lost child", "until": 1924992000}]},
    )

    reason: Annotated[
        str, StringConstraints(strict=True, strip_whitespace=True, min_length=3, max_length=200)
    ]
    until: float = Field(
        allow_inf_nan=False,
        description="Unix seconds, at most a week ahead. From then on faces are covered.",
    )


class ClearViewField(BaseModel):
    """The field of every request that may uncover faces."""

    clear_view: ClearView | None = Field(
        None, description="Needed where faces are not covered, with the right `clear_view`."
    )


def check_clear_view(
    clear_view: ClearView | None,
    caller: Caller,
    request: Request,
    *,
    uncovered: bool,
    camera: str | None = None,
) -> float | None:
    """When the clear view ends, once it is allowed; None where faces are covered.

    Args:
        uncovered: whether the request uncovers faces.
        camera: whose faces; None for more than one camera, and for URLs and files.

    Raises:
        Forbidden: the caller lacks the right; InvalidRequest: reason or end are missing or wrong.
    """
    if not uncovered:
        if clear_view is not None:
            raise InvalidRequest(field="clear_view", reason=USELESS)
        return None
    check_right(caller, camera)
    if clear_view is None:
        raise InvalidRequest(field="clear_view", reason=NEEDED)
    if not 0 < clear_view.until - time.time() <= LONGEST_S:
        raise InvalidRequest(field="clear_view.until", reason=PERIOD)
    note(request, clear_view_until=clear_view.until, reason=scrub(clear_view.reason))
    return clear_view.until


def check_right(caller: Caller, camera: str | None) -> None:
    """Raises Forbidden without the right for a camera, or for all of them."""
    access = caller.access
    if camera is None:
        allowed = access.everywhere(Right.CLEAR_VIEW)
    else:
        allowed = access.may(Right.CLEAR_VIEW, camera)
    if not allowed:
        raise Forbidden(right=Right.CLEAR_VIEW.value)


def may_watch(manager: StreamDirectory, stream_id: str, caller: Caller) -> None:
    """Refuse uncovered video to callers without the right. Raises Forbidden, StreamNotFound."""
    if manager.stream(stream_id).status.spec.is_clear(time.time()):
        check_right(caller, stream_id)
