"""The collector: takes logs and spans, keeps what it acknowledged, and answers questions about requests."""
