"""The local AWS: moto's server, and what moto only pretends to do made real.

`python -m localaws up | down | status | env | reset`. How it is built: docs/develop/local-aws.md.
"""
