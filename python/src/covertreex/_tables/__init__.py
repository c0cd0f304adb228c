"""Points out of files: Parquet and text."""
