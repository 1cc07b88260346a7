"""Plotly figures from records, with no user interface in them."""
