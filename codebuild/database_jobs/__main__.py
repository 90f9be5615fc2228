"""`python -m database_jobs <job> --help`."""

import os
import sys

from database_jobs.command_line import main

if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A stopped job ends now: Python would wait for threads that still wait for a server or an upload.
    os._exit(code)
