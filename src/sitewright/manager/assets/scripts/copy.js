// <button data-copy="#id">: puts the text of that element on the clipboard and says so.
export function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.querySelector(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      // The clipboard is closed to pages without TLS on other hosts than localhost: select the text, so that one key copies it.
      getSelection().selectAllChildren(source);
      return;
    }
    const label = button.querySelector("span");
    const before = label.textContent;
    label.textContent = "Copied";
    setTimeout(() => (label.textContent = before), 1600);
  });
}
