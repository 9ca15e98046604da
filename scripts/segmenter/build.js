// What a real build leaves behind: something that is made from the sources and not among them.
import { readFileSync, writeFileSync } from 'node:fs';

const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
writeFileSync('built.json', `${JSON.stringify({ name, version })}\n`);
console.log(`built ${name} ${version}`);
