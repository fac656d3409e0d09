"""What all services share: errors, domain words, database, RPC, webhooks, settings, telemetry."""
