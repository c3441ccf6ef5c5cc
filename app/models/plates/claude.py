"""Claude as the second reader: it gets the crop of a plate that the networks are unsure of.

Only the crop leaves the machine, and only with a key. Whatever goes wrong (no network, a
refusal, an invalid answer), the first reading stands. The package ``anthropic`` is imported only
when there is a key; its ``ANTHROPIC_BASE_URL`` is respected.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from typing import Any, Protocol

from app import plate_text
from app.errors import StoreError
from app.models.plates import formats
from app.models.plates.photo import to_jpeg
from app.models.plates.voting import ReadPlate
from app.plates import ClaudeCall

logger = logging.getLogger(__name__)

CONFIDENCE_AGREED, CONFIDENCE_CLAUDE_ONLY = 0.9, 0.75
"""Confidence if both readings agree, and of Claude's alone. Set, not measured."""
WORTH_A_RETRY = ("unreachable", "status 429", "status 500", "status 503", "status 529")
LEAST_TIME_S = 1.0
RETRY_PAUSE_S = 0.5
AT_ONCE = 4
MAX_TOKENS = 200
QUESTION = (
    "This is the crop of a vehicle's number plate from a camera. Read the registration number "
    "and report it with the tool. Only the registration: no country code, no state name, no "
    "slogan, no sticker. Latin capitals and digits. If it cannot be read, say so."
)
TOOL: dict[str, Any] = {
    "name": "report_plate",
    "description": "Report what the number plate says.",
    "input_schema": {
        "type": "object",
        "properties": {
            "readable": {"type": "boolean"},
            "number": {"type": "string", "description": "Empty if it is not readable."},
        },
        "required": ["readable", "number"],
        "additionalProperties": False,
    },
}


class CallLog(Protocol):
    """The record of calls and their outcomes. Blocking; raises StoreError."""

    def answer(self, crop_hash: str, model: str) -> ClaudeCall | None:
        """The earlier answer of this model about the same crop."""
        ...

    def begin(self, crop_hash: str, model: str, daily: int) -> int | None:
        """Count one more call; its number, or None when the day's calls are used up."""
        ...

    def settle(self, number: int, call: ClaudeCall) -> None:
        """Record the outcome of a call."""
        ...

    def assign(self, crop_hash: str, plate_id: int) -> None:
        """Say which plate the calls about a crop were for."""
        ...


