"""The stand-in API: what an image of the Know Me API would do, small enough to read in one sitting.

It speaks plain HTTP on port 8000, keeps its data in PostgreSQL and its files in S3, and takes the commands
of the image: ``serve``, ``migrate``, ``collectstatic`` and ``background-jobs``. It is configured as a
container on ECS is, acts with the credentials of its task, and knows nothing else about where it runs.
"""
