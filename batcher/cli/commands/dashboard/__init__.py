"""`batcher dashboard`, and `--dashboard` of a run: a run in the browser."""
