"""HTTP over aiohttp: one adapter in three files.

`transport` carries a request, `body` opens and streams what it sends, `failure` says what became of
it if no answer came.
"""

from batcher.adapters.http.transport import HttpTransport

__all__ = ["HttpTransport"]
