"""What `dlc new` copies: a folder for each template, its model with the data beside it."""
