const express = require("express");

const app = express();
app.use(express.json());
app.use("/public", express.static("public"));
app.get("/", (request, response) => response.send(`Parcel desk on ${process.version}`));
app.post("/parcels", (request, response) => response.status(201).json({ received: request.body.parcel, by: request.get("x-forwarded-for") ? "router" : "nobody" }));
app.listen(process.env.PORT, () => console.log("parcel desk is open"));
