"""deAPI: image jobs on a decentralised GPU network."""
