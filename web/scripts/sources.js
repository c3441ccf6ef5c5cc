// Writes the SHA-256 of every source and every built file: a test compares them, so that sources
// are not changed without a build, nor built files by hand.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const web = new URL("..", import.meta.url).pathname;
const built = join(web, "../static/app");
const SOURCES = ["package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];
const SHARED = ["account_words.js", "boxes.js", "detections.js", "names.js"].map((name) => `../static/viewer/${name}`);

function filesBelow(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function sums(files, root) {
  const sorted = files.map((file) => [relative(root, file), file]).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    sorted.map(([name, file]) => [name, createHash("sha256").update(readFileSync(file)).digest("hex")]),
  );
}

const sources = [
  ...[...SOURCES, ...SHARED].map((name) => join(web, name)),
  ...["public", "src"].flatMap((name) => filesBelow(join(web, name))),
];
const list = {
  sources: sums(sources, web),
  built: sums(filesBelow(built).filter((file) => !file.endsWith("sources.json")), built),
};
writeFileSync(join(built, "sources.json"), `${JSON.stringify(list, null, 1)}\n`);
