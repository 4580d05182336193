import express from "express";

const greeting = "hello from express";
const site = express();

site.set("views", "pages");
site.set("view engine", "ejs");
site.get("/", (request, response) => response.render("index", { greeting, visitor: request.query.name ?? "world" }));
site.get("/healthz", (request, response) => response.json({ status: "ok" }));

const server = site.listen(process.env.PORT ?? 3000, process.env.HOST ?? "0.0.0.0");
process.on("SIGTERM", () => server.close());
