"""What the jobs of all builds share: run folder, progress, findings, errors, and how a result is recorded."""
