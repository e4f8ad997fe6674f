// Puts web/dist together: what wasm-bindgen made, the page, the demo model in pieces.
// `node web/pack.mjs MADE DIST`, from the root of the repository; build.sh calls it.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

// Small enough that little is lost when a download is cut off.
const PIECE_BYTES = 512 * 1024;
const DEMO = {
  model: ["config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"],
  adapter: ["adapter_config.json", "adapter_model.safetensors"],
};

const [made, dist] = process.argv.slice(2);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;

// The names hold a hash, so that no cache mixes two builds.
function program() {
  const wasm = readFileSync(join(made, "mole_web_bg.wasm"));
  const glue = readFileSync(join(made, "mole_web.js"));
  const name = `program-${sha256(Buffer.concat([wasm, glue])).slice(0, 12)}`;
  writeFileSync(join(dist, `${name}_bg.wasm`), wasm);
  writeFileSync(join(dist, `${name}.js`), glue);
  return { name, wasm };
}

function page({ name, wasm }) {
  const source = join("web", "page");
  const files = readdirSync(source);
  const version = sha256(Buffer.concat(files.map((file) => readFileSync(join(source, file))))).slice(0, 12);
  for (const file of files) {
    let text = readFileSync(join(source, file), "utf8");
    text = text.replaceAll("@PROGRAM@", name).replaceAll("@PROGRAM_BYTES@", String(wasm.length));
    for (const other of files.filter((other) => !other.endsWith(".html"))) {
      text = text.replaceAll(`"${other}"`, `"${other}?v=${version}"`);
      text = text.replaceAll(`"./${other}"`, `"./${other}?v=${version}"`);
    }
    writeFileSync(join(dist, file), text);
  }
}

function cut(path) {
  const bytes = readFileSync(path);
  const pieces = [];
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    const piece = bytes.subarray(from, from + PIECE_BYTES);
    const hash = sha256(piece);
    writeFileSync(join(dist, "model", `${hash}.bin`), piece);
    pieces.push({ bytes: piece.length, sha256: hash });
  }
  return { name: basename(path), pieces };
}

function model() {
  mkdirSync(join(dist, "model"));
  const files = (folder) => DEMO[folder].map((name) => cut(join("assets", "demo", folder, name)));
  const manifest = { model: files("model"), adapter: files("adapter") };
  writeFileSync(join(dist, "model", "manifest.json"), JSON.stringify(manifest));
}

function assets() {
  for (const [folder, kind] of [["fonts", /\.otf$|^LICENSE$/], ["samples", /\.png$/]]) {
    const source = join("assets", folder);
    mkdirSync(join(dist, folder));
    for (const name of readdirSync(source).filter((name) => kind.test(name))) {
      cpSync(join(source, name), join(dist, folder, name));
    }
  }
}

// egui's own fonts: in the desktop's program, and beside the page's.
function latinFonts() {
  const metadata = execFileSync("cargo", ["metadata", "--locked", "--format-version", "1"], { maxBuffer: 1 << 28 });
  const found = JSON.parse(metadata).packages.find(({ name }) => name === "epaint_default_fonts");
  const source = join(dirname(found.manifest_path), "fonts");
  for (const name of ["Ubuntu-Light.ttf", "UFL.txt", "Hack-Regular.ttf", "Hack-Regular.txt"]) {
    cpSync(join(source, name), join(dist, "fonts", name));
  }
}

function total(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

const built = program();
page(built);
model();
assets();
latinFonts();
console.log(`the program: ${megabytes(built.wasm.length)}, ${megabytes(brotli(built.wasm).length)} with brotli`);
console.log(`${dist}: ${megabytes(total(dist))} in all`);
