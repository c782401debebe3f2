"""A page on which faults are planted and lifted, and which tells the truth about them."""
