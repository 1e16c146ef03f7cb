"""Readers of the files that users bring under their own licences: untrusted input, converted once."""
