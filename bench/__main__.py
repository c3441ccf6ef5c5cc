"""Run benchmarks and print their tables: ``python -m bench [NAME...]``."""

from __future__ import annotations

import argparse

from bench import (
    browser,
    budget,
    cameras,
    clips,
    cluster,
    decode,
    demo,
    doctor,
    event_writes,
    events,
    idle,
    leaks,
    live,
    loop,
    motion,
    multi_pass,
    networks,
    parts,
    passages,
    push,
    record,
    search,
    stills,
    trace,
    tracking,
    turned,
)

ALL = {
    "loop": loop.run,
    "parts": parts.run,
    "live": live.run,
    "demo": demo.run,
    "browser": browser.run,
    "budget": budget.run,
    "trace": trace.run,
    "doctor": doctor.run,
    "networks": networks.run,
    "multi_pass": multi_pass.run,
    "push": push.run,
    "clips": clips.run,
    "stills": stills.run,
    "staged": clips.run_staged,
    "decode": decode.run,
    "motion": motion.run,
    "idle": idle.run,
    "turned": turned.run,
    "leaks": leaks.run,
    "cameras": cameras.run,
    "cluster": cluster.run,
    "tracking": tracking.run,
    "passages": passages.run,
    "search": search.run,
    "events": events.run,
    "event_writes": event_writes.run,
    "record": record.run,
}


def main() -> None:
    """Run the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*ALL, []], help="default: all")
    for name in parser.parse_args().which or ALL:
        ALL[name]()


if __name__ == "__main__":
    main()
