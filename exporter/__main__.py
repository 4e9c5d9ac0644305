"""Runs the command ``ip-interface-exporter`` as ``python -m exporter``."""

import sys

from exporter.cli import main

if __name__ == "__main__":
    sys.exit(main())
