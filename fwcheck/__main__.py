"""``python -m fwcheck``."""

import sys

from fwcheck.cli.main import main

sys.exit(main())
