"""Sessions and their messages in PostgreSQL; this service is their only writer."""
