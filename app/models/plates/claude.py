"""Claude as a second reader for plates that the networks are unsure of.

Only the crop of the plate leaves the machine, and only if a key is configured. On any failure (no
connection, a refusal, an invalid answer) the first reading stands. The package ``anthropic`` is
imported only if there is a key; its ``ANTHROPIC_BASE_URL`` is respected.
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
"""Confidence if both readings agree, and of Claude's reading alone. Chosen, not measured."""
RETRIED_OUTCOMES = ("unreachable", "status 429", "status 500", "status 503", "status 529")
MIN_TIME_S = 1.0
RETRY_PAUSE_S = 0.5
MAX_CONCURRENT_CALLS = 4
MAX_TOKENS = 200
PROMPT = (
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
        """Return this model's earlier answer about the same crop, if any."""
        ...

    def begin(self, crop_hash: str, model: str, daily: int) -> int | None:
        """Count one more call; return its number, or None when the day's calls are used up."""
        ...

    def record_outcome(self, number: int, call: ClaudeCall) -> None:
        """Record the outcome of a call."""
        ...

    def assign(self, crop_hash: str, plate_id: int) -> None:
        """Record which plate the calls about a crop were for."""
        ...


class ClaudeReader:
    """Reviews uncertain plates with Claude, within a daily limit.

    Args:
        key: API key; it is never logged or stored.
        daily: maximum number of calls per day (UTC).
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
        self._client_lock = threading.Lock()
        self._executor = ThreadPoolExecutor(MAX_CONCURRENT_CALLS, thread_name_prefix="claude")
        self._executor.submit(self._open_client)  # importing takes a second: not during an upload

    def review(self, plate: ReadPlate, deadline: float) -> ReadPlate:
        """Return the plate with Claude's reading, or unchanged if there is none.

        Args:
            deadline: value of ``time.monotonic()`` by which this returns.
        """
        jpeg = to_jpeg(plate.crop)
        crop_hash = hashlib.sha256(jpeg).hexdigest()
        try:
            call = self._log.answer(crop_hash, self._model)
            if call is None:
                call = self._call(jpeg, crop_hash, deadline)
        except StoreError as error:  # no record, no call
            logger.warning("Claude is not called: %s", error)
            return plate
        return self._with_answer(plate, call.answer) if call and call.answer else plate

    def assign_plate(self, plate: ReadPlate, plate_id: int) -> None:
        """Add the plate's id to the record of the calls about its crop."""
        try:
            self._log.assign(hashlib.sha256(to_jpeg(plate.crop)).hexdigest(), plate_id)
        except StoreError as error:
            logger.warning("the record of a call to Claude is incomplete: %s", error)

    def close(self) -> None:
        """Stop taking calls, without waiting; calls in progress end at their own timeout."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _call(self, jpeg: bytes, crop_hash: str, deadline: float) -> ClaudeCall | None:
        """Call Claude, and retry once if the service was busy or unreachable."""
        for pause in (0.0, RETRY_PAUSE_S):
            if deadline - time.monotonic() < MIN_TIME_S + pause:
                logger.warning("Claude is not called: no time is left for this upload")
                return None
            time.sleep(pause)
            number = self._log.begin(crop_hash, self._model, self._daily)
            if number is None:
                logger.warning("Claude is not called: the daily limit is %d calls", self._daily)
                return None
            call = replace(self._request_in_time(jpeg, deadline), crop_hash=crop_hash)
            self._log.record_outcome(number, call)
            if call.outcome not in RETRIED_OUTCOMES:
                return call
        return None

    def _request_in_time(self, jpeg: bytes, deadline: float) -> ClaudeCall:
        """Limit the whole call; the SDK's own timeout only applies between bytes."""
        answer: Future[ClaudeCall] = self._executor.submit(self._request, jpeg, deadline)
        try:
            return answer.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout:
            answer.cancel()
            return ClaudeCall("", self._model, "too late")

    def _request(self, jpeg: bytes, deadline: float) -> ClaudeCall:
        import anthropic

        try:
            message = self._open_client().messages.create(
                model=self._model,
                max_tokens=MAX_TOKENS,
                tools=[TOOL],
                tool_choice={"type": "tool", "name": TOOL["name"]},
                messages=[{"role": "user", "content": [_image(jpeg), _text(PROMPT)]}],
                timeout=max(MIN_TIME_S, deadline - time.monotonic()),
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

        with self._client_lock:
            if self._client is None:
                self._client = anthropic.Anthropic(api_key=self._key, max_retries=0)
            return self._client

    def _with_answer(self, plate: ReadPlate, answer: str) -> ReadPlate:
        """Return the plate with Claude's text, corrected by formats as the networks' is."""
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


def _image(jpeg: bytes) -> dict[str, Any]:
    data = base64.b64encode(jpeg).decode()
    source = {"type": "base64", "media_type": "image/jpeg", "data": data}
    return {"type": "image", "source": source}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _parsed(message: Any, model: str) -> ClaudeCall:
    """Parse an answer, which is accepted only in exactly the requested form."""
    call = ClaudeCall("", model, "nonsense", None, *_tokens(message.usage))
    if message.stop_reason == "refusal":
        return replace(call, outcome="refused")
    reports = [block.input for block in message.content if block.type == "tool_use"]
    if len(reports) != 1 or not isinstance(reports[0], dict):
        return call
    readable, number = reports[0].get("readable"), reports[0].get("number")
    if readable is False:
        return replace(call, outcome="unreadable")
    folded = plate_text.folded(number) if isinstance(number, str) else ""
    text = "".join(filter(str.isalnum, folded))
    if readable is not True or not formats.MIN_LENGTH <= len(text) <= formats.MAX_LENGTH:
        return call
    return replace(call, outcome="read", answer=text)


def _tokens(usage: Any) -> tuple[int, int]:
    return int(usage.input_tokens), int(usage.output_tokens)


def _outcome(error: Exception) -> str:
    """Return a word for the record; the error's own text may repeat what was sent."""
    import anthropic

    if isinstance(error, anthropic.APITimeoutError):
        return "too late"
    if isinstance(error, anthropic.APIConnectionError):
        return "unreachable"
    if isinstance(error, anthropic.APIStatusError):
        return f"status {error.status_code}"
    return "failed"
