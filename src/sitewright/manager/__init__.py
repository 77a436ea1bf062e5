"""The Django project: what people say they want, and what nodes say is."""
