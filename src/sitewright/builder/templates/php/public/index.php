<?php
// A guestbook in one file. Entries are in SQLite, in the folder that outlives every deploy.
declare(strict_types=1);

header("Content-Security-Policy: default-src 'self'; form-action 'self'; frame-ancestors 'none'");
header("X-Content-Type-Options: nosniff");

$database = new PDO("sqlite:" . (getenv("SITEWRIGHT_DATA") ?: "..") . "/guestbook.db");
$database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$database->exec("PRAGMA busy_timeout = 10000");
$database->exec("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL)");

if ($_SERVER["REQUEST_METHOD"] === "POST") {
    $site = $_SERVER["HTTP_SEC_FETCH_SITE"] ?? "same-origin";
    $name = trim((string) ($_POST["name"] ?? ""));
    $text = trim((string) ($_POST["text"] ?? ""));
    if (!in_array($site, ["same-origin", "none"], true) || $text === "" || strlen($text) > 2000 || strlen($name) > 120) {
        http_response_code(400);
        exit("Write a line of at most 2,000 characters.");
    }
    $database->prepare("INSERT INTO entry (name, text) VALUES (?, ?)")->execute([$name === "" ? "Somebody" : $name, $text]);
    header("Location: /", true, 303);
    exit();
}

$entries = $database->query("SELECT name, text FROM entry ORDER BY id DESC LIMIT 100")->fetchAll(PDO::FETCH_ASSOC);

function shown(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, "UTF-8");
}
?>
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Guestbook</title>
    <link rel="stylesheet" href="style.css">
  </head>
  <body>
    <h1>Guestbook</h1>
    <form method="post">
      <label>Your name <input name="name" maxlength="60" autocomplete="name"></label>
      <label>Your line <textarea name="text" rows="3" maxlength="1000" required></textarea></label>
      <button>Sign</button>
    </form>
    <?php foreach ($entries as $entry): ?>
    <article><p><?= shown($entry["text"]) ?></p><footer><?= shown($entry["name"]) ?></footer></article>
    <?php endforeach; ?>
    <?php if (!$entries): ?><p>Nobody has signed yet.</p><?php endif; ?>
  </body>
</html>
