#!/usr/bin/env node
// The agent by itself, as hosts have it: `fleet agent` without the rest. Bundled it is as soon there without a cache, which would grow
// with each release.
import { start } from './start.js';

await start(
  { load: () => import('@fleet/agent/main.ts'), daemon: true, cache: false },
  process.argv.slice(2),
);
