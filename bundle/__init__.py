"""The connector as the two files that the Connector Builder and the manifest-only image know."""
