"""Rules of the media jobs."""
