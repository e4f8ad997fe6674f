// Opens the page in Debian's Chromium, with a WebGPU that computes on the CPU.

import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { Server } from "./server.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync",
];
// The last three let a canvas show what WebGPU drew, without a GPU and without a screen.
const WEBGPU = [
  "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan", "--use-vulkan=swiftshader",
  "--use-angle=swiftshader",
];
// A machine that builds at the same time is slow.
export const PATIENCE_MS = 240_000;

function program() {
  for (const name of NAMES) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    } catch {
      // The next one.
    }
  }
  throw new Error(`none of ${NAMES.join(", ")} is on the PATH`);
}

// A browser with a profile of its own, and a server beside it. What the pages said is in `log`; what they asked of
// others than the server in `foreign`.
export class Browser {
  // A software GPU draws as slowly as it computes, and the frames come first: a small window, unless it is looked at.
  static async open({ webgpu = true, locale = "en-US", viewport = { width: 480, height: 320 } } = {}) {
    const browser = new Browser();
    browser.webgpu = webgpu;
    browser.server = await Server.start();
    browser.profile = await mkdtemp(join(tmpdir(), "mole-web-"));
    browser.options = {
      executablePath: program(),
      headless: true,
      locale,
      viewport,
      args: webgpu ? [...FLAGS, ...WEBGPU] : FLAGS,
    };
    await browser.launch();
    return browser;
  }

  log = [];
  foreign = [];

  async launch() {
    this.context = await chromium.launchPersistentContext(this.profile, this.options);
    this.context.setDefaultTimeout(PATIENCE_MS);
    this.context.on("console", (message) => this.log.push(`${message.type()}: ${message.text()}`));
    this.context.on("weberror", (error) => this.log.push(`uncaught: ${error.error()}`));
    this.context.on("request", (request) => {
      const own = [this.server.origin, "blob:", "data:"].some((prefix) => request.url().startsWith(prefix));
      if (!own) this.foreign.push(request.url());
    });
  }

  // Ends the browser and starts it with the same profile: what the person does over night.
  async restart() {
    await this.context.close();
    await this.launch();
  }

  // A tab with the page, with `before` run in it ahead of the page's own scripts.
  // A software GPU is taken only when it is asked for.
  async page({ query = this.webgpu ? "?device=gpu" : "", before, argument, ready = true } = {}) {
    const page = await this.context.newPage();
    if (before) await page.addInitScript(before, argument);
    await page.goto(this.server.address + query);
    if (ready) await this.ready(page);
    return page;
  }

  // What the page's model and device are, when they are there.
  async ready(page) {
    try {
      return await page.evaluate(() => window.llavaMole.ready);
    } catch (error) {
      throw new Error(`${error.message}; the page said:\n${this.log.join("\n")}`);
    }
  }

  async close() {
    await this.context.close();
    await this.server.stop();
    await rm(this.profile, { recursive: true, force: true });
  }
}

// Asks through window.llavaMole, with pictures as bytes.
export function ask(page, question, images = []) {
  const encoded = images.map((bytes) => bytes.toString("base64"));
  return page.evaluate(
    async ({ question, encoded }) => {
      const blobs = encoded.map((text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]));
      const pieces = [];
      const answer = await window.llavaMole.ask({ ...question, images: blobs }, (piece) => pieces.push(piece));
      return { ...answer, pieces };
    },
    { question, encoded },
  );
}

// Waits for words that the page tells screen readers.
export async function told(page, words) {
  await page.locator("#told p", { hasText: words }).first().waitFor({ state: "attached" });
}
