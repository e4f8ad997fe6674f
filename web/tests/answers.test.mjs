// The page answers as the native program does, on the GPU and without one.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Browser, ask, told } from "./browser.mjs";
import { askNatively } from "./native.mjs";

const sample = (name) => fileURLToPath(new URL(`../../assets/samples/${name}`, import.meta.url));
const QUESTIONS = [
  ["document-1.png", "Which number stands for Oslo under Out?"],
  ["medical-1.png", "What is the orientation of the stroma?"],
  // A caption: many tokens, so that a small difference would show.
  ["general-2.png", "Describe the picture."],
];
const TOKENS = 48;

async function compare(page) {
  for (const [name, prompt] of QUESTIONS) {
    const native = askNatively(prompt, sample(name), TOKENS);
    const answer = await ask(page, { prompt, maxNewTokens: TOKENS }, [await readFile(sample(name))]);
    assert.deepEqual(answer.tokenIds, native.token_ids, `${name}: ${answer.text}, natively ${native.text}`);
    assert.equal(answer.text, native.text);
    assert.equal(answer.stopReason, native.stop_reason);
    assert.equal(answer.pieces.join(""), answer.text, "what streamed is what was answered");
  }
}

describe("with WebGPU", () => {
  let browser, page, ready;
  before(async () => {
    browser = await Browser.open();
    page = await browser.page();
    ready = await browser.ready(page);
  });
  after(() => browser?.close());

  test("the model is on the GPU, with its experts", async () => {
    assert.equal(ready.device.backend, "webgpu");
    assert.equal(ready.model.adapter.experts, 3);
    assert.equal(await page.locator("#told p").count(), 0, "nothing is amiss");
  });

  test("questions about pictures get the native program's tokens", () => compare(page));

  test("two pictures in one question", async () => {
    const pictures = await Promise.all(["general-1.png", "general-3.png"].map((name) => readFile(sample(name))));
    const answer = await ask(page, { prompt: "What is the color of the background?", maxNewTokens: 8 }, pictures);
    assert.ok(answer.tokenIds.length > 0);
    const routing = await page.evaluate(() => window.llavaMole.routing());
    assert.deepEqual([...new Set(routing.tokens.map((token) => token.image))], [null, 0, 1]);
  });

  test("the routing of the last answer names an expert for each patch and word", async () => {
    const [name, prompt] = QUESTIONS[0];
    const answer = await ask(page, { prompt, maxNewTokens: TOKENS }, [await readFile(sample(name))]);
    const routing = await page.evaluate(() => window.llavaMole.routing());
    assert.equal(routing.experts, 3);
    assert.deepEqual(routing.layers, [0, 1, 2, 3]);
    const patches = routing.tokens.filter((token) => token.patch);
    assert.deepEqual(patches.map((token) => token.patch.index), [...Array(144).keys()]);
    for (const token of routing.tokens) {
      assert.equal(token.experts.length, 4);
      assert.ok(token.experts.every((expert) => [0, 1, 2].includes(expert)));
    }
    const words = routing.tokens.filter((token) => token.reply).map((token) => token.text);
    // The last token was not fed back, so nothing routed it.
    assert.ok(answer.text.startsWith(words.join("").trim()), `${words} of ${answer.text}`);
  });

  test("an answer stops when it is told to", async () => {
    const answer = page.evaluate(() => {
      const stopAtOnce = () => window.llavaMole.stop();
      return window.llavaMole.ask({ prompt: "Tell me all you know.", maxNewTokens: 900 }, stopAtOnce);
    });
    assert.equal((await answer).stopReason, "cancelled");
  });

  test("what cannot be asked is refused in plain words", async () => {
    const refused = async (question, words) => await assert.rejects(ask(page, question), words);
    await refused({ prompt: " " }, /is empty; ask something/);
    await refused({ prompt: 7 }, /wants the prompt as a string/);
    await refused({ prompt: "Hm?", maxNewTokens: -1 }, /maxNewTokens is -1/);
    await refused({ prompt: "Hm?", temperature: "hot" }, /temperature is hot/);
    await assert.rejects(ask(page, { prompt: "Hm?" }, [Buffer.from("no picture")]), /image 1/);
    const answer = await ask(page, { prompt: "Count the squares.", maxNewTokens: 4 });
    assert.ok(answer.tokenIds.length > 0, "and the next question is answered");
  });

  test("nothing is asked of anybody else, and the page breaks no rule of its own", () => {
    assert.deepEqual(browser.foreign, []);
    const faults = browser.log.filter((line) => /^(error|uncaught)|Content.Security.Policy/.test(line));
    assert.deepEqual(faults, []);
  });
});

describe("without WebGPU", () => {
  let browser, page, ready;
  before(async () => {
    browser = await Browser.open({ webgpu: false });
    page = await browser.page({ before: () => delete Navigator.prototype.gpu });
    ready = await browser.ready(page);
  });
  after(() => browser?.close());

  test("the CPU answers, and the page says so", async () => {
    assert.equal(ready.device.kind, "cpu");
    await told(page, "This browser offers no graphics card to compute with");
  });

  test("questions about pictures get the native program's tokens", () => compare(page));
});

test("a device that the address names is taken, and nothing is said; a software GPU is not taken by itself", async () => {
  const browser = await Browser.open();
  try {
    const named = await browser.page({ query: "?device=cpu" });
    assert.equal((await browser.ready(named)).device.kind, "cpu");
    assert.equal(await named.locator("#told p").count(), 0);
    const unnamed = await browser.page({ query: "" });
    assert.equal((await browser.ready(unnamed)).device.kind, "cpu");
    await told(unnamed, "This browser offers no graphics card to compute with");
    const wrong = await browser.page({ query: "?device=quick" });
    await told(wrong, "The address says device=quick");
  } finally {
    await browser.close();
  }
});
