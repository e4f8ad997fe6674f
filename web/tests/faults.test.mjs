// Devices that are lost, programs that die, tabs beside and behind one another.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Browser, ask, told } from "./browser.mjs";

const QUESTION = { prompt: "Count the squares.", maxNewTokens: 4 };

let browser;
beforeEach(async () => {
  browser = await Browser.open();
});
afterEach(() => browser.close());

// Keeps the page's devices by their labels, so that a test can take them away.
const keepDevices = () => {
  window.devices = [];
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await request.call(this, descriptor);
    window.devices.push({ label: descriptor?.label ?? "", device });
    return device;
  };
};

const destroy = (page, label) =>
  page.evaluate((label) => {
    const found = window.devices.findLast((kept) => kept.label === label);
    if (!found) throw new Error(`no device ${label}: ${window.devices.map((kept) => kept.label)}`);
    found.device.destroy();
    return window.devices.length;
  }, label);

test("the engine's GPU is lost: it says so, loads once more, and answers", async () => {
  const page = await browser.page({ before: keepDevices });
  const before = await ask(page, QUESTION);
  await destroy(page, "llava-mole");
  await assert.rejects(ask(page, QUESTION), /device/);
  await told(page, "the model is being loaded again");
  await browser.ready(page);
  const after = await ask(page, QUESTION);
  assert.deepEqual(after.tokenIds, before.tokenIds);
});

test("the window's GPU is lost: a fresh program takes its place, once", async () => {
  const page = await browser.page({ before: keepDevices });
  const before = await ask(page, QUESTION);
  await destroy(page, "egui wgpu device");
  await told(page, "The program stopped and is started again");
  await browser.ready(page);
  assert.deepEqual((await ask(page, QUESTION)).tokenIds, before.tokenIds);
  await destroy(page, "egui wgpu device");
  await page.getByText("The program stopped again").waitFor();
  await assert.rejects(page.evaluate(() => window.llavaMole.ready), /stopped again/);
  await page.getByRole("button", { name: "Start again" }).click();
  await page.locator("#start").waitFor({ state: "hidden" });
});

test("a tab in the background goes on answering", async () => {
  const page = await browser.page();
  const answer = ask(page, { prompt: "Tell me all you know.", maxNewTokens: 60 });
  const other = await browser.context.newPage();
  await other.bringToFront();
  assert.ok((await answer).tokenIds.length > 0);
});

test("two tabs start at the same time and answer alike", async () => {
  const pages = await Promise.all([browser.page(), browser.page()]);
  const answers = await Promise.all(pages.map((page) => ask(page, QUESTION)));
  assert.deepEqual(answers[0].tokenIds, answers[1].tokenIds);
});
