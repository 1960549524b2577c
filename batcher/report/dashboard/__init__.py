"""The page that moves while a run goes on, and plays it again afterwards.

Rule: everything that it shows is a *frame*, a run at one instant in less than 4 KB, whether it was
seen just now (`frames`) or is read from records and log (`tape`, `replay`). The page (`page`) makes
the same picture of both, and its text gets there as text alone.

    snapshot ─► frame ─┐
                       ├─► events ─► page
    records, log ─► tape ─► frames
"""
