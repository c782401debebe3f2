"""The web dashboard: one page a question, asked of a Store."""
