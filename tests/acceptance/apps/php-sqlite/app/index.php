<?php
$database = new PDO('sqlite:' . getenv('SITEWRIGHT_DATA') . '/notes.sqlite');
$database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$database->exec('create table if not exists notes (id integer primary key, body text)');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $insert = $database->prepare('insert into notes (body) values (?)');
    $insert->execute([$_POST['body'] ?? '']);
    header('Location: /', true, 303);
    exit;
}
echo '<!doctype html><title>Notes</title><ul>';
foreach ($database->query('select body from notes order by id') as $row) {
    echo '<li>' . htmlspecialchars($row['body']) . '</li>';
}
echo '</ul>', PHP_SAPI;
