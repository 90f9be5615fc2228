"""The S3 work of a migration: one job per build, run by `codebuild/media-job.buildspec.yml`.

`command_line` parses a job's inputs and records its result; one module per job holds the work (`survey`,
`compare`, `synchronise`, `catch_up`, `cross_check`, `look_back`); the rest is what the jobs share. A job
knows the two buckets, the queue of changes and the run folder, nothing of the runbook that started it.
"""
