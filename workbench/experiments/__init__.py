"""Prepare, measure, plan, execute and view: the one way from a question about retrieval to its number."""
