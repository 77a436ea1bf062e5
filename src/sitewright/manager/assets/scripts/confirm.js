// A form with data-confirm asks first, in the page's own dialog. Without a dialog (or this script) the form is simply sent:
// what cannot be undone is confirmed by the server as well (a site's name is typed).
export function confirmations() {
  const dialog = document.querySelector("dialog[data-ask]");
  if (!dialog?.showModal) return;
  let asked = null;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form === asked) return;
    event.preventDefault();
    dialog.querySelector("h2").textContent = form.dataset.confirm;
    dialog.querySelector("p").textContent = form.dataset.consequence ?? "";
    dialog.querySelector("[value=yes]").textContent = form.dataset.verb ?? "Continue";
    dialog.returnValue = "";
    dialog.showModal();
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      // The piece of the page that held the form may have been fetched again meanwhile.
      asked = form.isConnected ? form : document.querySelector(`form[action=${JSON.stringify(form.getAttribute("action"))}]`);
      asked?.requestSubmit();
      asked = null;
    };
  });
}
