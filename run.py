"""Start the server from a checkout: ``python run.py`` is ``watchpost serve``."""

from app.cli import parse, serve, to_environment


def main() -> None:
    """Start the server with the flags of the command line."""
    flags = parse()
    to_environment(flags)
    serve(flags)


if __name__ == "__main__":
    main()
