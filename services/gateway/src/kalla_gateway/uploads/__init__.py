"""Uploads: CSV files that clients put into the S3 store themselves, under an address signed here."""
