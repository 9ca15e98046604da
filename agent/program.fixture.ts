/** The agent as `fleet agent` starts it. */
import { main } from './main.ts';

await main(process.argv.slice(2));
