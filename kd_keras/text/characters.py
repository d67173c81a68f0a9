"""Which single characters a student's vocabulary always has; imports nothing, so that settings can name them."""

ALL, ASCII = CHARACTERS = ("all", "ascii")
