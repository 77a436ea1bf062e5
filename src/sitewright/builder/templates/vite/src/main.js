import "./style.css";

const button = document.getElementById("counter");
let count = 0;

function show() {
  button.textContent = `Clicked ${count} ${count === 1 ? "time" : "times"}`;
}

button.addEventListener("click", () => {
  count += 1;
  show();
});
show();
