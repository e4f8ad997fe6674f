// The demo model: fetched with progress, verified, kept, and gone on with where it stopped.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";

import { Browser, ask, told } from "./browser.mjs";

let browser;
beforeEach(async () => {
  browser = await Browser.open();
});
afterEach(() => browser.close());

const manifest = JSON.parse(await readFile(new URL("../dist/model/manifest.json", import.meta.url)));
const PIECES = [...manifest.model, ...manifest.adapter].flatMap((file) => file.pieces);

// Runs `change(store, argument)` over the page's pieces. As a text: the page's policy forbids making functions of texts.
const inPieces = (page, change, argument) =>
  page.evaluate(`new Promise((resolve, reject) => {
    const opened = indexedDB.open("llava-mole");
    opened.onerror = () => reject(opened.error);
    opened.onsuccess = () => {
      const transaction = opened.result.transaction("pieces", "readwrite");
      const answer = (${change})(transaction.objectStore("pieces"), ${JSON.stringify(argument)});
      transaction.oncomplete = () => (opened.result.close(), resolve(answer?.result));
    };
  })`);

test("the pieces are small, and named by what they hold", () => {
  assert.ok(PIECES.every((piece) => piece.bytes <= 512 * 1024 && /^[0-9a-f]{64}$/.test(piece.sha256)));
});

test("the first start shows progress, the second takes the model from storage", async () => {
  const seen = [];
  const page = await browser.page({
    before: () => {
      window.seen = [];
      const look = () => {
        const bar = document.getElementById("start-progress");
        if (bar && !document.getElementById("start").hidden) window.seen.push(bar.hasAttribute("value") ? bar.value : null);
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    },
  });
  seen.push(...(await page.evaluate(() => window.seen)));
  assert.ok(seen.length > 0, "the page said that the program loads");
  assert.equal(browser.server.pieces, PIECES.length);

  browser.server.requests.length = 0;
  await browser.restart();
  const again = await browser.page();
  assert.equal(browser.server.pieces, 0, "no piece is fetched twice");
  const answer = await ask(again, { prompt: "Count the squares.", maxNewTokens: 4 });
  assert.ok(answer.tokenIds.length > 0);
});

test("a reload in the middle of the download goes on where it was", async () => {
  let letThrough = 6;
  browser.server.meddle = (path) => path.endsWith(".bin") && letThrough-- <= 0 && new Promise(() => {});
  const page = await browser.page({ ready: false });
  // Six pieces arrive, the seventh hangs.
  while (browser.server.pieces < 7) await page.waitForTimeout(50);
  browser.server.requests.length = 0;
  browser.server.meddle = () => false;
  await page.reload();
  await browser.ready(page);
  // The page that was left may have asked for the seventh once more.
  const fetched = new Set(browser.server.requests.filter((path) => path.endsWith(".bin")));
  const missing = PIECES.slice(6).map((piece) => `/sites/mole/model/${piece.sha256}.bin`);
  assert.deepEqual(fetched, new Set(missing));
});

test("a piece that was damaged in storage is noticed and fetched anew", async () => {
  const page = await browser.page();
  const damaged = PIECES[5].sha256;
  const damage = (store, key) => {
    store.get(key).onsuccess = ({ target: { result } }) => {
      result[100] ^= 1;
      store.put(result, key);
    };
  };
  await inPieces(page, damage, damaged);
  browser.server.requests.length = 0;
  await page.reload();
  await browser.ready(page);
  const fetched = browser.server.requests.filter((path) => path.endsWith(".bin"));
  assert.deepEqual(fetched.map((path) => path.split("/").pop()), [`${damaged}.bin`]);
});

test("a piece that comes damaged from the server is asked for once more", async () => {
  let damaged = 0;
  browser.server.meddle = (path, response) => {
    if (!path.includes(PIECES[3].sha256) || damaged++ > 0) return false;
    response.end("not this");
    return true;
  };
  await browser.page();
  assert.equal(damaged, 2);
});

test("a server without the model is told of, and the program goes on", async () => {
  browser.server.meddle = (path, response) => {
    if (!path.endsWith(".bin")) return false;
    response.writeHead(503).end();
    return true;
  };
  const page = await browser.page({ ready: false });
  await told(page, "The demo model could not be fetched");
  await assert.rejects(page.evaluate(() => window.llavaMole.ready), /503/);
});

test("storage that is full is told of, and the page answers all the same", async () => {
  const page = await browser.page({
    before: () => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException("no room", "QuotaExceededError");
      };
    },
  });
  await told(page, "The model cannot be kept in this browser");
  assert.ok((await ask(page, { prompt: "Count the squares.", maxNewTokens: 4 })).tokenIds.length > 0);
});

test("a browser that keeps nothing is told of, and the page answers all the same", async () => {
  const page = await browser.page({
    before: () => {
      IDBFactory.prototype.open = () => {
        throw new DOMException("forbidden", "SecurityError");
      };
    },
  });
  await told(page, "This browser keeps nothing for this page");
  assert.ok((await ask(page, { prompt: "Count the squares.", maxNewTokens: 4 })).tokenIds.length > 0);
});

test("pieces of another model do not stay", async () => {
  const page = await browser.page();
  await inPieces(page, (store, key) => void store.put(new Uint8Array(3), key), "0".repeat(64));
  await page.reload();
  await browser.ready(page);
  const listed = new Set(PIECES.map((piece) => piece.sha256));
  const keys = () => inPieces(page, (store) => store.getAllKeys());
  while ((await keys()).length > listed.size) await page.waitForTimeout(100);
  assert.deepEqual(new Set(await keys()), listed);
});
