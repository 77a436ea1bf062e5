"""Sites, their channels and variables, and what nodes report of them."""
