"""Runs inside a build's sandbox, as the site's user, with the app's own Python: collect Django's static files where nginx serves them."""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.getcwd())
public = Path(".sitewright/public")
public.mkdir(parents=True, exist_ok=True)
match = re.search(r"DJANGO_SETTINGS_MODULE[\"'], ?[\"']([A-Za-z_][\w.]*)[\"']", Path("manage.py").read_text(encoding="utf-8"))
if match:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", match[1])

import django  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

django.setup()
if "django.contrib.staticfiles" not in settings.INSTALLED_APPS:
    print("The app django.contrib.staticfiles is not used, so no static files are collected.")
    sys.exit(0)
if not settings.STATIC_ROOT:
    # As “startproject” leaves it: only Django's own development server would find them.
    settings.STATIC_ROOT = os.path.abspath(".sitewright/static")
root, url = settings.STATIC_ROOT, (settings.STATIC_URL or "").strip("/")
call_command("collectstatic", interactive=False, verbosity=1)
if url and "://" not in url and ".." not in url:
    link = public / url
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() or not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(root, link.parent))
        print(f"/{url}/ is served from {os.path.relpath(root)}.")
