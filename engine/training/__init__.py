"""Fine-tuning on late interaction."""
