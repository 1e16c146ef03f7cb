"""synthforge: labelled synthetic faces, and face-analysis models trained on them."""

__version__ = "0.1.0"
