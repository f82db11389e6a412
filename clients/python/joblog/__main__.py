"""python -m joblog resume [--spool DIR] [--url URL] -- send what dead processes left in their spools."""
import argparse
import sys

from . import resume
from .errors import JoblogError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m joblog", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("resume", help="send what dead processes left in their spools")
    command.add_argument("--spool", help="where to look (default $XDG_STATE_HOME/joblog-python)")
    command.add_argument("--url", help="another server than the one each spool was meant for")
    args = parser.parse_args()
    try:
        count = resume(args.spool, url=args.url)
    except (JoblogError, ValueError) as e:
        print(f"joblog: {e}", file=sys.stderr)
        return 5
    print(f"joblog: {count} lines sent", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
