<?php
// What every page of the wiki has around it.
declare(strict_types=1);

function show(string $title, string $main, int $status = 200): never
{
    http_response_code($status);
    header("Content-Security-Policy: default-src 'self'; form-action 'self'; frame-ancestors 'none'");
    header("X-Content-Type-Options: nosniff");
    header("Referrer-Policy: same-origin");
    $shown = shown($title);
    echo <<<HTML
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>$shown</title>
        <link rel="stylesheet" href="/style.css">
      </head>
      <body>
        <nav>
          <a href="/">Home</a> <a href="/?all">All pages</a>
          <form action="/"><label>Search <input type="search" name="words"></label></form>
        </nav>
        <main>
        $main
        </main>
      </body>
    </html>

    HTML;
    exit();
}

function go_to(string $title): never
{
    header("Location: /?page=" . rawurlencode($title), true, 303);
    exit();
}
