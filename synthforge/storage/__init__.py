"""Data sets on disk: HDF5 shards and their index."""
