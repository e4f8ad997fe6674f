// `window.llavaMole`: the runtime for other scripts of this page. docs/page.md describes it.

let instance;
let ready = Promise.withResolvers?.() ?? withResolvers();
let settled = false;
// How the questions end that an instance did not live to answer.
const open = new Set();

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

// An instance has a model.
export function attach(newInstance, info) {
  instance = newInstance;
  if (settled) ready = withResolvers();
  settled = true;
  ready.resolve(info);
}

// There is no model, and there will be none by itself.
export function refuse(reason) {
  if (settled) ready = withResolvers();
  settled = true;
  ready.reject(new Error(reason));
  // Nobody may be waiting.
  ready.promise.catch(() => {});
}

// The instance ended; another is on its way.
export function detach(reason) {
  instance = undefined;
  if (settled) ready = withResolvers();
  settled = false;
  for (const reject of open) reject(new Error(reason));
  open.clear();
}

function running() {
  if (!instance) throw new Error("the model is not there yet; wait for llavaMole.ready");
  return instance;
}

function whole(value, name, most) {
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new TypeError(`${name} is ${value}; it must be a whole number from 0 to ${most}`);
  }
  return value;
}

function degree(value) {
  if (value === undefined) return undefined;
  if (!Number.isFinite(value) || value < 0) throw new TypeError(`temperature is ${value}; it must be 0 or more`);
  return value;
}

async function ask({ prompt, images = [], maxNewTokens, temperature } = {}, onToken) {
  if (typeof prompt !== "string") throw new TypeError("ask({prompt}) wants the prompt as a string");
  const tokens = whole(maxNewTokens, "maxNewTokens", 2 ** 31);
  const warmth = degree(temperature);
  const pictures = await Promise.all(
    [...images].map(async (image, index) => {
      if (!(image instanceof Blob)) throw new TypeError(`images[${index}] is no Blob`);
      return new Uint8Array(await image.arrayBuffer());
    }),
  );
  const answer = running().ask(prompt, pictures, tokens, warmth, onToken);
  let reject;
  const end = new Promise((_, rejectEnd) => open.add((reject = rejectEnd)));
  try {
    return JSON.parse(await Promise.race([answer, end]));
  } finally {
    open.delete(reject);
  }
}

window.llavaMole = Object.freeze({
  get ready() {
    return ready.promise;
  },
  ask,
  stop: () => running().stop(),
  routing: async () => JSON.parse(running().routing()),
  conversations: async () => JSON.parse(running().conversations()),
});
