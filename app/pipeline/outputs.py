"""The addresses a stream may use: an output of its own, and only hosts that are allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from app import urls
from app.errors import OutputInUse, OutputIsInput, StartTimeout
from app.types import StreamSpec


def with_output(spec: StreamSpec, others: Iterable[StreamSpec], base: str | None) -> StreamSpec:
    """The spec with an output of its own: the caller's, or the default, made unique.

    Args:
        others: all known streams; one with the same id is ignored.
        base: the RTSP server of default outputs; None for that of the input.

    Raises:
        OutputIsInput, OutputInUse: the caller's output is taken.
    """
    taken = {
        urls.normalised(other.output, query=False): other.stream_id
        for other in others
        if other.output is not None and other.stream_id != spec.stream_id
    }
    output = spec.output
    if output is None:
        output = urls.default_output(spec.source, base=base)
        if urls.normalised(output, query=False) in taken:
            output = urls.default_output(spec.source, base=base, unique=spec.stream_id)
    shown, place = urls.without_credentials(output), urls.normalised(output, query=False)
    if place == urls.normalised(spec.source, query=False):
        raise OutputIsInput(output_url=shown)
    if place in taken:
        raise OutputInUse(output_url=shown, used_by=taken[place])
    return replace(spec, output=output)


def means_the_same(asked: StreamSpec, running: StreamSpec, base: str | None) -> bool:
    """Whether a request describes a running stream, which may have a default output."""
    if asked.output is not None:
        return asked == running
    defaults = [
        urls.default_output(asked.source, base=base, unique=unique)
        for unique in (None, asked.stream_id)
    ]
    return running.output in defaults and replace(asked, output=running.output) == running


async def check_addresses(name: str, addresses: Iterable[str | None], timeout_s: float) -> None:
    """Resolve host names before any lock is taken: a name server may be slow.

    An unknown name is not an error here: the source or sink reports it.

    Raises:
        AddressNotAllowed: a host has an address that streams may not use.
        StartTimeout: the name server does not answer.
    """
    for url in addresses:
        if url is None or urls.scheme_of(url) not in urls.DEFAULT_PORTS:
            continue
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.to_thread(urls.resolve, url)
        except TimeoutError:
            raise StartTimeout(stream_id=name, timeout_s=timeout_s) from None
        except OSError:
            pass
