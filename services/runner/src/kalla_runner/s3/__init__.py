"""Objects of an S3 store as pinned bytes: read by ranges, brought to the disk in parallel."""

from kalla_runner.s3.address import S3Address, is_s3, parse_s3
from kalla_runner.s3.objects import S3Object, S3Reading

__all__ = ["S3Address", "S3Object", "S3Reading", "is_s3", "parse_s3"]
