<?php return ["secret" => "never shown"];
