// Builds the manager's styles, script and icons into ../static/sitewright. With --check: nothing is written, and a built file that
// differs from its source is an error.
import { readFileSync, readdirSync, mkdirSync, writeFileSync, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import * as sass from "sass";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../static/sitewright");

function version(name) {
  return JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8")).version;
}

async function styles() {
  const compiled = sass.compile(join(here, "styles/main.scss"), {
    loadPaths: [join(here, "node_modules")],
    quietDeps: true,
    // Bootstrap 5.3 is written with @import; these warnings are about its sources and ours alike.
    silenceDeprecations: ["import", "global-builtin", "color-functions", "if-function"],
  });
  const small = await esbuild.transform(compiled.css, { loader: "css", minify: true, target: ["chrome123", "firefox120", "safari17.5"] });
  const css = small.code.replace(/^@charset "UTF-8";/, "").replace(/\/\*![\s\S]*?\*\//g, "");
  return `@charset "UTF-8";/* Sitewright. Holds parts of Bootstrap ${version("bootstrap")} (MIT). */\n${css}`;
}

async function script() {
  const bundled = await esbuild.build({
    entryPoints: [join(here, "scripts/main.js")],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    banner: { js: `/* Sitewright. Holds htmx ${version("htmx.org")} (0BSD). */` },
  });
  return bundled.outputFiles[0].text;
}

function icons() {
  const folder = join(here, "icons");
  const symbols = readdirSync(folder)
    .filter((name) => name.endsWith(".svg"))
    .sort()
    .map((name) => {
      const [, box, body] = readFileSync(join(folder, name), "utf8").trim().match(/^<svg viewBox="([^"]+)">(.*)<\/svg>$/s);
      return `<symbol id="${name.slice(0, -4)}" viewBox="${box}">${body}</symbol>`;
    });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("\n")}</svg>\n`;
}

const built = {
  "sitewright.css": await styles(),
  "sitewright.js": await script(),
  "icons.svg": icons(),
  "favicon.svg": readFileSync(join(here, "favicon.svg"), "utf8"),
};

if (process.argv.includes("--check")) {
  const stale = Object.entries(built).filter(([name, text]) => {
    const path = join(target, name);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
  });
  if (stale.length > 0) {
    console.error(`These built files do not match their source: ${stale.map(([name]) => name).join(", ")}. Run “make assets”.`);
    process.exit(1);
  }
} else {
  mkdirSync(target, { recursive: true });
  for (const [name, text] of Object.entries(built)) {
    writeFileSync(join(target, name), text);
    console.log(`${name}: ${Math.ceil(Buffer.byteLength(text) / 1024)} KiB`);
  }
}
