"""`python -m database_jobs <job> --help`."""

import sys

from database_jobs.command_line import main

if __name__ == "__main__":
    sys.exit(main())
