"""The tutorials: Jupyter notebooks, numbered in the order in which to read them."""
