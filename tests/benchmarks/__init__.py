"""The tools that make what is shipped."""
