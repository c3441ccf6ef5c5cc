"""Targets of notifications, as administrators manage them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request

from app.api.account_schemas import Done
from app.api.audit_middleware import note
from app.api.errors import error_replies
from app.api.notify_deps import NOTIFY_ERRORS, NotifyDep, TargetId
from app.api.notify_schemas import (
    AttemptReply,
    KindReply,
    TargetChange,
    TargetMade,
    TargetReply,
    TargetRequest,
    WebPushKey,
)
from app.errors import InvalidRequest, TooManyTargets
from app.notifications import Target
from app.notify.base import TargetKind, plain
from app.notify.targets import TARGETS

MAX_TARGETS = 50
SECRET_ERROR = "its options were encrypted with another key; enter them all again"

router = APIRouter(prefix="/api/targets", tags=["notifications"], responses=NOTIFY_ERRORS)


@router.get("", summary="List targets")
async def list_targets(notify: NotifyDep) -> list[TargetReply]:
    """Oldest first."""
    return [TargetReply.of(target) for target in await asyncio.to_thread(notify.targets.all)]


@router.get("/kinds", summary="List kinds of targets")
async def list_kinds() -> list[KindReply]:
    """With the JSON schema of their options."""
    return [
        KindReply(kind=name, summary=kind.summary, options=kind.options.model_json_schema())
        for name, kind in TARGETS.items()
    ]


@router.get("/web-push-key", summary="The key with which a browser subscribes")
async def web_push_key(notify: NotifyDep) -> WebPushKey:
    """It stays the same: subscriptions are bound to it. Add the subscription as a target of the
    kind `web_push`."""
    return WebPushKey(public_key=notify.vapid.public_key)


@router.post(
    "",
    summary="Add a target",
    status_code=201,
    responses=error_replies({409: "There are too many targets"}),
)
async def add_target(body: TargetRequest, request: Request, notify: NotifyDep) -> TargetMade:
    """The reply is the only one that shows a generated secret."""
    known = await asyncio.to_thread(notify.targets.all)
    if len(known) >= MAX_TARGETS:
        raise TooManyTargets(count=MAX_TARGETS, what="targets")
    kind = TARGETS[body.kind]
    options, secret = kind.complete(kind.read(body.options))
    target = await asyncio.to_thread(
        notify.targets.add, body.kind, body.name, plain(options), time.time()
    )
    note(request, target_id=target.target_id)
    await notify.dispatcher.reload()
    return TargetMade(**TargetReply.of(target).model_dump(), secret=secret)


@router.get("/{target_id}", summary="Show a target")
async def show_target(target_id: TargetId, notify: NotifyDep) -> TargetReply:
    """Its secrets are masked; `error` says why it cannot be used."""
    return TargetReply.of(await asyncio.to_thread(notify.targets.get, target_id))


@router.patch("/{target_id}", summary="Change a target")
async def change_target(target_id: TargetId, body: TargetChange, notify: NotifyDep) -> TargetReply:
    """Options that are not given keep their values, secrets among them, and so do those that are
    given as replies show them."""
    target = await asyncio.to_thread(notify.targets.get, target_id)
    changes: dict[str, Any] = {
        name: getattr(body, name) for name in body.model_fields_set - {"options"}
    }
    if "options" in body.model_fields_set:
        changes |= {"options": _merged(target, body.options), "error": None}
    return TargetReply.of(await _saved(replace(target, **changes), notify))


@router.delete("/{target_id}", summary="Remove a target")
async def remove_target(target_id: TargetId, notify: NotifyDep) -> Done:
    """Its messages are removed, too, and routes no longer lead to it."""
    await asyncio.to_thread(notify.targets.delete, target_id)
    await notify.dispatcher.reload()
    return Done()


@router.post("/{target_id}/test", summary="Send a test message")
async def test_target(target_id: TargetId, notify: NotifyDep) -> AttemptReply:
    """The reply has the answer of the other side. The test is sent once, past everything that
    waits, and is not listed as a delivery."""
    target = await asyncio.to_thread(notify.targets.get, target_id)
    if target.error:
        raise InvalidRequest(field="target_id", reason=SECRET_ERROR)
    _kind(target)
    attempt = await notify.dispatcher.test(target)
    return AttemptReply(ok=attempt.ok, answer=attempt.answer, seconds=attempt.seconds)


@router.post("/{target_id}/rotate", summary="Replace the secret of a target")
async def rotate_secret(target_id: TargetId, notify: NotifyDep) -> TargetMade:
    """The new secret is shown this once. For a day the last one signs, too, so that the receiver
    can be changed meanwhile; replaced twice in a day, the first ends at once."""
    target = await asyncio.to_thread(notify.targets.get, target_id)
    kind = _kind(target)
    if kind.rotate is None or target.error:
        raise InvalidRequest(field="target_id", reason="this target has no secret to replace")
    options, secret = kind.rotate(kind.read(target.options), time.time())
    changed = await _saved(replace(target, options=plain(options)), notify)
    return TargetMade(**TargetReply.of(changed).model_dump(), secret=secret)


def _merged(target: Target, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with changes. Raises InvalidRequest."""
    changes = _unmasked(given, TargetReply.of(target).options, target.options)
    return plain(_kind(target).read({**target.options, **changes}))


def _unmasked(
    given: Mapping[str, Any], shown: Mapping[str, Any], stored: Mapping[str, Any]
) -> dict[str, Any]:
    """What was given, with the stored value of whatever is as replies show it.

    A client that reads a target and writes it back, one field changed, must not make the masks
    its secrets.
    """
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name in shown and value == shown[name]:
            changes[name] = stored.get(name, value)
        elif isinstance(value, Mapping) and isinstance(shown.get(name), Mapping):
            changes[name] = _unmasked(value, shown[name], stored.get(name, {}))
        else:
            changes[name] = value
    return changes


def _kind(target: Target) -> TargetKind:
    """Raises InvalidRequest for a kind that a newer version has written."""
    try:
        return TARGETS[target.kind]
    except KeyError:
        raise InvalidRequest(field="kind", reason="not known to this version") from None


async def _saved(target: Target, notify: NotifyDep) -> Target:
    await asyncio.to_thread(notify.targets.save, target)
    await notify.dispatcher.reload()
    return target
