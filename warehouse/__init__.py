"""What stands on the connector: its tables in a database, the SQL models of `models/`, and the report made of them."""
