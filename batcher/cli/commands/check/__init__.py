"""`batcher check`: every row of a manifest, with `--preflight` against the API as well."""
