<?php
// What is written becomes HTML. Everything is escaped first, so that nothing but what is made here is markup.
declare(strict_types=1);

function shown(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, "UTF-8");
}

function address(string $title, string $more = ""): string
{
    return "/?page=" . rawurlencode($title) . ($more === "" ? "" : "&amp;$more");
}

/** Links, bold, italic and code within a line. */
function inline(string $line): string
{
    $line = shown($line);
    $line = preg_replace("/`([^`]+)`/", "<code>$1</code>", $line);
    $line = preg_replace("/\*\*([^*]+)\*\*/", "<strong>$1</strong>", $line);
    $line = preg_replace("/(?<![*\w])\*([^*]+)\*(?!\w)/", "<em>$1</em>", $line);
    $line = preg_replace_callback("/\[\[([^\[\]]{1,80})\]\]/", fn($found) => link_to(html_entity_decode($found[1], ENT_QUOTES, "UTF-8")), $line);
    return preg_replace("~(?<![\"'=>])(https?://[^\s<>\"']{3,500})~", '<a href="$1" rel="nofollow">$1</a>', $line);
}

function link_to(string $title): string
{
    return '<a href="' . address(trim($title)) . '">' . shown(trim($title)) . "</a>";
}

/** Headings (#), lists (-), quoted code (four spaces) and paragraphs. */
function page_html(string $text): string
{
    $html = "";
    foreach (preg_split("/\n{2,}/", str_replace("\r\n", "\n", trim($text))) as $block) {
        $lines = explode("\n", $block);
        if (preg_match("/^(#{1,3}) +(.+)$/", $block, $found) && count($lines) === 1) {
            $level = strlen($found[1]) + 1;
            $html .= "<h$level>" . inline($found[2]) . "</h$level>\n";
        } elseif (count(preg_grep("/^- /", $lines)) === count($lines)) {
            $html .= "<ul><li>" . implode("</li><li>", array_map(fn($line) => inline(substr($line, 2)), $lines)) . "</li></ul>\n";
        } elseif (count(preg_grep("/^    /", $lines)) === count($lines)) {
            $html .= "<pre>" . shown(implode("\n", array_map(fn($line) => substr($line, 4), $lines))) . "</pre>\n";
        } elseif ($block !== "") {
            $html .= "<p>" . implode("<br>\n", array_map(inline(...), $lines)) . "</p>\n";
        }
    }
    return $html;
}
