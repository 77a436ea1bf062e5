<?php
// A wiki. This file decides what is shown; the rest is in ../wiki, where no visitor can ask for it.
declare(strict_types=1);

foreach (["pages", "text", "door", "layout"] as $part) {
    require __DIR__ . "/../wiki/$part.php";
}

const HOME = "Home";

$pages = new Pages(getenv("SITEWRIGHT_DATA") ?: dirname(__DIR__));
$title = trim(preg_replace("/\s+/u", " ", (string) ($_GET["page"] ?? HOME)) ?? "");
if (!preg_match("/^[^\\x00-\\x1f\\[\\]]{1,80}$/u", $title)) {
    show("No such page", "<h1>No such page</h1><p>A title has at most 80 characters, and no brackets.</p>", 404);
}

if ($_SERVER["REQUEST_METHOD"] === "POST") {
    if (!from_here()) {
        show("Refused", "<h1>Refused</h1><p>Write on the wiki's own pages.</p>", 403);
    }
    isset($_POST["password"]) ? enter($title) : save($pages, $title);
}
if (isset($_GET["all"]) || isset($_GET["words"])) {
    found($pages, trim((string) ($_GET["words"] ?? "")));
}
if (isset($_GET["edit"])) {
    edit($pages, $title);
}
if (isset($_GET["history"])) {
    history($pages, $title);
}
read($pages, $title, max((int) ($_GET["version"] ?? 0), 0));

function enter(string $title): never
{
    if (!let_in((string) $_POST["password"])) {
        show("Sign in", "<h1>Not the password</h1>" . sign_in($title), 403);
    }
    header("Location: /?page=" . rawurlencode($title) . "&edit", true, 303);
    exit();
}

function sign_in(string $title): string
{
    if (password() === "") {
        return "<p>Nobody can write yet: the variable <code>WIKI_PASSWORD</code> is not set.</p>";
    }
    $here = address($title);
    return "<form method=\"post\" action=\"$here\"><label>Password <input type=\"password\" name=\"password\" required></label> <button>Go on</button></form>";
}

function save(Pages $pages, string $title): never
{
    $text = (string) ($_POST["text"] ?? "");
    $author = preg_match("/^.{1,60}/u", trim((string) ($_POST["author"] ?? "")), $found) ? $found[0] : "Somebody";
    if (!may_write() || strlen($text) > LONGEST_TEXT) {
        show("Refused", "<h1>Not kept</h1>" . (may_write() ? "<p>At most 100,000 characters fit on a page.</p>" : sign_in($title)), 403);
    }
    if ($pages->write($title, $text, $author, (int) ($_POST["base"] ?? 0))) {
        go_to($title);
    }
    $yours = shown($text);
    $now = address($title, "edit");
    show($title, "<h1>Not kept</h1><p>Somebody else has written meanwhile. <a href=\"$now\">See theirs</a>, and put yours into it:</p>
        <textarea rows=\"20\" readonly>$yours</textarea>", 409);
}

function read(Pages $pages, string $title, int $number): never
{
    $page = $pages->read($title, $number);
    $shown = shown($title);
    $links = '<p class="links"><a href="' . address($title, "edit") . '">Edit</a> <a href="' . address($title, "history") . '">History</a></p>';
    if ($page === null || $page["text"] === "") {
        show($title, "<h1>$shown</h1><p>There is no such page yet.</p>$links", $title === HOME ? 200 : 404);
    }
    $old = $number ? "<p>An older version. <a href=\"" . address($title) . "\">The present one</a></p>" : "";
    show($title, "<h1>$shown</h1>$old" . page_html($page["text"]) . $links);
}

function edit(Pages $pages, string $title): never
{
    $shown = shown($title);
    if (!may_write()) {
        show($title, "<h1>$shown</h1>" . sign_in($title));
    }
    $page = $pages->read($title);
    [$text, $base, $here] = [shown($page["text"] ?? ""), (int) ($page["id"] ?? 0), address($title)];
    show($title, "<h1>$shown</h1><form method=\"post\" action=\"$here\"><input type=\"hidden\" name=\"base\" value=\"$base\">
        <label>Text <textarea name=\"text\" rows=\"20\" maxlength=\"100000\">$text</textarea></label>
        <label>Your name <input name=\"author\" maxlength=\"60\" autocomplete=\"name\"></label> <button>Keep</button></form>
        <p><code>[[Page]]</code> links, <code># Heading</code>, <code>- list</code>, <code>**bold**</code>, <code>*italic*</code></p>");
}

function history(Pages $pages, string $title): never
{
    $rows = "";
    foreach ($pages->history($title) as $version) {
        $rows .= "<li><a href=\"" . address($title, "version={$version["id"]}") . "\">" . gmdate("Y-m-d H:i", $version["at"]) . "</a> " . shown($version["author"]) . "</li>";
    }
    show($title, "<h1>" . shown($title) . "</h1><ul>$rows</ul>");
}

function found(Pages $pages, string $words): never
{
    $rows = implode("", array_map(fn($page) => "<li>" . link_to($page["title"]) . "</li>", $pages->search($words)));
    $title = $words === "" ? "All pages" : "Pages with “{$words}”";
    show($title, "<h1>" . shown($title) . "</h1>" . ($rows === "" ? "<p>None.</p>" : "<ul>$rows</ul>"));
}
