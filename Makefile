# For contributors. `make test` installs what the tests need and runs them all.
.PHONY: test check bench assets lock unit docs venv
PY := .venv/bin/python
COMPILE := .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q

venv:
	./sitewright --bootstrap-only --dev

check: venv
	.ci/check

unit: venv
	$(PY) -m pytest tests/unit -n 2 -q

test:
	.ci/test

bench: venv
	$(PY) -m benchmarks

docs: venv
	$(PY) -P -m sitewright.cli.reference docs/reference
	$(PY) -P -m sitewright.bus.reference >docs/reference/bus.md
	$(PY) -P -m sitewright.builder.config.schema >docs/reference/config-file.md
	$(PY) -P -m sitewright.manager.api.export >docs/reference/openapi.json
	.venv/bin/mkdocs build --strict

# uv and setuptools are locked on their own: the first installs everything else, the second builds this project.
# What warm parents import is installed into an environment of its own.
lock:
	$(COMPILE) pyproject.toml -o requirements/run.lock
	$(COMPILE) --extra dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock
	echo uv | $(COMPILE) -c requirements/run.lock - -o requirements/bootstrap.lock
	$(COMPILE) requirements/warm.in -o src/sitewright/engines/sandbox/warm.txt
	echo 'setuptools>=77,<81' | $(COMPILE) - -o requirements/build.lock

# The manager's styles and script; needs Node. What is built is committed, and `make check` proves that it matches.
ASSETS := src/sitewright/manager/assets
assets:
	cd $(ASSETS) && npm ci --ignore-scripts && node build.mjs
