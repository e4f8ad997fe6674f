// What a token of the demo model's answer costs the CPU, in the page and in the native program, on software GPUs. Not a test:
// times depend on the machine.
//   web/build.sh && (cd web && node tests/decode_cost.mjs)
// The native program takes the Vulkan driver that VK_DRIVER_FILES names, or the machine's own; with that of Chromium's
// SwiftShader (vk_swiftshader_icd.json beside the program) both compute by the same.

import { execFileSync } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { Browser, ask } from "./browser.mjs";
import { PROGRAM } from "./native.mjs";

const SAMPLE = fileURLToPath(new URL("../../assets/samples/general-2.png", import.meta.url));
const PROMPT = "Describe the picture.";
// So warm that an answer does not end by itself: what it sets up once shall not count.
const TEMPERATURE = 100;
const [FEW, MANY] = [2, 400];
const ROUNDS = 3;
// Of /proc's times, in seconds.
const TICK = 1 / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

// Seconds that all of the browser's processes have used.
async function used(profile) {
  let ticks = 0;
  for (const process of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    try {
      const [line, stat] = await Promise.all(["cmdline", "stat"].map((name) => readFile(`/proc/${process}/${name}`, "utf8")));
      if (line.includes(profile)) {
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        ticks += Number(fields[11]) + Number(fields[12]);
      }
    } catch {
      // It has ended.
    }
  }
  return ticks * TICK;
}

async function inThePage() {
  const browser = await Browser.open();
  try {
    const page = await browser.page();
    const picture = await readFile(SAMPLE);
    // Another tab in front: a hidden page draws no frames.
    await (await browser.context.newPage()).bringToFront();
    const answer = async (maxNewTokens) => {
      const before = await used(browser.profile);
      const { tokenIds } = await ask(page, { prompt: PROMPT, maxNewTokens, temperature: TEMPERATURE }, [picture]);
      return [(await used(browser.profile)) - before, tokenIds.length];
    };
    await answer(MANY);
    return await perToken(answer);
  } finally {
    await browser.close();
  }
}

function natively() {
  const answer = async (maxNewTokens) => {
    const script = 'TIMEFORMAT="%U %S"; time "$0" "$@"';
    const tokens = ["--temperature", String(TEMPERATURE), "--max-new-tokens", String(maxNewTokens)];
    const flags = ["ask", "--json", "--device", "gpu", ...tokens, "--image", SAMPLE, PROMPT];
    const [json, times] = execFileSync("bash", ["-c", `exec 3>&2 2>&1; { ${script} 2>/dev/null; }`, PROGRAM, ...flags], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim().split("\n");
    return [times.split(" ").map(Number).reduce((a, b) => a + b), JSON.parse(json).token_ids.length];
  };
  return perToken(answer);
}

// Milliseconds a token, by answers of few and of many tokens in turns: pictures and prompts count for neither.
async function perToken(answer) {
  const costs = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [few, many] = [await answer(FEW), await answer(MANY)];
    costs.push((1e3 * (many[0] - few[0])) / (many[1] - few[1]));
  }
  return median(costs);
}

const native = await natively();
console.log(`native: ${native.toFixed(2)} ms of CPU time a token`);
const page = await inThePage();
console.log(`page:   ${page.toFixed(2)} ms, ${(page / native).toFixed(2)} times that`);
