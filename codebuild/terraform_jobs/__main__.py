"""`python -m terraform_jobs <action> --help`."""

import sys

from terraform_jobs.command_line import main

if __name__ == "__main__":
    sys.exit(main())
