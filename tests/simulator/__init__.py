"""The simulator held against the contracts that it stands for."""
