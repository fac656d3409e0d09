"""3 keep: Parquet files, manifest, publishing, reading back."""
