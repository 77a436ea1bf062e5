# For contributors. `make test` installs what the tests need and runs them all.
.PHONY: test check bench assets lock unit docs venv
PY := .venv/bin/python

venv:
	./sitewright --bootstrap-only --dev

check: venv
	.ci/check

unit: venv
	$(PY) -m pytest tests/unit tests/contract tests/simulation -n 2 -q

test: venv
	.ci/test

bench: venv
	$(PY) -m benchmarks

docs: venv
	$(PY) -m sitewright.cli.reference docs/reference

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml -o requirements/run.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --extra dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock
