<?php
// Who may write: whoever knows the password, for as long as the browser is open. A cookie holds a proof of it, never the password.
declare(strict_types=1);

function password(): string
{
    return (string) getenv("WIKI_PASSWORD");
}

function proof(): string
{
    return hash_hmac("sha256", "may write", password());
}

function may_write(): bool
{
    return password() !== "" && hash_equals(proof(), (string) ($_COOKIE["wiki"] ?? ""));
}

/** Whether the password was right; remembers it then. A wrong one costs a second. */
function let_in(string $given): bool
{
    if (password() === "" || !hash_equals(password(), $given)) {
        sleep(1);
        return false;
    }
    setcookie("wiki", proof(), ["path" => "/", "httponly" => true, "samesite" => "Strict"]);
    return true;
}

/** Other sites may not send their visitors' browsers to write here. */
function from_here(): bool
{
    return in_array($_SERVER["HTTP_SEC_FETCH_SITE"] ?? "same-origin", ["same-origin", "none"], true);
}
