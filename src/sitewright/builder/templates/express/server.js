// A Node app in one file: files from public/, and a JSON answer. It listens where the platform says: $PORT.
import express from "express";

const app = express();
const port = process.env.PORT ?? 3000;

app.disable("x-powered-by");
app.use(express.static("public"));

app.get("/api/hello/:name", (request, response) => {
  response.json({ message: `Hello, ${request.params.name}!` });
});

const server = app.listen(port, () => console.log(`Listening on ${port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
