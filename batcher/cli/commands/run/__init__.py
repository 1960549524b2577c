"""`batcher run`: a manifest through a provider; the same command again resumes."""
