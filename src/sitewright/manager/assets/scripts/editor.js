// The plain editor: Ctrl+S saves, leaving with unsaved changes asks, Tab indents (Escape first gives Tab back to the keyboard's way).
export function editors() {
  for (const area of document.querySelectorAll(".editor textarea")) {
    let saved = area.value;
    let tabMoves = false;
    area.form.addEventListener("submit", () => (saved = area.value));
    window.addEventListener("beforeunload", (event) => {
      if (area.value !== saved) event.preventDefault();
    });
    area.addEventListener("focus", () => (tabMoves = false));
    area.addEventListener("keydown", (event) => {
      if (event.key === "s" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        area.form.requestSubmit();
      } else if (event.key === "Escape") {
        tabMoves = true;
      } else if (event.key === "Tab" && !event.shiftKey && !tabMoves) {
        event.preventDefault();
        area.setRangeText("    ", area.selectionStart, area.selectionEnd, "end");
      }
    });
  }
}
