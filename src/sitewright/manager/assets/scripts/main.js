// Everything works without this file except what moves by itself: search as you type, live states, live logs.
import htmx from "htmx.org";
import { confirmations } from "./confirm.js";
import { copyButtons } from "./copy.js";
import { dialogs } from "./dialogs.js";
import { dropZones } from "./drop.js";
import { editors } from "./editor.js";
import { logs } from "./log.js";
import { menus, tabsInSight } from "./menu.js";
import { themeSwitch } from "./theme.js";

htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false;
htmx.config.historyCacheSize = 0;

// Forms sent by htmx carry the token that Django put into the page.
document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector('meta[name="csrf-token"]');
  if (token) event.detail.headers["X-CSRFToken"] = token.content;
});

// A piece of a page that answers "sign in first" is a page of its own: load it as one.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answer = event.detail.xhr;
  if (answer.responseURL && new URL(answer.responseURL).pathname.startsWith("/accounts/login")) {
    event.detail.shouldSwap = false;
    window.location.reload();
  }
});

themeSwitch();
menus();
tabsInSight();
confirmations();
copyButtons();
dialogs();
dropZones();
editors();
logs();
