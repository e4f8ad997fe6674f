// What the person says stays: over a reload, beside another tab, with pictures. By keyboard, as a person would.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Browser, told } from "./browser.mjs";
import { askNatively } from "./native.mjs";

const SAMPLE = fileURLToPath(new URL("../../assets/samples/document-1.png", import.meta.url));
const MODEL = fileURLToPath(new URL("../../assets/demo/model", import.meta.url));
const QUESTION = "Which number stands for Oslo under Out?";
// Pictures of the page, for people to look at.
const PICTURES = fileURLToPath(new URL("../../target/page", import.meta.url));

// Drawn with WebGL and answered by the CPU, which leaves a software GPU its time for the window.
const CPU = { query: "?device=cpu" };

let browser;
beforeEach(async () => {
  browser = await Browser.open({ webgpu: false, viewport: { width: 1000, height: 760 } });
  await mkdir(PICTURES, { recursive: true });
});
afterEach(() => browser.close());

const conversations = (page) => page.evaluate(() => window.llavaMole.conversations());

// What was said in the newest conversation, once the model has answered `count` times.
async function answered(page, count) {
  for (;;) {
    const turns = (await conversations(page)).at(-1)?.turns ?? [];
    const answers = turns.filter((turn) => turn.speaker === "assistant" && turn.ended);
    if (answers.length >= count) return turns;
    await page.waitForTimeout(100);
  }
}

// Words for the message that is being written, and off they go.
async function say(page, words) {
  await page.bringToFront();
  await page.mouse.click(400, 665);
  await page.waitForTimeout(200);
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
}

// A picture from the clipboard, as browsers hand it over.
async function paste(page, path) {
  const encoded = (await readFile(path)).toString("base64");
  await page.evaluate((encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
  }, encoded);
  await told(page, "Pictures to send: 1");
}

test("a question about a pasted picture is answered, and the conversation survives a reload", async () => {
  const page = await browser.page(CPU);
  await paste(page, SAMPLE);
  await say(page, QUESTION);
  const turns = await answered(page, 1);
  const native = askNatively(QUESTION, SAMPLE, 512);
  assert.deepEqual(turns.map((turn) => turn.text), [QUESTION, native.text]);
  assert.equal(turns[0].images.length, 1);
  await page.screenshot({ path: `${PICTURES}/chat.png` });

  await page.reload();
  await browser.ready(page);
  assert.deepEqual((await conversations(page)).at(-1).turns, turns);
  await page.screenshot({ path: `${PICTURES}/reloaded.png` });
});

// How many pixels of a screenshot have each of these colours, but for rounding.
const count = (page, picture, colours) =>
  page.evaluate(
    async ({ encoded, colours }) => {
      const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, image.width, image.height);
      const counts = colours.map(() => 0);
      for (let at = 0; at < data.length; at += 4) {
        colours.forEach((colour, index) => {
          if (colour.every((value, channel) => Math.abs(data[at + channel] - value) <= 2)) counts[index] += 1;
        });
      }
      return counts;
    },
    { encoded: picture.toString("base64"), colours },
  );

test("the routing of an answer is shown in the colours of its experts", async () => {
  const page = await browser.page(CPU);
  await paste(page, SAMPLE);
  await say(page, QUESTION);
  await answered(page, 1);
  // Of the palette: experts 0, 1 and 2.
  const colours = [[0, 114, 178], [230, 159, 0], [0, 158, 115]];
  const before = await count(page, await page.screenshot(), colours);
  // The button "Routing". The picture comes first in its panel, the experts' own colours further down.
  await page.mouse.click(795, 16);
  await page.setViewportSize({ width: 1000, height: 1500 });
  let after = before;
  while (after.some((pixels, expert) => pixels <= before[expert])) {
    await page.waitForTimeout(500);
    after = await count(page, await page.screenshot({ path: `${PICTURES}/routing.png` }), colours);
  }
});

test("a checkpoint's folder from the file picker is read piece by piece, and answers", async () => {
  const page = await browser.page(CPU);
  // The button "Models", then "Choose a checkpoint…" in its panel.
  await page.mouse.click(874, 16);
  // Frames come late on a machine that is busy: a click before the panel is there hits nothing.
  let chooser;
  page.once("filechooser", (opened) => (chooser = opened));
  while (!chooser) {
    await page.waitForTimeout(2000);
    await page.mouse.click(660, 134);
  }
  await chooser.setFiles(MODEL);
  const loaded = async () => (await page.evaluate(() => window.llavaMole.ready)).model;
  // The button "Load"; where it was, progress stands while the model is loaded.
  for (let waited = 0; (await loaded()).name !== "model"; waited += 1) {
    await page.waitForTimeout(1000);
    if (waited % 10 === 0) await page.mouse.click(592, 622);
  }
  await page.screenshot({ path: `${PICTURES}/models.png` });
  assert.equal((await loaded()).adapter, null);
  await say(page, "Count the squares.");
  assert.ok((await answered(page, 1))[1].text.length > 0);
});

test("two tabs write to the same storage, and neither takes anything from the other", async () => {
  const pages = [await browser.page(CPU), await browser.page(CPU)];
  for (const [index, page] of pages.entries()) {
    await say(page, `Question ${index}`);
    await answered(page, 1);
  }
  await say(pages[0], "And one more");
  await answered(pages[0], 2);
  await browser.restart();
  const page = await browser.page(CPU);
  const asked = (await conversations(page)).map((chat) => chat.turns.filter((turn) => turn.speaker === "user"));
  const words = asked.map((turns) => turns.map((turn) => turn.text));
  assert.deepEqual(words.sort(), [["Question 0", "And one more"], ["Question 1"]].sort());
});

test("storage that is full is told of, and the conversation goes on", async () => {
  const page = await browser.page(CPU);
  await page.evaluate(() => {
    IDBObjectStore.prototype.add = () => {
      throw new DOMException("no room", "QuotaExceededError");
    };
  });
  await say(page, "Count the squares.");
  await answered(page, 1);
  await told(page, "This conversation cannot be kept");
  await say(page, "Count the squares.");
  assert.equal((await answered(page, 2)).length, 4);
});
