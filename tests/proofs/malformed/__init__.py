"""A catalogue of malformed and surprising answers, made from tables."""

from tests.proofs.malformed.catalogue import early_kinds, kinds_of
from tests.proofs.malformed.kinds import Kind, Says

__all__ = ["Kind", "Says", "early_kinds", "kinds_of"]
