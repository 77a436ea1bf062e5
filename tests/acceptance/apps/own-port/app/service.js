import { createServer } from "node:http";

createServer((request, response) => response.end(`hello ${request.url}`)).listen(3000, "localhost");
