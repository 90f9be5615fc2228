"""`python -m tests.policies`: what checkov and cdk-nag find is fixed, or accepted for a written reason."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.policies import stack, terraform


def main() -> int:
    """Run both tools, print every fault and one line for each tool; return 1 when there is a fault."""
    with ThreadPoolExecutor(os.cpu_count()) as runs, ThreadPoolExecutor(2) as tools:
        examinations = [
            examination.result()
            for examination in [tools.submit(tool.examine, runs) for tool in (stack, terraform)]
        ]
    faults = [fault for examination in examinations for fault in examination.faults]
    for fault in faults:
        print(fault, file=sys.stderr)
    for examination in examinations:
        print(examination.summary)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
