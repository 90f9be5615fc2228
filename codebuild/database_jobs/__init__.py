"""The PostgreSQL work of a migration: one job per build.

Run inside the VPC by `codebuild/database-job.buildspec.yml`.

`command_line` parses a job's inputs and records its result; one module per job holds the work; the rest is
what the jobs share. A job knows the two databases and the run folder, nothing of the runbook that started
it.
"""
