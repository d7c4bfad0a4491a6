"""What is written by hand about the connector, and the script that writes the rest from its code."""
