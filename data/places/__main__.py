"""`python -m data.places --sources DIR [--out FILE] [--check]`: builds the table of places, or measures it.

`make places` installs what it reads and calls it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from service.errors import SmyslError
from service.photos.places.gazetteer import TABLE


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m data.places", description="Builds the table of places.")
    parser.add_argument("--sources", type=Path, default=Path(".cache/places"), help="folder with node_modules")
    parser.add_argument("--out", type=Path, default=TABLE, help="the file to write (default: the product's)")
    parser.add_argument("--check", action="store_true", help="measure the product's table instead of building one")
    options = parser.parse_args(arguments)
    from data.places.check import check
    from data.places.sources import Sources
    from data.places.table import build, write

    sources = Sources(options.sources)
    try:
        if options.check:
            for line in check(sources):
                sys.stdout.write(line + "\n")
        else:
            write(build(sources), options.out)
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
