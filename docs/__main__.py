"""`python -m docs` brings the generated parts up to date, `python -m docs --check` tells which are not."""

import sys

from docs.generate import main

if __name__ == "__main__":
    sys.exit(main())
