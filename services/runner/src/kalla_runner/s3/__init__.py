"""Objects of an S3 store as pinned bytes: read by ranges, brought to the disk in parallel."""
