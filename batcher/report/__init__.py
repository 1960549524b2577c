"""What a person and a script get to see of a run, made from values and never from the run itself.

Rule: everything here is text made of a `Snapshot` or of the journal's counters; nothing here
decides anything. What a server or a manifest said is shown through `text.plain`, so that it can
neither colour, move nor turn around what stands on the screen.
"""
