"""Whole migrations on the local AWS: what must be shown when all goes well, and when it does not."""
