"""`--workers`: one run in several processes of this machine, led by one that sends nothing."""
