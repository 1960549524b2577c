"""`batcher status`: how a run stands, once or, with `--watch`, as it goes on."""
