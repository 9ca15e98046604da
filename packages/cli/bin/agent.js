#!/usr/bin/env node
// The agent by itself, as hosts have it: `fleet agent` without the rest.
import { start } from './start.js';

await start({ load: () => import('@fleet/agent/main.ts'), daemon: true }, process.argv.slice(2));
