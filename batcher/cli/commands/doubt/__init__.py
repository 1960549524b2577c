"""`batcher doubt`: a person decides what becomes of rows that may have been paid for."""
