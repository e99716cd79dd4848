"""The life of one message, with everything that can break on the way, explored exhaustively; see __main__."""
