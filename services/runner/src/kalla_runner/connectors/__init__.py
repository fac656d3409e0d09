"""1 read: sources in, staged tables out."""