class ClaudeReader:
    """Reviews doubtful plates with Claude, within a daily limit.

    Args:
        key: for the service; it appears in no log and no row.
        daily: most calls a day (UTC).
    """

    def __init__(
        self, key: str, model: str, log: CallLog, *, daily: int, countries: tuple[str, ...] = ()
    ) -> None:
        self._key = key
        self._model = model
        self._log = log
        self._daily = daily
        self._countries = countries
        self._client: Any = None
        self._opening = threading.Lock()
        self._asking = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="claude")
        self._asking.submit(self._open_client)  # importing takes a second, too long for an upload

    def review(self, plate: ReadPlate, deadline: float) -> ReadPlate:
        """The plate as Claude reads it, or as it was when that is no better.

        Args:
            deadline: ``time.monotonic()`` by which this returns.
        """
        jpeg = to_jpeg(plate.crop)
        crop_hash = hashlib.sha256(jpeg).hexdigest()
        try:
            call = self._log.answer(crop_hash, self._model)
            if call is None:
                call = self._call(jpeg, crop_hash, deadline)
        except StoreError as error:  # no record, no call
            logger.warning("Claude is not asked: %s", error)
            return plate
        return self._with_answer(plate, call.answer) if call and call.answer else plate

    def was_about(self, plate: ReadPlate, plate_id: int) -> None:
        """Complete the record of the calls about a crop, once its plate has a number."""
        try:
            self._log.assign(hashlib.sha256(to_jpeg(plate.crop)).hexdigest(), plate_id)
        except StoreError as error:
            logger.warning("the record of a call to Claude is incomplete: %s", error)

    def close(self) -> None:
        """Return at once; calls in progress end by their own time limit."""
        self._asking.shutdown(wait=False, cancel_futures=True)

    def _call(self, jpeg: bytes, crop_hash: str, deadline: float) -> ClaudeCall | None:
        """Ask, and once more if the service was busy or unreachable."""
        for pause in (0.0, RETRY_PAUSE_S):
            if deadline - time.monotonic() < LEAST_TIME_S + pause:
                logger.warning("Claude is not asked: no time is left for this upload")
                return None
            time.sleep(pause)
            number = self._log.begin(crop_hash, self._model, self._daily)
            if number is None:
                logger.warning("Claude is not asked: it was asked %d times today", self._daily)
                return None
            call = replace(self._ask_in_time(jpeg, deadline), crop_hash=crop_hash)
            self._log.settle(number, call)
            if call.outcome not in WORTH_A_RETRY:
                return call
        return None

    def _ask_in_time(self, jpeg: bytes, deadline: float) -> ClaudeCall:
        """The SDK's own limit applies between bytes; this one covers the whole call."""
        answer: Future[ClaudeCall] = self._asking.submit(self._ask, jpeg, deadline)
        try:
            return answer.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout:
            answer.cancel()
            return ClaudeCall("", self._model, "too late")

    def _ask(self, jpeg: bytes, deadline: float) -> ClaudeCall:
        import anthropic

        try:
            message = self._open_client().messages.create(
                model=self._model,
                max_tokens=MAX_TOKENS,
                tools=[TOOL],
                tool_choice={"type": "tool", "name": TOOL["name"]},
                messages=[{"role": "user", "content": [_picture(jpeg), _text(QUESTION)]}],
                timeout=max(LEAST_TIME_S, deadline - time.monotonic()),
            )
            return _parsed(message, self._model)
        except anthropic.AnthropicError as error:
            outcome = _outcome(error)
            logger.warning("Claude did not answer: %s", outcome)
            return ClaudeCall("", self._model, outcome)
        except (TypeError, ValueError, AttributeError):  # not a valid message
            logger.warning("Claude did not answer: invalid answer")
            return ClaudeCall("", self._model, "nonsense")

    def _open_client(self) -> Any:
        import anthropic

        with self._opening:
            if self._client is None:
                self._client = anthropic.Anthropic(api_key=self._key, max_retries=0)
            return self._client

    def _with_answer(self, plate: ReadPlate, answer: str) -> ReadPlate:
        """The plate with Claude's text, corrected by the same formats as ours."""
        fits = formats.fits(answer, self._countries)
        best = max(fits, key=lambda fit: fit.likeness * fit.evidence, default=None)
        text = best.text if best and best.likeness * best.evidence > 1 else answer
        read = plate.read
        same = plate_text.shape(text) == plate_text.shape(read.text)
        others = [read.text, *read.alternatives]
        better = replace(
            read,
            text=text,
            confidence=max(read.confidence, CONFIDENCE_AGREED) if same else CONFIDENCE_CLAUDE_ONLY,
            alternatives=tuple(other for other in others if other and other != text),
            country="/".join(formats.countries_of(text, self._countries)) or None,
            processed_by="claude",
        )
        return plate._replace(read=better)


def _picture(jpeg: bytes) -> dict[str, Any]:
    data = base64.b64encode(jpeg).decode()
    source = {"type": "base64", "media_type": "image/jpeg", "data": data}
    return {"type": "image", "source": source}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _parsed(message: Any, model: str) -> ClaudeCall:
    """The meaning of an answer, accepted only in exactly the requested form."""
    call = ClaudeCall("", model, "nonsense", None, *_tokens(message.usage))
    if message.stop_reason == "refusal":
        return replace(call, outcome="refused")
    reports = [block.input for block in message.content if block.type == "tool_use"]
    if len(reports) != 1 or not isinstance(reports[0], dict):
        return call
    readable, number = reports[0].get("readable"), reports[0].get("number")
    if readable is False:
        return replace(call, outcome="unreadable")
    text = plate_text.normalised(number) if isinstance(number, str) else ""
    if readable is not True or not formats.MIN_LENGTH <= len(text) <= formats.MAX_LENGTH:
        return call
    return replace(call, outcome="read", answer=text)


def _tokens(usage: Any) -> tuple[int, int]:
    return int(usage.input_tokens), int(usage.output_tokens)


def _outcome(error: Exception) -> str:
    """A word for the record; an error's own text may repeat what was sent."""
    import anthropic

    if isinstance(error, anthropic.APITimeoutError):
        return "too late"
    if isinstance(error, anthropic.APIConnectionError):
        return "unreachable"
    if isinstance(error, anthropic.APIStatusError):
        return f"status {error.status_code}"
    return "failed"
