"""Prediction + labels -> Score: metrics, tables and panels on annotated images."""
