"""The payments service: takes card payments through a provider, once an order."""
