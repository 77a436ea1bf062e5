"""What measurements have in common: servers, load, visits. Nothing here measures."""
