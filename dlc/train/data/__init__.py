"""Sources of data: readers of files, and the check of columns against a step's signature."""
