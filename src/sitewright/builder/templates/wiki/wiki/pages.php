<?php
// The pages, every version of them, in SQLite.
declare(strict_types=1);

const LONGEST_TEXT = 100_000;

final class Pages
{
    private PDO $database;

    public function __construct(string $folder)
    {
        $this->database = new PDO("sqlite:$folder/wiki.db");
        $this->database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
        $this->database->exec("PRAGMA busy_timeout = 10000");
        $this->database->exec("CREATE TABLE IF NOT EXISTS version (id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL,
            author TEXT NOT NULL, at INTEGER NOT NULL)");
        $this->database->exec("CREATE INDEX IF NOT EXISTS version_of ON version (title, id)");
    }

    /** The newest version of a page, or the one of that number; null when there is none. */
    public function read(string $title, int $number = 0): ?array
    {
        $found = $this->ask("SELECT * FROM version WHERE title = ? AND CAST(? AS INTEGER) IN (0, id) ORDER BY id DESC LIMIT 1", [$title, $number]);
        return $found[0] ?? null;
    }

    /** Whether it was kept: not when somebody else has written since version $base. */
    public function write(string $title, string $text, string $author, int $base): bool
    {
        $this->database->exec("BEGIN IMMEDIATE");
        $newest = $this->read($title);
        $kept = ($newest["id"] ?? 0) === $base;
        if ($kept && ($newest["text"] ?? null) !== $text) {
            $insert = $this->database->prepare("INSERT INTO version (title, text, author, at) VALUES (?, ?, ?, ?)");
            $insert->execute([$title, $text, $author, time()]);
        }
        $this->database->exec("COMMIT");
        return $kept;
    }

    /** All versions of a page, the newest first. */
    public function history(string $title): array
    {
        return $this->ask("SELECT id, author, at, length(text) AS size FROM version WHERE title = ? ORDER BY id DESC LIMIT 200", [$title]);
    }

    /** Pages whose title or newest text holds the words; all pages for "". */
    public function search(string $words): array
    {
        $like = "%" . addcslashes($words, "\\%_") . "%";
        return $this->ask("SELECT title, at FROM version WHERE id IN (SELECT max(id) FROM version GROUP BY title)
            AND text <> '' AND (title LIKE ? ESCAPE '\\' OR text LIKE ? ESCAPE '\\') ORDER BY title LIMIT 500", [$like, $like]);
    }

    private function ask(string $query, array $values): array
    {
        $asked = $this->database->prepare($query);
        $asked->execute($values);
        return $asked->fetchAll(PDO::FETCH_ASSOC);
    }
}
