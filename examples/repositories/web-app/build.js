// Stands for the web app: a page and a script with a hash in its name, into which the API's address is baked.
const { createHash } = require("node:crypto");
const { mkdirSync, writeFileSync } = require("node:fs");

const script = `fetch('${process.env.REACT_APP_API_URL}')`;
const name = `main.${createHash("sha256").update(script).digest("hex").slice(0, 8)}.js`;

mkdirSync("build/static/js", { recursive: true });
writeFileSync(`build/static/js/${name}`, script);
writeFileSync("build/index.html", `<script src='/static/js/${name}'></script>`);
