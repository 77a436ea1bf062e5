"""Django's settings. Everything a person may choose is in sitewright.config.settings; this file derives."""

from __future__ import annotations

from pathlib import Path

from sitewright.config.settings import Settings, load_settings
from sitewright.manager.database import database_from
from sitewright.manager.keys import django_key, new_key, read_keys

HERE = Path(__file__).parent

PLATFORM: Settings = load_settings()
"""What this platform agrees on; the one thing that the manager reads of the environment."""
ENCRYPTION_KEYS: tuple[str, ...] = read_keys(PLATFORM.paths) or (new_key(),)
"""Newest first. Before setup, and in tests, a key of this process."""

SECRET_KEY, *SECRET_KEY_FALLBACKS = [django_key(key) for key in ENCRYPTION_KEYS]
DEBUG = False
ALLOWED_HOSTS = [PLATFORM.manager_host, "localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "sitewright.manager.urls"
ASGI_APPLICATION = "sitewright.manager.asgi.application"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "sitewright.manager.accounts",
    "sitewright.manager.teams",
    "sitewright.manager.releases",
    "sitewright.manager.sites",
    "sitewright.manager.domains",
    "sitewright.manager.operations",
    "sitewright.manager.audit",
    "sitewright.manager.repositories",
]

MIDDLEWARE = [
    "sitewright.manager.middleware.request_identity",
    "sitewright.manager.api.problems.problem_answers",
    "sitewright.manager.cookies.no_planted_cookies",
    "django.middleware.security.SecurityMiddleware",
    "sitewright.manager.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "sitewright.manager.pages.frame.frame",
            ],
            "builtins": ["django.templatetags.static", "sitewright.manager.pages.tags"],
        },
    }
]

DATABASES = {"default": database_from(PLATFORM.database_url, PLATFORM.paths.database)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = HERE / "static"

# --- people ---
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "sitewright.manager.accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = False
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
SIGN_UP_OPEN = PLATFORM.sign_up == "open"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = PLATFORM.paths.database.parent / "mail"
"""Until a mail server is set, mail is kept as files that only the manager can read."""

# --- safety ---
_OURS_ALONE = "__Host-" if PLATFORM.behind_tls else ""
"""Browsers take a cookie of such a name from this very host only, and only over TLS: no neighbour can plant one."""
SESSION_COOKIE_NAME = f"{_OURS_ALONE}sitewright_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_DOMAIN = None
CSRF_COOKIE_NAME = f"{_OURS_ALONE}sitewright_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = False
SESSION_COOKIE_SECURE = PLATFORM.behind_tls
CSRF_COOKIE_SECURE = PLATFORM.behind_tls
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PLATFORM.behind_tls else None
CSRF_TRUSTED_ORIGINS = [PLATFORM.url(PLATFORM.manager_host)]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
USE_X_FORWARDED_HOST = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_TEMP_DIR = PLATFORM.paths.uploads if PLATFORM.paths.uploads.is_dir() else None
"""Bodies that are larger wait on the disk that they are meant for, not in the system's temporary folder."""
SILENCED_SYSTEM_CHECKS: list[str] = []

LOGGING_CONFIG = None
"""serve.py and worker.py configure logging as every other process of the platform does."""
