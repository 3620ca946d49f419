import sys

from exmcr.cli import main

sys.exit(main())
