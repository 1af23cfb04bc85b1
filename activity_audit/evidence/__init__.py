"""What an auditor asks for: is everything there and unchanged, and a pack that proves it to a stranger."""
