"""Books: journal and outcome files: the one writer, what is rescued, what a person decides."""
