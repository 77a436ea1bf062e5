"""A site's git repository on its node: beneath the site's folder, only ever touched by git inside a sandbox, as the site's own user."""
