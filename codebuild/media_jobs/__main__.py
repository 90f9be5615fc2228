"""`python -m media_jobs <job> --help`."""

import os
import sys

from media_jobs.command_line import main

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A stopped job ends now: Python would wait for threads that still list or copy.
    os._exit(code)
