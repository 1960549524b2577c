"""`report.html`: one page that says how a run went, why, and what to do next.

Rule: the files of a run are read once, as streams, into a value of fixed size (`facts.py`), and the
page is made from that value alone. Whatever a row or a server said passes `gather.Telling` on its
way in and `markup` on its way out, so that no secret and no markup of theirs gets onto the page.

    records, events, history ─► gather ─► facts ─► verdict, sections, charts ─► page
"""
