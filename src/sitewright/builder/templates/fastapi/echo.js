const address = new URL("echo", location.href);
address.protocol = address.protocol.replace("http", "ws");
const socket = new WebSocket(address);
const output = document.getElementById("output");

socket.addEventListener("message", (event) => {
  output.textContent += `It says: ${event.data}\n`;
});

document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("text");
  socket.send(field.value);
  field.value = "";
});
