"""`python -m exmcr` is the command `exmcr`."""

import sys

from exmcr.commands.main import main

sys.exit(main())
