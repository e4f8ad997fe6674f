// Serves the static folder on this machine alone, as a plain host would: no special headers, no logic.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = {
  ".bin": "application/octet-stream",
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

// A running server. `requests` are the paths asked for, in order; `meddle` may answer in its place.
export class Server {
  static async start() {
    const server = new Server();
    server.http = createServer((request, response) => server.answer(request, response));
    await new Promise((resolve) => server.http.listen(0, "127.0.0.1", resolve));
    server.origin = `http://127.0.0.1:${server.http.address().port}`;
    return server;
  }

  requests = [];
  // (path, response) => whether it answered itself.
  meddle = () => false;

  async answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    this.requests.push(path);
    if (await this.meddle(path, response)) return;
    try {
      // Below a folder, as on a host with many sites: nothing may rely on lying at the root.
      const name = path.replace(/^\/sites\/mole\//, "/");
      const file = name === "/" ? "/index.html" : normalize(name);
      const body = await readFile(join(DIST, file));
      response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
      response.end(body);
    } catch {
      response.writeHead(404);
      response.end();
    }
  }

  get address() {
    return `${this.origin}/sites/mole/`;
  }

  // How many pieces of the model were asked for.
  get pieces() {
    return this.requests.filter((path) => path.endsWith(".bin")).length;
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }
}
