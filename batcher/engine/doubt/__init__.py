"""Doubt: what becomes of a submit that nobody answered, in the order in which it is tried.

    sent again under its key ─► claimed by a call ─► found in the list ─► as the user chose ─► held
       (resend.py)              (../webhooks)         (listing.py)        (policy.py)

An API has some of these means or none. Rule: each step is taken only where the one before has come
to its end, and none of them guesses.
"""
