const answer = await fetch("api/hello/Alice").then((response) => response.json());
document.getElementById("answer").textContent = answer.message;
