"""CatalogService: sources, recipes and runs over gRPC."""
