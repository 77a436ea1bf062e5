// A place to drop an archive on; the file goes into the form's ordinary file field. The site's name is proposed from the file's or
// repository's name while the person has not typed one.
function proposed(text) {
  const last = text.replace(/\/+$/, "").split(/[\/:]/).pop() ?? "";
  return last
    .replace(/\.(zip|tar|tgz|git|tar\.\w+)$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");
}

function propose(text) {
  const name = document.querySelector("[data-propose]");
  if (!name || name.dataset.typed) return;
  name.value = proposed(text);
  name.dispatchEvent(new Event("proposed", { bubbles: true }));
}

export function dropZones() {
  for (const zone of document.querySelectorAll(".drop")) {
    const field = zone.querySelector("input[type=file]");
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      field.files = event.dataTransfer.files;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    field.addEventListener("change", () => propose(field.files[0]?.name ?? ""));
  }
  document.querySelector("input[name=git_url]")?.addEventListener("change", (event) => propose(event.target.value));
  const name = document.querySelector("[data-propose]");
  name?.addEventListener("input", () => (name.dataset.typed = "yes"));
  name?.addEventListener("focus", () => name.dataset.typed || name.select());
}
