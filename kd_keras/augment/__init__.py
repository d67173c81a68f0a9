"""Makes more text from text: rules as pure functions of words and a generator, and the transfer set."""
