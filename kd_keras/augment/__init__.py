"""Text → more text: rules as pure functions of words and a generator, and the transfer set that they make."""
