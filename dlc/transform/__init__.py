"""Graph to graph: gradients and simplifications; `pipeline.py` holds the order."""
