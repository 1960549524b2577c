"""Several runs side by side: what each measured, how sure that is, and what differs.

Rule: outcome files are read once, as streams, into values of fixed size; every number that a chance
lies in has its 95 % interval, and a difference whose interval holds 0 is called noise.

    records ─► measure ─► figures, differences, pairs ─► lines, page, JSON
"""
