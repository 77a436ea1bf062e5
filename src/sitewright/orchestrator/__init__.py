"""One machine's loop: makes what runs match what is wanted. observe → plan → apply; everything else here serves these three."""
