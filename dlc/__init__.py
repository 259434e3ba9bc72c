"""A deep-learning compiler: one text file in, native training and inference out."""
