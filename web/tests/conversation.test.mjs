// What the person says stays: over a reload, beside another tab, with pictures. By keyboard, as a person would.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Browser, told } from "./browser.mjs";
import { askNatively } from "./native.mjs";

const SAMPLE = fileURLToPath(new URL("../../assets/samples/document-1.png", import.meta.url));
const QUESTION = "Which number stands for Oslo under Out?";
// Pictures of the page, for people to look at.
const PICTURES = fileURLToPath(new URL("../../target/page", import.meta.url));

let browser;
beforeEach(async () => {
  browser = await Browser.open();
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
  await page.mouse.click(700, 740);
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
  await page.waitForTimeout(500);
}

test("a question about a pasted picture is answered, and the conversation survives a reload", async () => {
  const page = await browser.page();
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

test("two tabs write to the same storage, and neither takes anything from the other", async () => {
  const pages = [await browser.page(), await browser.page()];
  for (const [index, page] of pages.entries()) {
    await say(page, `Question ${index}`);
    await answered(page, 1);
  }
  await say(pages[0], "And one more");
  await answered(pages[0], 2);
  await browser.restart();
  const page = await browser.page();
  const asked = (await conversations(page)).map((chat) => chat.turns.filter((turn) => turn.speaker === "user"));
  const words = asked.map((turns) => turns.map((turn) => turn.text));
  assert.deepEqual(words.sort(), [["Question 0", "And one more"], ["Question 1"]].sort());
});

test("storage that is full is told of, and the conversation goes on", async () => {
  const page = await browser.page();
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
