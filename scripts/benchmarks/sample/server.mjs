// An application that starts at once: what it takes to stop, start and answer is Node's own time.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const version = readFileSync(new URL('version', import.meta.url), 'utf8').trim();
const server = createServer((_, response) => response.end(`${version}\n`));
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
