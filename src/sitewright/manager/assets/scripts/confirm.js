// A form with data-confirm asks first, in the page's own dialog; with data-why it also asks for a reason, which goes into its field `why`.
// Without a dialog (or this script) the form is simply sent: what cannot be undone is confirmed by the server as well (a name is typed).
const TOKEN = "csrfmiddlewaretoken";

function said(form) {
  return [form.getAttribute("action"), ...new FormData(form)].filter(([name]) => name !== TOKEN && name !== "why").join("\n");
}

// The piece of the page that held the form may have been fetched again meanwhile: the same form is the one that says the same.
function again(form, words) {
  return form.isConnected ? form : [...document.querySelectorAll("form[data-confirm]")].find((one) => said(one) === words);
}

export function confirmations() {
  const dialog = document.querySelector("dialog[data-ask]");
  if (!dialog?.showModal) return;
  let asked = null;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form === asked) return;
    event.preventDefault();
    const words = said(form);
    const why = dialog.querySelector("[data-reason]");
    dialog.querySelector("h2").textContent = form.dataset.confirm;
    dialog.querySelector("p").textContent = form.dataset.consequence ?? "";
    dialog.querySelector("[value=yes]").textContent = form.dataset.verb ?? "Continue";
    why.hidden = !form.dataset.why;
    why.querySelector("label").textContent = form.dataset.why ?? "";
    why.querySelector("input").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes") return;
      asked = again(form, words);
      if (asked?.elements.why) asked.elements.why.value = why.querySelector("input").value;
      asked?.requestSubmit();
      asked = null;
    };
  });
}
