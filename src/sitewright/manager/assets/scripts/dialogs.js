// <a href="…" data-dialog="id" data-fill-NAME="value">: opens that dialog, and puts the value wherever it says data-filled="NAME".
// Without this script the link leads to a page with the same form.
export function dialogs() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    const dialog = opener && document.getElementById(opener.dataset.dialog);
    if (dialog?.showModal) {
      event.preventDefault();
      for (const place of dialog.querySelectorAll("[data-filled]")) {
        const value = opener.getAttribute(`data-fill-${place.dataset.filled}`) ?? "";
        if (place instanceof HTMLInputElement) place.value = value;
        else place.textContent = value;
      }
      dialog.showModal();
    }
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  });
}
