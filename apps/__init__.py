"""Browser pages over the workbench."""
