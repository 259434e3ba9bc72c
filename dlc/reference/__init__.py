"""What reads graphs and ops together: the interpreter, which is the definition of correct."""
