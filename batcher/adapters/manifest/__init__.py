"""The manifest: what a person wants done, read one line at a time as `Entry` values."""

from batcher.adapters.manifest.manifest import Manifest, RowCheck, count_rows, judge, open_manifest

__all__ = ["Manifest", "RowCheck", "count_rows", "judge", "open_manifest"]
