"""The generating pipeline: configuration, the source of labelled samples, and samples made again."""
