"""Compiled kernels of the auction: arrays in, arrays out, no interpreter lock, disk-cached."""
