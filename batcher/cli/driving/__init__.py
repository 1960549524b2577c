"""One run in this process, from the command line: its view, its signals, its log, its summary."""
