"""The payments service: takes card payments through one of two providers, once an order."""
