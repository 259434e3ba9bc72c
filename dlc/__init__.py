"""A deep-learning compiler: one text file in, native training and inference out."""

__version__ = "0.1.0"
