"""`python -m intref` is `intref`."""

import sys

from intref.cli.main import main

sys.exit(main())
