"""HTTP over aiohttp's connections and parser.

`transport` carries a request, `pool` gives it a connection, which is a `wire`, and `conversation`
says it and hears the answer. `heads` and `body` are what is said, `echoes` what must not be heard,
`origin` checks where to and with which key, and `failure` says what became of a request that got no
answer.
"""

from batcher.adapters.http.transport import HttpTransport

__all__ = ["HttpTransport"]
