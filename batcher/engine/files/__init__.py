"""Files: what a row uploads, and what its job hands out."""
