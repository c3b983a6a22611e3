"""``python -m nexttoken``: the command line."""

import sys

from nexttoken.cli import main

sys.exit(main())
