"""What a first sync costs, measured against the sandbox; and what the demo shares with that."""
