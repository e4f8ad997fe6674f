// The native program, to compare with.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "llava-mole", "target");
export const PROGRAM = join(process.env.CARGO_TARGET_DIR ?? CACHE, "debug", "llava-mole");

// What `ask --json` answers on the CPU.
export function askNatively(prompt, image, maxNewTokens) {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build --workspace`);
  const flags = ["ask", "--json", "--device", "cpu", "--max-new-tokens", String(maxNewTokens), "--image", image];
  return JSON.parse(execFileSync(PROGRAM, [...flags, prompt], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }));
}
