// A live log: <div class="log" data-stream="address">. Lines come as server-sent events; what arrives within one frame is added at once,
// and only the newest KEPT lines stay in the page.
import { coloured } from "./colours.js";

const KEPT = 5000;

function row(line) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(line.at * 1000).toLocaleTimeString([], { hour12: false });
  const source = document.createElement("span");
  source.className = "source";
  source.textContent = line.source;
  const text = document.createElement("span");
  text.append(...coloured(line.text));
  item.append(time, source, text);
  return item;
}

function live(box) {
  const list = box.querySelector("ol");
  const bar = document.querySelector(`[data-log="${box.id}"]`);
  const status = bar?.querySelector("[data-status]");
  let waiting = [];
  let paused = false;
  let drawing = false;

  const say = (tone, word) => {
    if (!status) return;
    status.querySelector(".dot").className = `dot tone-${tone}`;
    status.querySelector(".word").textContent = word;
  };

  const draw = () => {
    drawing = false;
    if (paused || waiting.length === 0) return;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    list.append(...waiting.map(row));
    waiting = [];
    while (list.childElementCount > KEPT) list.firstElementChild.remove();
    box.querySelector("[data-none]")?.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
  };

  const add = (event) => {
    waiting.push(JSON.parse(event.data));
    if (waiting.length > KEPT) waiting.shift();
    if (!drawing && !paused) {
      drawing = true;
      requestAnimationFrame(draw);
    }
  };

  const stream = new EventSource(box.dataset.stream);
  stream.addEventListener("line", add);
  stream.addEventListener("open", () => say("good", "live"));
  stream.addEventListener("end", () => {
    stream.close();
    say("off", "ended");
  });
  stream.addEventListener("error", () => say("busy", "reconnecting"));
  window.addEventListener("pagehide", () => stream.close());
  box.scrollTop = box.scrollHeight;

  bar?.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    if (button.dataset.do === "wrap") box.classList.toggle("wrap", on);
    if (button.dataset.do === "pause") {
      paused = on;
      say(on ? "off" : "good", on ? "paused" : "live");
      draw();
    }
  });
}

function start(place) {
  for (const box of place.querySelectorAll(".log[data-stream]:not([data-live])")) {
    box.dataset.live = "";
    live(box);
  }
}

export function logs() {
  start(document);
  // A log that came with a piece of the page.
  document.addEventListener("htmx:load", (event) => start(event.detail.elt));
  for (const select of document.querySelectorAll("select[data-submit]")) select.addEventListener("change", () => select.form.requestSubmit());
}
