// Inserts a visitor five times a second, and answers with the version, the port and the number of visitors.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { open } from './visitors.js';

const { version } = JSON.parse(readFileSync(new URL('built.json', import.meta.url), 'utf8'));
const port = Number(process.env.PORT);
const database = open(process.env.DATABASE);

const insert = database.prepare('insert into visitors (seen, port) values (?, ?)');
const inserting = setInterval(() => insert.run(new Date().toISOString(), port), 200);
const visitors = () => database.prepare('select count(*) as visitors from visitors').get();

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json');
  try {
    response.end(`${JSON.stringify({ version, port, ...visitors() })}\n`);
  } catch (error) {
    console.log(`cannot answer: ${error.message}`);
    response.writeHead(500).end(`${JSON.stringify({ version, port, error: error.message })}\n`);
  }
});
server.listen(port, '127.0.0.1', () => console.log(`segmenter ${version} listens on ${port}`));

process.on('SIGTERM', () => {
  console.log('stopping');
  clearInterval(inserting);
  server.close(() => {
    database.close();
    process.exit(0);
  });
  server.closeIdleConnections();
});
