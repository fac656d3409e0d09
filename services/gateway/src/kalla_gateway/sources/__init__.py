"""Registered sources: where data lies, previews of it, whether it could be reached."""
