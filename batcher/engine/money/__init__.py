"""Money: what jobs cost, what may be spent, and what is left."""
