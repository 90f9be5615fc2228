"""`python -m release_jobs <job> --help`."""

import sys

from release_jobs.command_line import main

if __name__ == "__main__":
    sys.exit(main())
