"""`python -m exmcr`: the command `exmcr`, for torchrun and wherever it is not on the path."""

import sys

from exmcr.cli import main

sys.exit(main())
