"""Configuration in the repository: sitewright.toml, app.json, _redirects and _headers. Pure: texts in, values and problems out."""
