"""What the builds of a release do besides building: say how to release the API, and put the web app in place.

`python -m release_jobs <job> --help`. The buildspecs `api-image`, `web` and `web-release` run these jobs.
"""
