// Starts the program: fetches it once, runs it in the canvas, and starts a fresh instance where one died.

import { attach, detach, refuse } from "./llava-mole.js";

const AGAIN_MS = 60_000;
const SCREEN_READER_LINES = 20;

const find = (id) => document.getElementById(id);
const chinese = /^zh\b/i.test(navigator.language);
const pick = (english, inChinese) => (chinese ? inChinese : english);

let attempts = 0;
let lastDeath = -Infinity;
let compiled;

document.documentElement.lang = pick("en", "zh");
find("start-again").textContent = pick("Start again", "重新启动");
find("start-again").addEventListener("click", () => begin(pick("Starting…", "正在启动…")));

// Says something in place of the canvas. Progress is a fraction, null while unknown, and undefined where nothing is
// under way.
function say(text, progress) {
  find("start").hidden = false;
  find("start-text").textContent = text;
  find("start-progress").hidden = progress === undefined;
  if (typeof progress === "number") find("start-progress").value = progress;
  else find("start-progress").removeAttribute("value");
  find("start-again").hidden = true;
}

// For good, until the person does something.
function stopWith(text) {
  say(text);
  find("start-again").hidden = false;
  refuse(text);
}

// The compiled program. Servers may compress it, so that its length is known from the page alone.
async function compile() {
  const { program, programBytes } = document.body.dataset;
  const response = await fetch(`${program}_bg.wasm`);
  if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
  let done = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      done += chunk.byteLength;
      say(pick("Loading the program…", "正在加载程序…"), Math.min(done / Number(programBytes), 1));
      controller.enqueue(chunk);
    },
  });
  const body = response.body.pipeThrough(counter);
  // The type is given here, so that a server without a type for wasm does as well.
  return WebAssembly.compileStreaming(new Response(body, { headers: { "Content-Type": "application/wasm" } }));
}

// What an instance is given; one that was replaced is not listened to any more.
function hostOf(attempt, instance) {
  const current = () => attempt === attempts;
  return {
    shown: () => current() && (find("start").hidden = true),
    loaded: (info) => current() && attach(instance, JSON.parse(info)),
    unloadable: (reason) => current() && refuse(reason),
    tell: (text) => current() && tell(text),
    died: (reason) => current() && died(reason, instance),
  };
}

function tell(text) {
  const told = find("told");
  const line = document.createElement("p");
  line.textContent = text;
  told.append(line);
  while (told.childElementCount > SCREEN_READER_LINES) told.firstElementChild.remove();
}

function died(reason, instance) {
  attempts += 1;
  const again = performance.now() - lastDeath < AGAIN_MS;
  lastDeath = performance.now();
  console.error(reason);
  detach(pick("the program stopped and is started again; ask again", "程序已停止并正在重新启动；请再次提问"));
  // Not from within the dying instance.
  setTimeout(() => {
    try {
      instance.quit();
    } catch {
      // A dead instance has ended already.
    }
    if (again) {
      stopWith(
        pick(
          `The program stopped again (${reason}). Conversations are kept. If it goes on like this, add ?device=cpu to ` +
            `the address, or close other tabs that use the GPU.`,
          `程序再次停止（${reason}）。对话已保留。如果仍然如此，请在地址后加上 ?device=cpu，或关闭其他使用 GPU 的标签页。`,
        ),
      );
    } else {
      const text = pick(
        "The program stopped and is started again. Conversations are kept.",
        "程序已停止，正在重新启动。对话已保留。",
      );
      begin(text).then(() => tell(text));
    }
  });
}

async function begin(text) {
  attempts += 1;
  const attempt = attempts;
  say(text, null);
  // A canvas keeps the context it was first used with, and an instance its listeners on it.
  const canvas = find("app").cloneNode();
  find("app").replaceWith(canvas);
  try {
    compiled ??= compile();
    // A module is one instance: another address makes another.
    const instance = await import(`./${document.body.dataset.program}.js?start=${attempt}`);
    await instance.default({ module_or_path: await compiled });
    await instance.run(canvas, hostOf(attempt, instance));
  } catch (error) {
    if (attempt !== attempts) return;
    console.error(error);
    compiled = undefined;
    const reason = error?.message ?? String(error);
    stopWith(
      pick(
        `The program cannot be started (${reason}). It needs a current browser with WebAssembly, and WebGPU or WebGL.`,
        `无法启动程序（${reason}）。需要支持 WebAssembly 以及 WebGPU 或 WebGL 的新版浏览器。`,
      ),
    );
  }
}

begin(pick("Loading the program…", "正在加载程序…"));
