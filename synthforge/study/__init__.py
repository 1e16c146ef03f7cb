"""Experiments as configuration: grids of stage II runs, one table and one plot at the end."""
