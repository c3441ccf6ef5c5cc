"""Run the benchmarks and print them as tables: ``python -m bench [loop] [parts] [networks] [live]
[smoking]``."""

from __future__ import annotations

import argparse

from bench import live, loop, networks, parts, smoking

ALL = {
    "loop": loop.run,
    "parts": parts.run,
    "networks": networks.run,
    "live": live.run,
    "smoking": smoking.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*ALL, []], help="default: all")
    for name in parser.parse_args().which or ALL:
        ALL[name]()


if __name__ == "__main__":
    main()
